"""`fine_tune_memorability`: ResMem trained on a field of a dataset."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.fiftyone.compute import compute_memorability
from resmem_plugin.fiftyone.dataset.names import check_field_name
from resmem_plugin.fiftyone.dataset.schema import root_dataset
from resmem_plugin.fiftyone.dataset.views import number_path

if TYPE_CHECKING:
    from resmem_plugin.training import FineTuned, FittedHead

SPLIT_TAGS = ("train", "validation", "test")
_SYNONYMS = {"val": "validation"}


def fine_tune_memorability(
    samples: Any,
    gt_field: str,
    output: str | os.PathLike[str],
    *,
    method: Literal["head", "full"] = "head",
    split_tags: bool = False,
    memorability_field: str | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
    **options: Any,
) -> FittedHead | FineTuned:
    """Train ResMem on what was measured of the images of a dataset.

    Args:
        samples: a dataset or view of images. Those without a value, or that cannot be read, are left out.
        gt_field: the field of what was measured, 0 to 1: a number, or a Regression label.
        output: the .safetensors file to write; a model card is written beside it, as .md.
        method: "head" fits the last layer, by ridge regression; it takes about as long as scoring the images once, and
            is the better choice for 50 to some thousand. "full" is `resmem_plugin.training.fine_tune`.
        split_tags: with "full", train on the samples tagged "train", validate on "validation" (or "val"), and evaluate
            on "test". Otherwise a tenth is drawn to validate on.
        memorability_field: score all samples with the trained weights into this field, too. None: do not. The scores
            of images that were trained on flatter the weights: the evaluation that is returned does not use them.
        overwrite: replace existing files.
        progress: show bars; None: on a terminal.
        **options: with "full", of `TrainingOptions`.

    Returns:
        A `FittedHead` or `FineTuned`: the weights with their hash, and how good they are on images that they were not
        fitted to.

    Raises:
        OptionError: for a field that does not exist or holds no numbers from 0 to 1, patches or frames, too few
            images, an output that exists, or options that do not fit.
        MissingPackageError: if a package for training is not installed.

    Examples:
        >>> import fiftyone as fo
        >>> import numpy as np
        >>> from resmem_plugin.fiftyone import fine_tune_memorability
        >>> dataset = fo.Dataset.from_images(["rocket.jpg", "coffee.png"] * 10, progress=False)
        >>> dataset.set_values("hit_rate", [0.4, 0.9] * 10)
        >>> fitted = fine_tune_memorability(dataset, "hit_rate", "mine.safetensors", memorability_field="mine")
        >>> [round(score, 1) for score in dataset.values("mine")[:2]]
        [0.4, 0.9]
        >>> fitted.weights[:24]
        'mine.safetensors#sha256='
    """
    from resmem_plugin.training import fine_tune, fit_head

    if method not in ("head", "full"):
        raise OptionError(f"method must be 'head' or 'full', not {method!r}")
    if method == "head" and (options or split_tags):
        given = ", ".join([*options, *(["split_tags"] if split_tags else [])])
        raise OptionError(f"{given} is for method='full': method='head' fits one layer, by cross-validation")
    if samples._is_patches or samples._is_frames or samples.media_type == "video":
        raise OptionError("patches, frames and videos cannot be trained on: pass a dataset or view of images")
    if memorability_field is not None:
        check_field_name(memorability_field, root_dataset(samples), of_labels=False)
    path = number_path(samples, gt_field)
    frame = pd.DataFrame(dict(zip(("path", "measured"), samples.values(["filepath", path]), strict=True)))
    frame["measured"] = frame["measured"].astype("float64")
    if method == "head":
        trained: FittedHead | FineTuned = fit_head(frame, "measured", output, overwrite=overwrite)
    else:
        if split_tags:
            frame["split"] = [_split(tags) for tags in samples.values("tags")]
        split = "split" if split_tags else None
        trained = fine_tune(frame, "measured", output, split=split, overwrite=overwrite, progress=progress, **options)
    if memorability_field is not None:
        compute_memorability(samples, memorability_field, scorer=Scorer(weights=trained.weights), progress=progress)
    return trained


def _split(tags: list[str]) -> str | None:
    found = {_SYNONYMS.get(tag, tag) for tag in tags} & set(SPLIT_TAGS)
    if len(found) > 1:
        raise OptionError(f"a sample is tagged {' and '.join(sorted(found))}: leave one of these tags")
    return next(iter(found), None)
