from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from resmem_plugin.core.errors import OptionError
from resmem_plugin.curation import compare


def test_effect_and_difference_are_those_of_all_pairs() -> None:
    random = np.random.default_rng(0)
    a, b = random.random(40).round(1), random.random(60).round(1)  # with ties
    found = compare(a, b, permutations=0)
    pairs = (a[:, None] > b) + 0.5 * (a[:, None] == b)
    assert found.effect == pytest.approx(pairs.mean())
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert found.low < found.effect < found.high
    assert np.isnan(found.p)
    reverse = compare(b, a, permutations=0)
    assert reverse.effect == pytest.approx(1 - found.effect)
    assert (reverse.low, reverse.high) == pytest.approx((1 - found.high, 1 - found.low))


@pytest.mark.parametrize("sizes", [(20, 20), (8, 90)])
def test_false_positive_rate_of_the_test(sizes: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    scores = np.quantile(random.beta(8, 2, 1000), random.random((1000, sum(sizes)))).round(2)  # skewed, with ties
    positive = sum(compare(a[: sizes[0]], a[sizes[0] :], 499, seed).p <= 0.05 for seed, a in enumerate(scores))
    print(f"permutation test, {sizes}: {positive} of 1,000 pairs at 5 %")
    assert 0.04 <= positive / 1000 <= 0.06


def test_p_is_that_of_scipy_where_scipy_is_exact() -> None:
    a, b = [0.1, 0.5, 0.6, 0.9], [0.2, 0.3, 0.4]
    exact = mannwhitneyu(a, b, method="exact").pvalue
    assert compare(a, b, permutations=50_000).p == pytest.approx(exact, abs=0.01)


def test_intervals_hold_the_truth_in_95_of_100() -> None:
    random = np.random.default_rng(2)
    holds = []
    for _ in range(1000):
        found = compare(random.normal(0.3, 1, 40), random.normal(0, 1.5, 60), permutations=0)
        holds.append((found.low <= 0.5661 <= found.high, found.difference_low <= 0.3 <= found.difference_high))
    assert np.mean(holds, axis=0) == pytest.approx([0.95, 0.95], abs=0.02)  # 0.5661: Phi(0.3 / sqrt(1 + 1.5 ** 2))


def test_sets_that_do_not_overlap() -> None:
    found = compare([0.8, 0.9, 0.85, 0.95, 0.7], [0.1, 0.2, 0.3, 0.4, 0.5], permutations=999)
    assert found.effect == found.high == 1
    assert 0.5 < found.low < 1
    same = compare([0.5] * 10, [0.5] * 20, permutations=99)
    assert same.effect == 0.5
    assert same.p == 1


def test_missing_scores_are_counted_and_left_out() -> None:
    found = compare([0.1, np.nan, 0.3], [0.2, 0.4, np.nan, np.nan], permutations=99)
    assert (found.count_a, found.count_b, found.left_out) == (2, 2, 3)


@pytest.mark.parametrize(
    ("a", "message"),
    [
        ([0.5], "first set has 1 scores"),
        (["high", "low"], "must be numbers"),
        ([0.1, np.inf], "finite"),
        ([[0.1, 0.2]], "a list of finite"),
    ],
)
def test_unusable_sets_are_errors(a: list[object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        compare(a, [0.1, 0.2])  # type: ignore[arg-type]


@pytest.mark.parametrize("permutations", [-1, 1.5, True])
def test_unusable_permutations_are_errors(permutations: int) -> None:
    with pytest.raises(OptionError, match="permutations must be"):
        compare([0.1, 0.2], [0.1, 0.2], permutations)


def test_the_interval_of_few_and_many_scores() -> None:
    random = np.random.default_rng(4)
    found = [compare(random.normal(0, 1, 2), random.normal(0, 0.01, 200), permutations=0) for _ in range(500)]
    assert np.mean([each.difference_low <= 0 <= each.difference_high for each in found]) >= 0.93
