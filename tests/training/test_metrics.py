"""Metrics against SciPy, and their intervals against simulations whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from resmem_plugin.core.errors import OptionError
from resmem_plugin.training.metrics import (
    METRICS,
    d_prime,
    estimate,
    interval,
    metric,
    resampled_rows,
    split_half_consistency,
)

SIMULATIONS, COUNT, RHO = 1000, 120, 0.6


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_scipys(ties: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(0.8, 0.1, 200)
    y = 0.3 * x + random.normal(0, 0.05, 200)
    if ties:
        x, y = x.round(2), y.round(2)
    expected = {
        "spearman": stats.spearmanr(x, y).statistic,
        "pearson": stats.pearsonr(x, y).statistic,
        "kendall": stats.kendalltau(x, y).statistic,
        "mse": np.mean((x - y) ** 2),
        "mae": np.mean(abs(x - y)),
        "slope": stats.linregress(x, y).slope,
    }
    assert set(expected) == set(METRICS)
    for name, value in expected.items():
        assert estimate(name, x, y, resamples=0).value == pytest.approx(value, abs=1e-12)


def test_intervals_cover_the_truth() -> None:
    """For a bivariate normal distribution, of which the truth of each metric is known."""
    truth = {
        "spearman": 6 / math.pi * math.asin(RHO / 2),
        "pearson": RHO,
        "mse": 2 - 2 * RHO,
        "mae": math.sqrt((2 - 2 * RHO) * 2 / math.pi),
        "slope": RHO,
    }
    random = np.random.default_rng(1)
    covered = dict.fromkeys(truth, 0)
    for seed in range(SIMULATIONS):
        x = random.normal(size=COUNT)
        y = RHO * x + math.sqrt(1 - RHO**2) * random.normal(size=COUNT)
        [rows] = resampled_rows(COUNT, None, 500, seed)
        for name, value in truth.items():
            low, high = interval(metric(name, x[rows], y[rows]))
            covered[name] += low <= value <= high
    shares = {name: count / SIMULATIONS for name, count in covered.items()}
    assert all(0.93 <= share <= 0.97 for share in shares.values()), shares


def test_groups_are_resampled_within() -> None:
    group = ["a"] * 3 + ["b"] * 5
    [rows] = resampled_rows(8, group, 50, 0)
    assert rows.shape == (50, 8)
    assert ((rows < 3).sum(axis=1) == 3).all()
    assert len({tuple(row) for row in rows}) > 40


def test_many_rows_are_resampled_in_parts() -> None:
    parts = list(resampled_rows(2_000_000, None, 5, 0))
    assert [len(part) for part in parts] == [2, 2, 1]


def test_the_seed_decides() -> None:
    x, y = np.random.default_rng(0).random((2, 50))
    assert estimate("pearson", x, y) == estimate("pearson", x, y) != estimate("pearson", x, y, seed=1)


def test_constant_values_have_no_correlation() -> None:
    found = estimate("spearman", [0.5, 0.5, 0.5], [0.1, 0.2, 0.3])
    assert np.isnan([found.value, found.low, found.high]).all()
    assert estimate("mse", [0.5, 0.5], [0.5, 0.5]).value == 0


@pytest.mark.parametrize(("x", "y"), [([0.1, 0.2], [0.1]), ([np.nan, 0.1], [0.1, 0.2]), ([[0.1]], [[0.1]])])
def test_values_that_do_not_fit_are_refused(x: object, y: object) -> None:
    with pytest.raises(OptionError, match="as many finite numbers"):
        estimate("mse", x, y)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="a metric is one of"):
        estimate("rmse", [0.1, 0.2], [0.1, 0.2])


@pytest.mark.parametrize("method", ["spearman", "pearson"])
def test_split_half_consistency_is_the_reliability_of_the_mean(method: str) -> None:
    """Of people who recognise images independently it is known: the variance of the truth by that of the mean."""
    random = np.random.default_rng(0)
    truth, people = random.uniform(0.3, 0.95, 600), 80
    ratings = (random.random((600, people)) < truth[:, None]).astype(float)
    ratings[random.random(ratings.shape) < 0.25] = np.nan  # not everybody saw every image
    noise = np.mean(truth * (1 - truth)) / (0.75 * people)
    expected = truth.var() / (truth.var() + noise)
    found = split_half_consistency(ratings, method=method)  # type: ignore[arg-type]
    assert found.value == pytest.approx(expected, abs=0.015)
    assert found.low < found.value < found.high
    shuffled = random.permuted(ratings, axis=0)
    assert abs(split_half_consistency(shuffled, method=method).value) < 0.2  # type: ignore[arg-type]


@pytest.mark.parametrize("ratings", [[1, 0], [[1, 0]], [[1], [0]]])
def test_too_few_ratings_are_refused(ratings: object) -> None:
    with pytest.raises(OptionError, match="images x people"):
        split_half_consistency(ratings)  # type: ignore[arg-type]


def test_d_prime() -> None:
    found = d_prime([80, 0, 40, 0], [0, 80, 40, 0], [0, 8, 40, 5], [80, 72, 40, 5])
    assert found[0] == pytest.approx(2 * stats.norm.ppf(80.5 / 81))  # finite, by half a person
    assert found[1] < 0
    assert found[2] == 0
    assert np.isnan(found[3])
