"""Mean memorability per class, with confidence intervals, and the view of a class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit

from resmem_plugin.fiftyone.dataset.views import class_paths

MAX_CLASSES = 20
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class ClassMean:
    """The scores of a class.

    Attributes:
        name: the class.
        mean: mean memorability.
        count: samples of the class that have a score.
        margin: half the width of the mean's 95 % confidence interval, from Student's t; None for a single sample.
    """

    name: str
    mean: float
    count: int
    margin: float | None


def means_by_class(samples: Any, field: str, class_field: str) -> list[ClassMean]:
    """The means of the `MAX_CLASSES` largest classes, the most memorable first.

    A sample with several labels of a class counts once. Scores outside of 0 to 1 do not count.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone.dataset.class_means import means_by_class
        >>> dataset = fo.Dataset()
        >>> _ = dataset.add_samples(
        ...     [fo.Sample(filepath=f"{n}.png", memorability=n / 10, kind="ab"[n > 6]) for n in (5, 6, 7, 8)]
        ... )
        >>> means = means_by_class(dataset, "memorability", "kind")
        >>> [(found.name, round(found.mean, 2), round(found.margin, 2)) for found in means]
        [('b', 0.75, 0.64), ('a', 0.55, 0.64)]
    """
    names = f"${class_paths(samples)[class_field]}"
    pipeline = [
        {"$match": {field: {"$gte": 0, "$lte": 1}}},
        {"$project": {"score": f"${field}", "class": {"$cond": [{"$isArray": names}, names, [names]]}}},
        {"$project": {"score": 1, "class": {"$setUnion": ["$class", []]}}},
        {"$unwind": "$class"},
        {"$match": {"class": {"$ne": None}}},
        {
            "$group": {
                "_id": "$class",
                "mean": {"$avg": "$score"},
                "deviation": {"$stdDevSamp": "$score"},
                "count": {"$sum": 1},
            }
        },
        {"$sort": {"count": -1, "_id": 1}},
        {"$limit": MAX_CLASSES},
        {"$sort": {"mean": -1, "_id": 1}},
    ]
    return [
        ClassMean(
            name=str(row["_id"]),
            mean=row["mean"],
            count=row["count"],
            margin=_margin(row["deviation"], row["count"]) if row["count"] > 1 else None,
        )
        for row in samples._aggregate(post_pipeline=pipeline)
    ]


def counts_by_class(
    samples: Any, field: str, class_field: str, classes: Sequence[str], edges: Sequence[float]
) -> dict[str, tuple[int, ...]]:
    """How many scores of each of these classes lie in each bin of a histogram, whose bins are equally wide.

    As for the histogram, a bin includes its lower edge, and the last one its upper edge too.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone.dataset.class_means import counts_by_class
        >>> dataset = fo.Dataset()
        >>> _ = dataset.add_samples(
        ...     [fo.Sample(filepath=f"{n}.png", memorability=n / 10, kind="ab"[n > 6]) for n in (5, 6, 7, 8)]
        ... )
        >>> counts_by_class(dataset, "memorability", "kind", ["a", "b"], [0.5, 0.6, 0.7, 0.8])
        {'a': (1, 1, 0), 'b': (0, 0, 2)}
    """
    names, width = f"${class_paths(samples)[class_field]}", edges[1] - edges[0]
    number = {"$floor": {"$add": [{"$divide": [{"$subtract": [f"${field}", edges[0]]}, width]}, 1e-6]}}
    pipeline = [
        {"$match": {field: {"$gte": 0, "$lte": 1}}},
        {"$project": {"bin": number, "class": {"$cond": [{"$isArray": names}, names, [names]]}}},
        {"$project": {"bin": 1, "class": {"$setUnion": ["$class", []]}}},
        {"$unwind": "$class"},
        {"$match": {"class": {"$in": list(classes)}}},
        {"$group": {"_id": {"class": "$class", "bin": "$bin"}, "count": {"$sum": 1}}},
    ]
    counts = {name: [0] * (len(edges) - 1) for name in classes}
    for row in samples._aggregate(post_pipeline=pipeline):
        counts[row["_id"]["class"]][min(max(int(row["_id"]["bin"]), 0), len(edges) - 2)] += row["count"]
    return {name: tuple(found) for name, found in counts.items()}


def class_view(samples: Any, class_field: str, name: str) -> Any:
    """The samples of a class; of several labels of a sample one is enough."""
    return samples.match({class_paths(samples)[class_field]: name})


def _margin(deviation: float, count: int) -> float:
    quantile = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2))
    return quantile * deviation / math.sqrt(count)
