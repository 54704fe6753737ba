"""Figures of a scored collection, reckoned in the database: what the panel shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fiftyone import ViewField

from resmem_plugin.fiftyone.dataset.fields import ScoreField
from resmem_plugin.fiftyone.dataset.schema import dataset_of
from resmem_plugin.fiftyone.dataset.views import classes_of

CLASSES_SHOWN = 20
BINS = 50
"""Of a histogram, at most."""

_RESOLUTION = 0.0001
_WIDTHS = (5, 10, 20, 25, 50, 100, 200)
"""Of the histogram's bins, in units of the resolution."""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """The scores of a collection.

    Attributes:
        total: samples in the collection.
        scored: those that have a score from 0 to 1.
        failed: those that have a reason why not.
        mean: mean memorability, or None without scores.
        quartiles: the lower quartile, the median and the upper one; None without scores.
        edges: the edges of the histogram's bins, one more than there are bins.
        counts: samples in each bin: from its lower edge to below its upper one, which of the last is included.
    """

    total: int
    scored: int
    failed: int
    mean: float | None
    quartiles: tuple[float | None, ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]


def distribution(samples: Any, field: str) -> Distribution:
    """The distribution of a field of memorability over a collection, from one pass through the database.

    The quartiles are exact to .0001.
    """
    score, reason = f"${field}", f"${field}_error"
    valid = {"$and": [{"$gte": [score, 0]}, {"$lte": [score, 1]}]}  # so another tool's NaN does not count
    fine = {"$floor": {"$add": [{"$multiply": [{"$min": [score, 1 - _RESOLUTION]}, round(1 / _RESOLUTION)]}, 1e-6]}}
    pipeline = [
        {
            "$group": {
                "_id": {"$cond": [valid, fine, None]},
                "count": {"$sum": 1},
                "sum": {"$sum": {"$cond": [valid, score, 0]}},
                "failed": {"$sum": {"$cond": [{"$gt": [reason, None]}, 1, 0]}},
            }
        },
        {"$sort": {"_id": 1}},
    ]
    rows = list(samples._aggregate(post_pipeline=pipeline))
    fine_counts = {int(row["_id"]): int(row["count"]) for row in rows if row["_id"] is not None}
    scored = sum(fine_counts.values())
    edges, counts = _histogram(fine_counts) if scored else ((), ())
    return Distribution(
        total=sum(row["count"] for row in rows),
        scored=scored,
        failed=sum(row["failed"] for row in rows),
        mean=sum(row["sum"] for row in rows) / scored if scored else None,
        quartiles=tuple(_quantile(fine_counts, scored, share) for share in (0.25, 0.5, 0.75)),
        edges=edges,
        counts=counts,
    )


def _histogram(fine_counts: dict[int, int]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Edges and counts of the finest bins of a round width that are not too many."""
    lowest, highest = min(fine_counts), max(fine_counts) + 1
    for width in _WIDTHS:
        first, last = lowest // width, -(-highest // width)
        if last - first <= BINS:
            break
    counts = [0] * (last - first)
    for fine, count in fine_counts.items():
        counts[fine // width - first] += count
    return tuple(round(number * width * _RESOLUTION, 4) for number in range(first, last + 1)), tuple(counts)


def _quantile(fine_counts: dict[int, int], scored: int, share: float) -> float | None:
    passed = 0
    for fine, count in fine_counts.items():
        passed += count
        if passed >= share * scored:
            return round((fine + 0.5) * _RESOLUTION, 5)
    return None


def bins_view(samples: Any, field: str, low: float, high: float, *, last: float) -> Any:
    """What a histogram's bins from the edge `low` to the edge `high` count; `last` is its last edge."""
    score = ViewField(field)
    return samples.match((score >= low) & ((score <= high) if high >= last else (score < high)))


def means_by_class(samples: Any, field: str, class_field: str) -> list[tuple[str, float, int]]:
    """(class, mean memorability, samples) of the largest classes, the most memorable first.

    A sample with several objects of a class counts once.
    """
    names = f"${classes_of(samples)[class_field]}"
    pipeline = [
        {"$match": {field: {"$ne": None}}},
        {"$project": {"score": f"${field}", "class": {"$cond": [{"$isArray": names}, names, [names]]}}},
        {"$project": {"score": 1, "class": {"$setUnion": ["$class", []]}}},
        {"$unwind": "$class"},
        {"$match": {"class": {"$ne": None}}},
        {"$group": {"_id": "$class", "mean": {"$avg": "$score"}, "count": {"$sum": 1}}},
        {"$sort": {"count": -1, "_id": 1}},
        {"$limit": CLASSES_SHOWN},
        {"$sort": {"mean": -1}},
    ]
    return [(str(row["_id"]), row["mean"], row["count"]) for row in samples._aggregate(post_pipeline=pipeline)]


def provenance_line(samples: Any, field: str) -> str:
    """What produced the scores and when, in a line."""
    score_field = ScoreField(dataset_of(samples), _path_in_dataset(samples, field))
    known = score_field.provenance
    if known is None:
        return "What produced these scores is not known."
    when = (score_field.run or {}).get("when", "")[:16]
    upright = ", rotated by EXIF" if known.exif_transpose else ""
    decode = "" if known.decode == "exact" else f", decode {known.decode}"
    return (
        f"ResMem, {known.engine} {known.precision}{decode}{upright}, provenance {known.id}"
        f"{f', {when} UTC' if when else ''}"
    )


def _path_in_dataset(samples: Any, field: str) -> str:
    """The path in the data set of a field as a view of patches or frames names it."""
    if samples._is_frames:
        return f"frames.{field}"
    label, _, attribute = field.rpartition(".")
    kind = getattr(dataset_of(samples).get_field(label), "document_type", None) if label else None
    listed = getattr(kind, "_LABEL_LIST_FIELD", None)
    return f"{label}.{listed}.{attribute}" if samples._is_patches and listed else field
