"""Statistics of a scored collection, computed in the database: what the panel shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from resmem_plugin.fiftyone.dataset.fields import ScoreField
from resmem_plugin.fiftyone.dataset.foreign import find_foreign
from resmem_plugin.fiftyone.dataset.schema import root_dataset

MAX_BINS = 50
"""Of a histogram."""

_RESOLUTION = 0.0001
_WIDTHS = (5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 5000)
"""Of the histogram's bins, in units of the resolution."""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """The distribution of the scores of a collection.

    Attributes:
        total: samples in the collection.
        scored: samples with a score from 0 to 1.
        failed: samples with an error.
        mean: mean memorability, or None without scores.
        quartiles: the lower quartile, the median and the upper quartile; None without scores.
        edges: the bin edges of the histogram, one more than there are bins.
        counts: samples per bin, which includes its lower edge, and of the last bin also the upper one.
    """

    total: int
    scored: int
    failed: int
    mean: float | None
    quartiles: tuple[float | None, ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]


def distribution(samples: Any, field: str) -> Distribution:
    """The distribution of a memorability field over a collection, from one aggregation in the database.

    The quartiles are exact to 0.0001.

    Args:
        samples: a dataset or view.
        field: the memorability field.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone.dataset.distribution import distribution
        >>> dataset = fo.Dataset()
        >>> _ = dataset.add_samples(
        ...     [fo.Sample(filepath=f"{number}.png", memorability=number / 10) for number in (5, 6, 7, 8)]
        ... )
        >>> found = distribution(dataset, "memorability")
        >>> found.scored, round(found.mean, 2), sum(found.counts)
        (4, 0.65, 4)
    """
    score, error = f"${field}", f"${field}_error"
    valid = {"$and": [{"$gte": [score, 0]}, {"$lte": [score, 1]}]}  # so that NaN of another tool does not count
    fine = {"$floor": {"$add": [{"$multiply": [{"$min": [score, 1 - _RESOLUTION]}, round(1 / _RESOLUTION)]}, 1e-6]}}
    pipeline = [
        {
            "$group": {
                "_id": {"$cond": [valid, fine, None]},
                "count": {"$sum": 1},
                "sum": {"$sum": {"$cond": [valid, score, 0]}},
                "failed": {"$sum": {"$cond": [{"$gt": [error, None]}, 1, 0]}},
            }
        },
        {"$sort": {"_id": 1}},
    ]
    rows = list(samples._aggregate(post_pipeline=pipeline))
    fine_counts = {int(row["_id"]): int(row["count"]) for row in rows if row["_id"] is not None}
    scored = sum(fine_counts.values())
    edges, counts = _histogram(fine_counts, scored) if scored else ((), ())
    return Distribution(
        total=sum(row["count"] for row in rows),
        scored=scored,
        failed=sum(row["failed"] for row in rows),
        mean=sum(row["sum"] for row in rows) / scored if scored else None,
        quartiles=tuple(_quantile(fine_counts, scored, share) for share in (0.25, 0.5, 0.75)),
        edges=edges,
        counts=counts,
    )


def _histogram(fine_counts: dict[int, int], scored: int) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Edges and counts of at most MAX_BINS bins, of the round width that is nearest to Freedman and Diaconis'.

    Theirs is twice the interquartile range, divided by the cube root of the number of scores.
    """
    lowest, highest = min(fine_counts), max(fine_counts) + 1
    lower, upper = (_quantile(fine_counts, scored, share) or 0 for share in (0.25, 0.75))
    ideal = 2 * (upper - lower) / _RESOLUTION / scored ** (1 / 3)
    if not ideal:  # half of the scores are the same: as many bins as Sturges would take
        ideal = (highest - lowest) / (1 + math.log2(scored))
    for width in sorted(_WIDTHS, key=lambda width: abs(math.log(width / ideal))):
        first, last = lowest // width, -(-highest // width)
        if last - first <= MAX_BINS:
            break
    counts = [0] * (last - first)
    for fine, count in fine_counts.items():
        counts[fine // width - first] += count
    return tuple(round(number * width * _RESOLUTION, 4) for number in range(first, last + 1)), tuple(counts)


def _quantile(fine_counts: dict[int, int], scored: int, share: float) -> float | None:
    cumulative = 0
    for fine, count in fine_counts.items():
        cumulative += count
        if cumulative >= share * scored:
            return round((fine + 0.5) * _RESOLUTION, 5)
    return None


def failure_reasons(samples: Any, field: str) -> list[tuple[str, int]]:
    """Why samples have no score, without what follows a colon, and how many there are of each; the most frequent first.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone.dataset.distribution import failure_reasons
        >>> dataset = fo.Dataset()
        >>> _ = dataset.add_samples(
        ...     [fo.Sample(filepath=f"{n}.png", memorability_error=f"no such file: {n}") for n in range(3)]
        ... )
        >>> failure_reasons(dataset, "memorability")
        [('no such file', 3)]
    """
    reason = {"$arrayElemAt": [{"$split": [f"${field}_error", ":"]}, 0]}
    pipeline = [
        {"$match": {f"{field}_error": {"$ne": None}}},
        {"$group": {"_id": reason, "count": {"$sum": 1}}},
        {"$sort": {"count": -1, "_id": 1}},
    ]
    return [(row["_id"], row["count"]) for row in samples._aggregate(post_pipeline=pipeline)]


def bin_view(samples: Any, field: str, low: float, high: float, *, closed: bool) -> Any:
    """The samples in a histogram's bins from the edge `low` to the edge `high`, with those at `high` if it is closed.

    The condition is one that `description.describe_view` can read again.
    """
    return samples.match({field: {"$gte": low, "$lte" if closed else "$lt": high}})


def describe_provenance(samples: Any, field: str) -> str:
    """The provenance of the scores and the time of the last run, in one line."""
    score_field = ScoreField(root_dataset(samples), _path_in_dataset(samples, field))
    known = score_field.provenance
    if known is None:
        return "The provenance of these scores is unknown."
    when = (score_field.run_report or {}).get("when", "")[:16]
    exif = ", rotated by EXIF" if known.exif_transpose else ""
    decode = "" if known.decode == "exact" else f", decode {known.decode}"
    return (
        f"ResMem, {known.engine} {known.precision}{decode}{exif}, provenance {known.id}"
        f"{f', {when} UTC' if when else ''}"
    )


def describe_mixture(samples: Any, field: str) -> str:
    """A caution if scores in this field have come from elsewhere, else ""."""
    score_field = ScoreField(root_dataset(samples), _path_in_dataset(samples, field))
    stored = score_field.count()
    foreign = find_foreign(score_field, stored)
    return foreign.describe(score_field, stored) if foreign else ""


def _path_in_dataset(samples: Any, field: str) -> str:
    """The path in the dataset of a field of a patches or frames view."""
    if samples._is_frames:
        return f"frames.{field}"
    label, _, attribute = field.rpartition(".")
    kind = getattr(root_dataset(samples).get_field(label), "document_type", None) if label else None
    list_field = getattr(kind, "_LABEL_LIST_FIELD", None)
    return f"{label}.{list_field}.{attribute}" if samples._is_patches and list_field else field
