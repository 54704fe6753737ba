"""Means by class, with their intervals."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest
from scipy import stats

from resmem_plugin.fiftyone.dataset.class_means import class_view, means_by_class


def test_means_by_class(scored: Any) -> None:
    rows: Any = means_by_class(scored.match(fo.ViewField("memorability") != 0.8), "memorability", "kind")
    assert [(row.name, row.mean, row.count) for row in rows] == [
        ("cat", pytest.approx(0.7), 3),
        ("dog", pytest.approx(0.6), 1),
    ]
    assert rows[1].margin is None
    by_thing: Any = {row.name: (row.mean, row.count) for row in means_by_class(scored, "memorability", "things")}
    mean = pytest.approx(0.7)
    assert by_thing == {"cat": (mean, 3), "dog": (mean, 2), "any": (mean, 5)}


def test_the_interval_is_that_of_students_t(dataset: Any) -> None:
    values = [0.5, 0.6, 0.65, 0.9]
    dataset.add_samples([fo.Sample(filepath=f"{n}.png", memorability=v, kind="a") for n, v in enumerate(values)])
    [found] = means_by_class(dataset, "memorability", "kind")
    low, high = stats.t.interval(0.95, 3, loc=found.mean, scale=stats.sem(values))
    assert found.margin is not None
    assert (found.mean - found.margin, found.mean + found.margin) == pytest.approx((low, high))


@pytest.mark.parametrize(("field", "expected"), [("kind", 3), ("things", 3)])
def test_view_of_a_class(scored: Any, field: str, expected: int) -> None:
    assert len(class_view(scored.exists("memorability"), field, "cat")) == expected
