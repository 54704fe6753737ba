"""`evaluate_memorability`: the scores of a dataset against what people remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fiftyone as fo
import pandas as pd

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.dataset.names import check_field_name
from resmem_plugin.fiftyone.dataset.schema import DEFAULT_FIELD, PROVENANCE_INFO, root_dataset
from resmem_plugin.fiftyone.dataset.views import class_paths, number_path, resolve_field

if TYPE_CHECKING:
    from resmem_plugin.training import Evaluation

EVALUATION_METHOD = "resmem/evaluation"
"""The method under which evaluations are registered: `dataset.list_runs(method=EVALUATION_METHOD)`."""


def evaluate_memorability(
    samples: Any,
    gt_field: str,
    memorability_field: str = DEFAULT_FIELD,
    *,
    group_field: str | None = None,
    eval_key: str | None = None,
    resamples: int = 1000,
) -> Evaluation:
    """Compare memorability scores with what people remembered.

    Args:
        samples: a dataset or view that has been scored; a view of patches or frames is compared one by one.
        gt_field: the field of what was measured: a number, or a Regression label.
        memorability_field: the field of scores.
        group_field: a label or text field whose classes are compared too, and resampled each by itself.
        eval_key: store the figures as a run of this name, which `dataset.load_run_results(eval_key)` returns, and in a
            field of this name by how much each score is above what was measured. None: store nothing.
        resamples: of the bootstrap, for the intervals.

    Returns:
        The `Evaluation`; samples that lack a score or a measured value are left out, and counted.

    Raises:
        OptionError: for a field that does not exist or holds no numbers, an `eval_key` that is taken, or fewer than two
            samples with both.
        MissingPackageError: if SciPy is not installed.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone import compute_memorability, evaluate_memorability
        >>> dataset = fo.Dataset.from_images(["rocket.jpg", "coffee.png", "chelsea.png"], progress=False)
        >>> dataset.set_values("hit_rate", [0.5, 0.9, 0.7])
        >>> _ = compute_memorability(dataset)
        >>> evaluation = evaluate_memorability(dataset, "hit_rate", eval_key="study")
        >>> evaluation.count, round(evaluation.spearman.value, 2), evaluation.caution
        (3, 1.0, None)
        >>> [round(difference, 2) for difference in dataset.values("study")]
        [0.14, -0.02, 0.14]
    """
    from resmem_plugin.training import evaluate

    field = resolve_field(samples, memorability_field)
    columns = {"path": "filepath", "score": field, "target": number_path(samples, gt_field)}
    if group_field is not None:
        paths = class_paths(samples)
        if group_field not in paths:
            raise OptionError(f"{group_field!r} is no field of classes; available: {', '.join(paths) or 'none'}")
        columns["group"] = paths[group_field]
    if eval_key is not None:
        _check_key(samples, eval_key)
    frame = pd.DataFrame(dict(zip(columns, samples.values(list(columns.values())), strict=True)))
    if group_field is not None and any(isinstance(value, list) for value in frame["group"]):
        raise OptionError(f"{group_field!r} holds several classes for a sample: name a field with one")
    frame[["score", "target"]] = frame[["score", "target"]].astype("float64")
    found = samples.get_field(field)
    frame.attrs["resmem"] = (found.info or {}).get(PROVENANCE_INFO) or {}
    evaluation = evaluate(frame, "score", "target", "group" if group_field is not None else None, resamples)
    if eval_key is not None:
        _store(samples, eval_key, evaluation, frame, field, gt_field)
    return evaluation


def _check_key(samples: Any, key: str) -> None:
    dataset = root_dataset(samples)
    is_own = dataset.has_run(key) and dataset.get_run_info(key).config.method == EVALUATION_METHOD
    if samples._is_frames or samples._is_patches:
        raise OptionError("the differences of frames and patches cannot be stored: leave eval_key out")
    check_field_name(key, dataset, of_labels=False)
    if not is_own and (dataset.has_field(key) or dataset.has_run(key)):
        raise OptionError(f"{dataset.name!r} has a field or run {key!r} already: choose another eval_key")


def _store(samples: Any, key: str, evaluation: Evaluation, frame: pd.DataFrame, field: str, gt_field: str) -> None:
    dataset = root_dataset(samples)
    differences = (frame["score"] - frame["target"]).astype(object)
    description = f"{field} less {gt_field}: above 0, the score is higher than what was measured"
    if dataset.has_field(key):
        dataset.clear_sample_field(key)
    else:
        dataset.add_sample_field(key, fo.FloatField, description=description)
    samples.set_values(key, differences.where(differences.notna(), None).tolist())
    config = dataset.init_run(method=EVALUATION_METHOD, field=field, gt_field=gt_field)
    dataset.register_run(key, config, overwrite=True)
    dataset.save_run_results(key, dataset.init_run_results(key, **evaluation.to_dict()))
