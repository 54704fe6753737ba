"""The distribution of scores: histogram and statistics."""

from __future__ import annotations

import itertools
from typing import Any

import fiftyone as fo
import numpy as np
import pytest

from resmem_plugin.fiftyone.dataset.distribution import bin_view, distribution


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
        len(bin_view(dataset, "memorability", low, high, closed=high == found.edges[-1]))
        for low, high in itertools.pairwise(found.edges)
    ]
    assert cuts == list(found.counts)
    assert len(found.counts) <= 50


def test_distribution_without_scores(scored: Any) -> None:
    found = distribution(scored.exists("memorability_error"), "memorability")
    assert (found.total, found.scored, found.failed, found.mean, found.counts) == (1, 0, 1, None, ())


@pytest.mark.parametrize(("count", "least", "most"), [(150, 8, 16), (10_000, 30, 50)])
def test_histogram_bins_go_by_the_data(dataset: Any, count: int, least: int, most: int) -> None:
    """About as many as numpy's "fd", on round edges."""
    values = np.clip(np.random.default_rng(0).normal(0.75, 0.07, count), 0, 1)
    dataset.add_samples([fo.Sample(filepath=f"{n}.png", memorability=float(v)) for n, v in enumerate(values)])
    bins = len(distribution(dataset, "memorability").counts)
    assert least <= bins <= most
    assert 0.5 < bins / (len(np.histogram_bin_edges(values, "fd")) - 1) < 2
