"""A view in words: what it is cut to, and how it is sorted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import fiftyone as fo


def describe_view(view: Any, fields: list[str]) -> list[str]:
    """The stages of a view in words, in order; those that this plugin does not know by their names.

    Args:
        view: a dataset or view.
        fields: its memorability fields.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone.dataset.description import describe_view
        >>> from resmem_plugin.fiftyone.dataset.distribution import bin_view
        >>> dataset = fo.Dataset()
        >>> _ = dataset.add_sample(fo.Sample(filepath="a.png", memorability=0.7, kind="dog"))
        >>> view = bin_view(dataset, "memorability", 0.6, 0.8, closed=False)
        >>> describe_view(view.sort_by("memorability", reverse=True), ["memorability"])
        ['memorability from 0.6 to 0.8', 'sorted by memorability, highest first']
    """
    return [_DESCRIBE.get(type(stage), _by_name)(stage, fields) for stage in own_stages(view)]


def own_stages(view: Any) -> list[Any]:
    """The stages of a view; of a view of patches or frames, those after they were made."""
    return list(view._stages) if isinstance(view, fo.DatasetView) else []


def without_stages(view: Any, count: int | None = None) -> Any:
    """The view without its last `count` stages; None: without all that `own_stages` lists."""
    base, stages = view._base_view, own_stages(view)
    found = base if base._is_generated else base.view()
    if found.media_type == "group":
        found.group_slice = view.group_slice
    for stage in [] if count is None else stages[:-count]:
        found = found.add_stage(stage)
    return found


def sort_direction(view: Any, field: str) -> str | None:
    """ "most" or "least" if the view's last stage sorts by a memorability field, that first; otherwise None."""
    stages = own_stages(view)
    if not stages or not isinstance(stages[-1], fo.SortBy):
        return None
    path, reverse = _sorted_by(stages[-1], [field])
    return None if path != field else "most" if reverse else "least"


def shows_failed(view: Any, field: str) -> bool:
    """Whether a view is cut to the samples without a score."""
    return any(isinstance(stage, fo.Exists) and stage.field == f"{field}_error" for stage in own_stages(view))


def _sort(stage: Any, fields: list[str]) -> str:
    path, reverse = _sorted_by(stage, fields)
    return f"sorted by {path}, {'highest' if reverse else 'lowest'} first" if path else "sorted"


def _sorted_by(stage: Any, fields: list[str]) -> tuple[str | None, bool]:
    """The path that a stage sorts by, also if it is in the expression that puts missing scores last."""
    if isinstance(stage.field_or_expr, str):
        return stage.field_or_expr, bool(stage.reverse)
    text = str(stage._serialize())
    return next((field for field in fields if f"'${field}'" in text), None), bool(stage.reverse)


def _match(stage: Any, fields: list[str]) -> str:
    condition = stage.filter
    if isinstance(condition, Mapping) and len(condition) == 1:
        [(path, wanted)] = condition.items()
        if isinstance(wanted, str) and not path.startswith("$"):
            return f"{path.removesuffix('.label')} is {wanted}"
        if path in fields and isinstance(wanted, Mapping) and "$gte" in wanted:
            high = wanted.get("$lte", wanted.get("$lt"))
            return f"{path} from {wanted['$gte']:g}" + (f" to {high:g}" if isinstance(high, (int, float)) else "")
    return "filtered"


def _filter_field(stage: Any, fields: list[str]) -> str:  # noqa: ARG001
    return f"{stage.field} filtered"


def _exists(stage: Any, fields: list[str]) -> str:
    failed = [field for field in fields if stage.field == f"{field}_error"]
    if failed:
        return f"failed, without {failed[0]}"
    return f"{'with' if stage._bool else 'without'} {stage.field}"


def _limit(stage: Any, fields: list[str]) -> str:  # noqa: ARG001
    return f"the first {stage.limit:,}"


def _select(stage: Any, fields: list[str]) -> str:  # noqa: ARG001
    return f"{len(stage.sample_ids):,} selected"


def _by_name(stage: Any, fields: list[str]) -> str:  # noqa: ARG001
    return str(type(stage).__name__)


_DESCRIBE: dict[type, Callable[[Any, list[str]], str]] = {
    fo.SortBy: _sort,
    fo.Match: _match,
    fo.FilterField: _filter_field,
    fo.FilterLabels: _filter_field,
    fo.Exists: _exists,
    fo.Limit: _limit,
    fo.Select: _select,
}
