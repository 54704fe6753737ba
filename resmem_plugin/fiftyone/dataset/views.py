"""Views by memorability: sorted, the top or bottom, a range, the same number from each class."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, Literal, TypeAlias

import fiftyone as fo
from fiftyone import ViewField

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.dataset.schema import DEFAULT_FIELD, is_score_field

Which: TypeAlias = Literal["top", "bottom"]

_MAX_LIMIT = 2**31 - 1  # as many as the database counts


def sortable_fields(samples: Any) -> list[str]:
    """The fields of memorability that have one value for each sample, or in a view of patches for each patch."""
    schema = samples.get_field_schema(flat=True)
    lists = tuple(f"{path}." for path, found in schema.items() if isinstance(found, fo.ListField))
    return [path for path, found in schema.items() if is_score_field(path, found) and not path.startswith(lists)]


def scored_objects(samples: Any) -> set[str]:
    """The label fields of this collection whose objects have memorability, each its own."""
    schema = samples.get_field_schema(flat=True)
    lists = [path for path, found in schema.items() if isinstance(found, fo.ListField)]
    return {
        path.partition(".")[0]
        for path, found in schema.items()
        if is_score_field(path, found) and path.startswith(tuple(f"{name}." for name in lists))
    }


def require_field(samples: Any, field: str | None) -> str:
    """The field of that name, or where none is named the one that there is.

    Raises:
        OptionError: if there is none, or no such.
    """
    fields = sortable_fields(samples)
    if field is None and fields:
        return DEFAULT_FIELD if DEFAULT_FIELD in fields else fields[0]
    if field not in fields:
        raise OptionError(
            f"{field!r} is no field of memorability here; there is {', '.join(fields)}"
            if fields
            else "nothing here has memorability yet: compute it first, with the operator compute_memorability"
        )
    return field


def classes_of(samples: Any) -> dict[str, str]:
    """The fields that sort samples into classes -> where the classes' names are."""
    paths = {}
    for name, found in samples.get_field_schema().items():
        kind = getattr(found, "document_type", None)
        if kind in (fo.Classification, fo.Detection, fo.Polyline):
            paths[name] = f"{name}.label"
        elif kind in (fo.Classifications, fo.Detections, fo.Polylines):
            paths[name] = f"{name}.{kind._LABEL_LIST_FIELD}.label"
        elif isinstance(found, fo.StringField) and name not in ("id", "filepath") and not name.endswith("_error"):
            paths[name] = name
    return paths


def sort_view(samples: Any, field: str | None = None, *, most_memorable_first: bool = True) -> Any:
    """The collection sorted by memorability; what has no score comes last."""
    field = require_field(samples, field)
    samples = _unsorted(samples)
    if most_memorable_first:  # the database takes no value for the smallest
        return samples.sort_by(field, reverse=True)
    return samples.sort_by((ViewField(field) == None).if_else(2, ViewField(field)))  # noqa: E711 (an expression)


def select_view(
    samples: Any,
    memorability_field: str | None = None,
    *,
    which: Which = "top",
    count: int | None = None,
    percent: float | None = None,
    low: float | None = None,
    high: float | None = None,
    class_field: str | None = None,
) -> Any:
    """A view of the most or least memorable, in that order.

    Args:
        samples: a data set or view that has been scored.
        memorability_field: the field of memorability; None: the one there is.
        which: "top", the most memorable first, or "bottom", the least.
        count: how many.
        percent: which share of those that have a score, 0 to 100, rounded up.
        low: only what has a memorability from here.
        high: only what has a memorability to here.
        class_field: take `count` or `percent` of each class of this label or string field.

    Raises:
        OptionError: for a field that is not there, or limits that make no sense.
    """
    field = require_field(samples, memorability_field)
    if which not in ("top", "bottom"):
        raise OptionError(f"which must be 'top' or 'bottom', not {which!r}")
    for name, value in {"count": count, "percent": percent, "low": low, "high": high}.items():
        _require_number(name, value)
    if count is not None and percent is not None:
        raise OptionError("name a count or a percentage, not both")
    if count is not None and count < 1:
        raise OptionError(f"count must be at least 1, not {count}")
    if percent is not None and not 0 < percent <= 100:
        raise OptionError(f"percent must lie above 0 and at most at 100, not {percent}")
    if low is not None and high is not None and low > high:
        raise OptionError(f"the range is empty: its lower end {low} lies above its upper end {high}")
    scored = _unsorted(samples).exists(field)
    if low is not None or high is not None:
        score = ViewField(field)
        scored = scored.match((score >= (0 if low is None else low)) & (score <= (1 if high is None else high)))
    ordered = scored.sort_by(field, reverse=which == "top")
    if class_field is not None:
        return _from_each_class(ordered, class_field, count, percent)
    if percent is not None:
        count = math.ceil(ordered.count() * percent / 100)
    return ordered if count is None else ordered.limit(min(count, _MAX_LIMIT))


def _require_number(name: str, value: object) -> None:
    if value is None:
        return
    kinds: Any = int if name == "count" else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or value != value:
        raise OptionError(f"{name} must be a {'whole ' if name == 'count' else ''}number, not {value!r}")


def _from_each_class(ordered: Any, class_field: str, count: int | None, percent: float | None) -> Any:
    paths = classes_of(ordered)
    if class_field not in paths:
        raise OptionError(f"{class_field!r} is no field of classes; there is {', '.join(paths) or 'none'}")
    members: dict[str, list[str]] = defaultdict(list)
    ids, found = ordered.values(["id", paths[class_field]])
    for key, names in zip(ids, found, strict=True):
        for name in dict.fromkeys(names if isinstance(names, list) else [names]):
            if name is not None:
                members[name].append(key)
    chosen = set()
    for keys in members.values():
        chosen.update(keys[: math.ceil(len(keys) * percent / 100) if percent is not None else count])
    return ordered.select([key for key in ids if key in chosen], ordered=True)


def _unsorted(samples: Any) -> Any:
    """The view without the sorting that it ends with: it would be sorted twice."""
    stages = list(samples._stages) if isinstance(samples, fo.DatasetView) and not samples._is_generated else []
    if not stages or not isinstance(stages[-1], fo.SortBy):
        return samples
    while stages and isinstance(stages[-1], fo.SortBy):
        stages.pop()
    view = samples._root_dataset.view()
    if view.media_type == "group":
        view.group_slice = samples.group_slice
    for stage in stages:
        view = view.add_stage(stage)
    return view
