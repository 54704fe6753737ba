"""Views by memorability: sorted, the top or bottom, a range, the same number of each class."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, Literal, TypeAlias

import fiftyone as fo
from fiftyone import ViewField

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.dataset.schema import DEFAULT_FIELD, is_score_field

Which: TypeAlias = Literal["top", "bottom"]

_MAX_LIMIT = 2**31 - 1  # of the database


def sortable_fields(samples: Any) -> list[str]:
    """The memorability fields with one value per sample, or in a patches view per patch."""
    schema = samples.get_field_schema(flat=True)
    lists = tuple(f"{path}." for path, found in schema.items() if isinstance(found, fo.ListField))
    return [path for path, found in schema.items() if is_score_field(path, found) and not path.startswith(lists)]


def scored_label_fields(samples: Any) -> set[str]:
    """The label fields of this collection whose labels have memorability."""
    schema = samples.get_field_schema(flat=True)
    lists = [path for path, found in schema.items() if isinstance(found, fo.ListField)]
    return {
        name.rpartition(".")[0]
        for name in lists
        for path, found in schema.items()
        if is_score_field(path, found) and path.startswith(f"{name}.")
    }


def resolve_field(samples: Any, field: str | None) -> str:
    """The memorability field of that name; None: the default one.

    Raises:
        OptionError: if there is none.
    """
    fields = sortable_fields(samples)
    if field is None and fields:
        return DEFAULT_FIELD if DEFAULT_FIELD in fields else fields[0]
    if field not in fields:
        raise OptionError(
            f"{field!r} is not a memorability field; available: {', '.join(fields)}"
            if fields
            else "these samples have no memorability scores: run the operator compute_memorability first"
        )
    return field


def number_paths(samples: Any) -> dict[str, str]:
    """The fields of numbers, or of Regression labels -> the paths of the numbers."""
    paths = {}
    for name, found in samples.get_field_schema().items():
        if getattr(found, "document_type", None) is fo.Regression:
            paths[name] = f"{name}.value"
        elif isinstance(found, (fo.FloatField, fo.IntField)):
            paths[name] = name
    return paths


def number_path(samples: Any, name: str) -> str:
    """The path of the numbers of a field, or of a path within an embedded document.

    Raises:
        OptionError: if it holds none.
    """
    found = samples.get_field(name)
    if getattr(found, "document_type", None) is fo.Regression:
        return f"{name}.value"
    if not isinstance(found, (fo.FloatField, fo.IntField)):
        what = "no field" if found is None else f"a {type(found).__name__}"
        raise OptionError(f"{name!r} is {what}: name a field of numbers or of Regression labels")
    return name


def class_paths(samples: Any) -> dict[str, str]:
    """The fields that assign classes to samples -> the paths of the class names."""
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


def class_names(value: Any) -> Any:
    """The class of a sample; of several the different ones, sorted; None for one that is None."""
    return sorted({name for name in value if name is not None}) if isinstance(value, list) else value


def sort_view(samples: Any, field: str | None = None, *, most_memorable_first: bool = True) -> Any:
    """A view of the collection sorted by memorability; samples without a score come last.

    Args:
        samples: a dataset or view with memorability scores.
        field: the memorability field; None: the default one.
        most_memorable_first: sort in descending order.

    Raises:
        OptionError: if there is no such field.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone.dataset.views import sort_view
        >>> dataset = fo.Dataset()
        >>> _ = dataset.add_samples(
        ...     [fo.Sample(filepath="coffee.png", memorability=0.6), fo.Sample(filepath="rocket.jpg", memorability=0.8)]
        ... )
        >>> sort_view(dataset).values("memorability")
        [0.8, 0.6]
        >>> sort_view(dataset, most_memorable_first=False).values("memorability")
        [0.6, 0.8]
    """
    field = resolve_field(samples, field)
    samples = _without_sort(samples)
    if most_memorable_first:
        return samples.sort_by(field, reverse=True)
    # MongoDB sorts None before every number.
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
    """A view of the most or least memorable samples, sorted by memorability.

    Args:
        samples: a dataset or view with memorability scores.
        memorability_field: the memorability field; None: the default one.
        which: "top", the most memorable first, or "bottom", the least memorable first.
        count: the number of samples.
        percent: the percentage of the samples that have a score, 0 to 100, rounded up.
        low: the minimum memorability.
        high: the maximum memorability.
        class_field: select `count` or `percent` per class of this label or string field.

    Raises:
        OptionError: if there is no such field, or a limit is invalid.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone.dataset.views import select_view
        >>> dataset = fo.Dataset()
        >>> scores = {"coffee.png": 0.6, "rocket.jpg": 0.8, "china.jpg": 0.7}
        >>> _ = dataset.add_samples(
        ...     [fo.Sample(filepath=path, memorability=score) for path, score in scores.items()]
        ... )
        >>> select_view(dataset, count=2).values("memorability")
        [0.8, 0.7]
        >>> select_view(dataset, which="bottom", percent=30).values("memorability")
        [0.6]
        >>> select_view(dataset, low=0.65, high=0.75).values("memorability")
        [0.7]
    """
    field = resolve_field(samples, memorability_field)
    if which not in ("top", "bottom"):
        raise OptionError(f"which must be 'top' or 'bottom', not {which!r}")
    for name, value in {"percent": percent, "low": low, "high": high}.items():
        _check_number(name, value)
    if count is not None and percent is not None:
        raise OptionError("count and percent exclude each other: give one of them")
    if count is not None:
        check_count(count)
    if percent is not None and not 0 < percent <= 100:
        raise OptionError(f"percent must be above 0 and at most 100, not {percent}")
    if low is not None and high is not None and low > high:
        raise OptionError(f"the range is empty: its lower end {low} is above its upper end {high}")
    scored = _without_sort(samples).exists(field)
    if low is not None or high is not None:
        score = ViewField(field)
        scored = scored.match((score >= (0 if low is None else low)) & (score <= (1 if high is None else high)))
    ordered = scored.sort_by(field, reverse=which == "top")
    if class_field is not None:
        return _select_per_class(ordered, class_field, count, percent)
    if percent is not None:
        count = math.ceil(ordered.count() * percent / 100)
    return ordered if count is None else ordered.limit(min(count, _MAX_LIMIT))


def check_count(count: object) -> None:
    """Check a number of samples.

    Raises:
        OptionError: if it is no whole number from 1 on.
    """
    if isinstance(count, bool) or not isinstance(count, int):
        raise OptionError(f"count must be a whole number, not {count!r}")
    if count < 1:
        raise OptionError(f"count must be at least 1, not {count}")


def _check_number(name: str, value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value != value):
        raise OptionError(f"{name} must be a number, not {value!r}")


def _select_per_class(ordered: Any, class_field: str, count: int | None, percent: float | None) -> Any:
    paths = class_paths(ordered)
    if class_field not in paths:
        raise OptionError(f"{class_field!r} is not a class field; available: {', '.join(paths) or 'none'}")
    members: dict[str, list[str]] = defaultdict(list)
    sample_ids, classes = ordered.values(["id", paths[class_field]])
    for sample_id, names in zip(sample_ids, classes, strict=True):
        for name in dict.fromkeys(names if isinstance(names, list) else [names]):
            if name is not None:
                members[name].append(sample_id)
    selected = set()
    for ids in members.values():
        selected.update(ids[: math.ceil(len(ids) * percent / 100) if percent is not None else count])
    return ordered.select([sample_id for sample_id in sample_ids if sample_id in selected], ordered=True)


def _without_sort(samples: Any) -> Any:
    """The view without the SortBy stages at its end, so that it is not sorted twice."""
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
