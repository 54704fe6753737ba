"""Views sorted and selected by memorability."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.dataset.views import (
    class_paths,
    scored_label_fields,
    select_view,
    sort_view,
    sortable_fields,
)


def _scores(view: Any) -> list[float | None]:
    return list(view.values("memorability"))


def test_sort_puts_samples_without_score_last(scored: Any) -> None:
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
def test_select_view(scored: Any, options: dict[str, Any], expected: list[float]) -> None:
    assert _scores(select_view(scored, **options)) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"which": "middle"}, "which must be"),
        ({"count": 1, "percent": 1}, "exclude each other"),
        ({"count": 0}, "at least 1"),
        ({"count": "5"}, "whole number"),
        ({"count": 2.5}, "whole number"),
        ({"percent": "10"}, "must be a number"),
        ({"low": float("nan")}, "must be a number"),
        ({"percent": 0}, "above 0"),
        ({"percent": 101}, "at most 100"),
        ({"low": 0.9, "high": 0.1}, "the range is empty"),
        ({"class_field": "filepath", "count": 1}, "available: kind, things, split"),
        ({"memorability_field": "nothing"}, "available: memorability"),
    ],
)
def test_invalid_selections_are_rejected(scored: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        select_view(scored, **options)


def test_sort_without_scores_is_rejected(dataset: Any) -> None:
    dataset.add_sample(fo.Sample(filepath="a.png", uniqueness=0.5))
    assert sortable_fields(dataset) == []
    with pytest.raises(OptionError, match="run the operator compute_memorability first"):
        sort_view(dataset)


def test_class_paths(scored: Any) -> None:
    assert class_paths(scored) == {"kind": "kind.label", "things": "things.detections.label", "split": "split"}


def test_scored_label_fields_include_nested_ones(dataset: Any) -> None:
    labels = fo.Detections(detections=[fo.Detection(memorability=0.5)])
    nested = fo.DynamicEmbeddedDocument(preds=labels.copy())
    dataset.add_sample(fo.Sample(filepath="a.png", gt=labels, data=nested), dynamic=True)
    assert scored_label_fields(dataset) == {"gt", "data.preds"}
