from __future__ import annotations

import itertools
from typing import Any

import fiftyone as fo
import pytest

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.dataset.distribution import bin_view, distribution, means_by_class
from resmem_plugin.fiftyone.dataset.views import class_paths, select_view, sort_view, sortable_fields

SCORES = [0.5, 0.9, None, 0.6, 0.8, 0.7]
CLASSES = ["cat", "cat", "cat", "dog", "dog", "cat"]


@pytest.fixture
def scored(dataset: Any) -> Any:
    for number, (score, name) in enumerate(zip(SCORES, CLASSES, strict=True)):
        boxes = [fo.Detection(label=label, bounding_box=[0, 0, 1, 1]) for label in (name, name, "any")]
        dataset.add_sample(
            fo.Sample(
                filepath=f"{number}.png", memorability=score, memorability_error=None if score else "why",
                kind=fo.Classification(label=name), things=fo.Detections(detections=boxes), split="train",
            )
        )  # fmt: skip
    return dataset


def _scores(view: Any) -> list[float | None]:
    return list(view.values("memorability"))


def test_sorting_puts_what_has_no_score_last(scored: Any) -> None:
    assert _scores(sort_view(scored)) == [0.9, 0.8, 0.7, 0.6, 0.5, None]
    least = sort_view(scored, most_memorable_first=False)
    assert _scores(least) == [0.5, 0.6, 0.7, 0.8, 0.9, None]
    again = sort_view(least)
    assert _scores(again) == [0.9, 0.8, 0.7, 0.6, 0.5, None]
    assert len(again._stages) == 1
    kept = sort_view(sort_view(scored.match(fo.ViewField("kind.label") == "dog")), most_memorable_first=False)
    assert _scores(kept) == [0.6, 0.8]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.9, 0.8, 0.7, 0.6, 0.5]),
        ({"count": 2}, [0.9, 0.8]),
        ({"count": 99}, [0.9, 0.8, 0.7, 0.6, 0.5]),
        ({"which": "bottom", "count": 2}, [0.5, 0.6]),
        ({"percent": 40}, [0.9, 0.8]),
        ({"percent": 1}, [0.9]),
        ({"which": "bottom", "percent": 100}, [0.5, 0.6, 0.7, 0.8, 0.9]),
        ({"low": 0.6, "high": 0.8}, [0.8, 0.7, 0.6]),
        ({"low": 0.85}, [0.9]),
        ({"high": 0.55, "which": "bottom"}, [0.5]),
        ({"count": 1, "class_field": "kind"}, [0.9, 0.8]),
        ({"count": 2, "class_field": "kind", "which": "bottom"}, [0.5, 0.6, 0.7, 0.8]),
        ({"percent": 50, "class_field": "kind"}, [0.9, 0.8, 0.7]),
        ({"count": 1, "class_field": "things"}, [0.9, 0.8]),
        ({"count": 1, "class_field": "split"}, [0.9]),
    ],
)
def test_selections(scored: Any, options: dict[str, Any], expected: list[float]) -> None:
    assert _scores(select_view(scored, **options)) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"which": "middle"}, "which must be"),
        ({"count": 1, "percent": 1}, "not both"),
        ({"count": 0}, "at least 1"),
        ({"count": "5"}, "whole number"),
        ({"count": 2.5}, "whole number"),
        ({"percent": "10"}, "must be a number"),
        ({"low": float("nan")}, "must be a number"),
        ({"percent": 0}, "above 0"),
        ({"percent": 101}, "at most at 100"),
        ({"low": 0.9, "high": 0.1}, "the range is empty"),
        ({"class_field": "filepath", "count": 1}, "there is kind, things, split"),
        ({"memorability_field": "nothing"}, "there is memorability"),
    ],
)
def test_selections_that_make_no_sense(scored: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        select_view(scored, **options)


def test_nothing_is_scored_yet(dataset: Any) -> None:
    dataset.add_sample(fo.Sample(filepath="a.png", uniqueness=0.5))
    assert sortable_fields(dataset) == []
    with pytest.raises(OptionError, match="compute it first"):
        sort_view(dataset)


def test_what_sorts_into_classes(scored: Any) -> None:
    assert class_paths(scored) == {"kind": "kind.label", "things": "things.detections.label", "split": "split"}


def test_the_distribution(scored: Any) -> None:
    found = distribution(scored, "memorability")
    assert (found.total, found.scored, found.failed) == (6, 5, 1)
    assert found.mean == pytest.approx(0.7)
    assert found.quartiles == pytest.approx((0.6, 0.7, 0.8), abs=1e-4)
    assert sum(found.counts) == 5
    assert len(found.edges) == len(found.counts) + 1
    assert found.edges[0] <= 0.5
    assert found.edges[-1] >= 0.9


@pytest.mark.parametrize("values", [[0.0, 1.0], [1.0], [0.0], [0.7, 0.7], [0.41, 0.999999]])
def test_no_score_falls_out_of_the_histogram(dataset: Any, values: list[float]) -> None:
    dataset.add_samples([fo.Sample(filepath=f"{n}.png", memorability=value) for n, value in enumerate(values)])
    found = distribution(dataset, "memorability")
    assert sum(found.counts) == len(values)
    assert found.failed == 0
    cuts = [
        len(bin_view(dataset, "memorability", low, high, last=found.edges[-1]))
        for low, high in itertools.pairwise(found.edges)
    ]
    assert cuts == list(found.counts)
    assert len(found.counts) <= 50


def test_the_distribution_of_nothing(scored: Any) -> None:
    found = distribution(scored.exists("memorability_error"), "memorability")
    assert (found.total, found.scored, found.failed, found.mean, found.counts) == (1, 0, 1, None, ())


def test_means_by_class(scored: Any) -> None:
    rows: Any = means_by_class(scored.match(fo.ViewField("memorability") != 0.8), "memorability", "kind")
    assert rows == [("cat", pytest.approx(0.7), 3), ("dog", pytest.approx(0.6), 1)]
    by_thing: Any = {name: (mean, count) for name, mean, count in means_by_class(scored, "memorability", "things")}
    mean = pytest.approx(0.7)
    assert by_thing == {"cat": (mean, 3), "dog": (mean, 2), "any": (mean, 5)}
