"""The distribution of scores: histogram, statistics and means by class."""

from __future__ import annotations

import itertools
from typing import Any

import fiftyone as fo
import pytest

from resmem_plugin.fiftyone.dataset.distribution import bin_view, distribution, means_by_class


def test_distribution_statistics(scored: Any) -> None:
    found = distribution(scored, "memorability")
    assert (found.total, found.scored, found.failed) == (6, 5, 1)
    assert found.mean == pytest.approx(0.7)
    assert found.quartiles == pytest.approx((0.6, 0.7, 0.8), abs=1e-4)
    assert sum(found.counts) == 5
    assert len(found.edges) == len(found.counts) + 1
    assert found.edges[0] <= 0.5
    assert found.edges[-1] >= 0.9


@pytest.mark.parametrize("values", [[0.0, 1.0], [1.0], [0.0], [0.7, 0.7], [0.41, 0.999999]])
def test_histogram_bins_hold_every_score(dataset: Any, values: list[float]) -> None:
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


def test_distribution_without_scores(scored: Any) -> None:
    found = distribution(scored.exists("memorability_error"), "memorability")
    assert (found.total, found.scored, found.failed, found.mean, found.counts) == (1, 0, 1, None, ())


def test_means_by_class(scored: Any) -> None:
    rows: Any = means_by_class(scored.match(fo.ViewField("memorability") != 0.8), "memorability", "kind")
    assert rows == [("cat", pytest.approx(0.7), 3), ("dog", pytest.approx(0.6), 1)]
    by_thing: Any = {name: (mean, count) for name, mean, count in means_by_class(scored, "memorability", "things")}
    mean = pytest.approx(0.7)
    assert by_thing == {"cat": (mean, 3), "dog": (mean, 2), "any": (mean, 5)}
