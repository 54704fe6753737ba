"""Views of memorable and diverse samples."""

from __future__ import annotations

from typing import Any, NamedTuple

import fiftyone as fo
import numpy as np
import numpy.typing as npt
import pandas as pd

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.scoring.progress import ProgressOption
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.curation import image_features, select
from resmem_plugin.curation.diversity import NEAR_DISTANCE
from resmem_plugin.curation.selection import NearDuplicates, check_selection
from resmem_plugin.fiftyone.dataset.schema import root_dataset
from resmem_plugin.fiftyone.dataset.views import Which, check_count, class_names, class_paths, resolve_field


class DiverseView(NamedTuple):
    """A selection.

    Attributes:
        view: the selected samples, in the order of their selection.
        left_out: how many near-duplicates were left out for them.
    """

    view: Any
    left_out: int


def embedding_sources(samples: Any) -> list[str]:
    """The fields of embeddings of a collection, and the brain keys of its similarity indexes."""
    fields = [
        path for path, found in samples.get_field_schema().items() if isinstance(found, (fo.VectorField, fo.ArrayField))
    ]
    dataset = root_dataset(samples)
    if samples._is_patches or samples._is_frames:
        return fields
    keys = dataset.list_brain_runs(type="similarity")
    return [*fields, *(key for key in keys if not dataset.get_brain_info(key).config.patches_field)]


def diverse_view(
    samples: Any,
    memorability_field: str | None = None,
    *,
    count: int,
    strength: float = 0.5,
    which: Which = "top",
    class_field: str | None = None,
    embeddings: str | None = None,
    away_from_tag: str | None = None,
    near_duplicates: NearDuplicates = "best",
    near_distance: float = NEAR_DISTANCE,
    scorer: Scorer | None = None,
    progress: ProgressOption = False,
) -> DiverseView:
    """Select memorable samples that are unlike each other; see `resmem_plugin.curation.select`.

    Args:
        samples: a dataset or view with memorability scores.
        memorability_field: the memorability field; None: the default one.
        count: how many samples, or of each class with `class_field`.
        strength: of diversity, 0 (memorability alone) to 1 (diversity alone).
        which: "top" prefers the most memorable, "bottom" the least.
        class_field: a field of classes; a sample with several counts in each.
        embeddings: a field of embeddings, or the brain key of a similarity index; None: the images are read, and the
            outputs of ResMem's ResNet computed, which takes as long as scoring them.
        away_from_tag: samples of this view with this tag are taken already: they are not selected, nor what is near to
            them.
        near_duplicates: "best" selects of near-duplicates only the best, "keep" treats them as any other.
        near_distance: between near-duplicates, 0 to 2.
        scorer: whose network computes the embeddings; None: `Scorer()`.
        progress: of that, as in `Scorer.score`.

    Raises:
        OptionError: for a field that does not exist, patches without embeddings, or an option that does not fit.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone.dataset.diverse import diverse_view
        >>> dataset = fo.Dataset()
        >>> _ = dataset.add_samples(
        ...     [
        ...         fo.Sample(filepath=path, memorability=score)
        ...         for path, score in (("coffee.png", 0.9), ("./coffee.png", 0.8), ("rocket.jpg", 0.7))
        ...     ]
        ... )
        >>> found = diverse_view(dataset, count=3)
        >>> found.view.values("memorability"), found.left_out
        ([0.9, 0.7], 1)
    """
    field = resolve_field(samples, memorability_field)
    check_count(count)
    if which not in ("top", "bottom"):
        raise OptionError(f"which must be 'top' or 'bottom', not {which!r}")
    check_selection(count, strength, "balanced", near_duplicates, near_distance)
    paths = class_paths(samples)
    if class_field is not None and class_field not in paths:
        raise OptionError(f"{class_field!r} is not a class field; available: {', '.join(paths) or 'none'}")
    ids, scores, tags = samples.values(["id", field, "tags"])
    frame = pd.DataFrame({"id": ids, "score": pd.to_numeric(pd.Series(scores, dtype=object))})
    frame["taken"] = [away_from_tag is not None and away_from_tag in (each or ()) for each in tags]
    vectors = _vectors(samples, ids, embeddings, scorer, progress)
    if class_field is not None:
        frame["class"] = pd.Series([class_names(each) for each in samples.values(paths[class_field])], dtype=object)
        frame = frame.explode("class")
        vectors = vectors[frame.index.to_numpy()]
        frame = frame.reset_index(drop=True)
    chosen = select(
        frame,
        count,
        "score",
        vectors,
        strength,
        None if class_field is None else "class",
        ascending=which == "bottom",
        preselected="taken",
        near_duplicates=near_duplicates,
        near_distance=near_distance,
    )
    selected = list(dict.fromkeys(chosen["id"]))
    left_out = set(frame["id"].iloc[[row for rows in chosen["near_duplicates"] for row in rows]]) - set(selected)
    return DiverseView(samples.select(selected, ordered=True), len(left_out))


def _vectors(
    samples: Any, ids: list[str], source: str | None, scorer: Scorer | None, progress: ProgressOption
) -> npt.NDArray[np.float32]:
    """An embedding of each sample, (N, D); NaN for one that has none."""
    if source is None:
        if samples._is_patches or samples._is_frames:
            raise OptionError("diverse patches and frames need a field of embeddings: compute one, and name it")
        return image_features(samples.values("filepath"), progress=progress, scorer=scorer)
    known = embedding_sources(samples)
    if source not in known:
        raise OptionError(
            f"{source!r} is neither a field of embeddings nor a similarity index; available: "
            f"{', '.join(known) or 'none'}"
        )
    if samples.has_field(source):
        found = dict(zip(ids, samples.values(source), strict=True))
    else:
        rows, sample_ids, _ = root_dataset(samples).load_brain_results(source).get_embeddings(sample_ids=ids)
        found = dict(zip(map(str, sample_ids), rows, strict=True))
    size = next((np.size(row) for row in found.values() if row is not None), 0)
    if not size:
        raise OptionError(f"{source!r} holds no embeddings of these samples: compute them first")
    rows = [found.get(each) for each in ids]
    try:
        return np.array([np.full(size, np.nan) if row is None else np.ravel(row) for row in rows], np.float32)
    except ValueError as error:
        raise OptionError(f"the embeddings in {source!r} are not all of one size") from error
