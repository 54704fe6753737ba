"""`compare`: whether, and by how much, the scores of two sets of images differ."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import OptionError
from resmem_plugin.curation.numbers import as_numbers

CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
_T = {np.inf: _Z, 60: 2.0003, 30: 2.0423, 20: 2.0860, 15: 2.1314, 10: 2.2281, 8: 2.3060, 6: 2.4469, 5: 2.5706}
_T |= {4: 2.7764, 3: 3.1824, 2: 4.3027, 1: 12.706}  # Student's, by degrees of freedom; between them 1 / df is linear
_CHUNK = 2**20  # numbers that are permuted at once

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How the scores of two sets differ. With many images every difference is significant: look at `effect` first.

    Attributes:
        effect: probability of superiority: that an image of the first set has a higher score than one of the second,
            0 to 1, ties counting half; 0.5 where neither is higher.
        low: lower end of its 95 % interval (Newcombe 2006; too narrow where a small set is spread much wider than a
            large one).
        high: upper end.
        difference: of the means, the first less the second.
        difference_low: lower end of its 95 % interval (Welch).
        difference_high: upper end.
        p: of the permutation test that both sets are drawn from the same scores, two-sided, against `effect`.
        count_a: images with a score in the first set.
        count_b: in the second.
        left_out: images of both without a score.
        permutations: of the test; `p` is at least 1 / (permutations + 1).

    Examples:
        >>> from resmem_plugin.curation import compare
        >>> print(compare([0.8, 0.9, 0.85, 0.7], [0.6, 0.75, 0.65, 0.5], permutations=999))
        4 and 4 images: the first is more memorable in 94 % of pairs (51 to 99), means differ by +0.188 (+0.021 to
        +0.354), p = 0.051 (999 permutations)
    """

    effect: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    p: float
    count_a: int
    count_b: int
    left_out: int
    permutations: int

    def __str__(self) -> str:
        return (
            f"{self.count_a:,} and {self.count_b:,} images: the first is more memorable in {self.effect:.0%} of pairs "
            f"({100 * self.low:.0f} to {100 * self.high:.0f}), means differ by {self.difference:+.3f} "
            f"({self.difference_low:+.3f} to {self.difference_high:+.3f}), p = {self.p:.3g} "
            f"({self.permutations:,} permutations)"
        ).replace("%", " %", 1)


def compare(a: npt.ArrayLike, b: npt.ArrayLike, permutations: int = 9999, seed: int = 0) -> Comparison:
    """Compare the scores of two sets of images: data sets, versions, splits, tags or classes.

    The test permutes the pooled scores, so that it holds its error rate for any distribution and for unequal sizes. A
    bootstrap of one set alone would report a difference far too often.

    Args:
        a: scores of the first set, (N,); NaN where there is none.
        b: scores of the second.
        permutations: of the test; 0: no test, p is NaN.
        seed: of its random numbers.

    Raises:
        OptionError: if a set has fewer than two scores, or values are not numbers.

    Examples:
        >>> import numpy as np
        >>> from resmem_plugin.curation import compare
        >>> random = np.random.default_rng(0)
        >>> found = compare(random.normal(0.8, 0.1, 500), random.normal(0.78, 0.1, 500), permutations=999)
        >>> round(found.effect, 2), found.p < 0.05
        (0.57, True)
    """
    if isinstance(permutations, bool) or not isinstance(permutations, (int, np.integer)) or permutations < 0:
        raise OptionError(f"permutations must be a whole number, 0 or more, not {permutations!r}")
    first, second = as_numbers(a, "scores of the first set"), as_numbers(b, "scores of the second set")
    left_out = int(np.isnan(first).sum() + np.isnan(second).sum())
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    for values, name in ((first, "first"), (second, "second")):
        if len(values) < 2:
            raise OptionError(f"the {name} set has {len(values)} scores: two at least are needed")
    effect, low, high = _superiority(first, second)
    difference = float(first.mean() - second.mean())
    margin = _welch_margin(first, second)
    return Comparison(
        effect=effect,
        low=low,
        high=high,
        difference=difference,
        difference_low=difference - margin,
        difference_high=difference + margin,
        p=_permutation_test(first, second, int(permutations), seed),
        count_a=len(first),
        count_b=len(second),
        left_out=left_out,
        permutations=int(permutations),
    )


def _superiority(first: Values, second: Values) -> tuple[float, float, float]:
    """The probability of superiority and its interval: Newcombe's (2006) method 5, which holds at 0 and 1 too."""
    effect = float(_placements(first, second).mean())
    mean_count, pairs = (len(first) + len(second)) / 2, len(first) * len(second)

    def excess(theta: float) -> float:
        """How far the effect lies outside of the interval around this one; it falls towards the effect."""
        shape = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) * (1 + (mean_count - 1) * shape) / pairs
        return abs(theta - effect) - _Z * float(np.sqrt(variance))

    def end(outer: float) -> float:
        inner = effect
        for _ in range(50):
            middle = (outer + inner) / 2
            outer, inner = (middle, inner) if excess(middle) > 0 else (outer, middle)
        return inner

    return effect, end(0.0), end(1.0)


def _welch_margin(first: Values, second: Values) -> float:
    """Half of the interval of the difference of the means, with the quantile of Student's t."""
    parts = [float(values.var(ddof=1)) / len(values) for values in (first, second)]
    if not sum(parts):
        return 0.0
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(each) - 1) for part, each in zip(parts, (first, second), strict=True)
    )
    return float(np.interp(1 / freedom, [1 / each for each in _T], list(_T.values())) * np.sqrt(sum(parts)))


def _placements(values: Values, among: Values) -> Values:
    """For each value the share of `among` below it, ties counting half."""
    ordered = np.sort(among)
    below, not_above = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((below + not_above) / (2 * len(among)))


def _permutation_test(first: Values, second: Values, permutations: int, seed: int) -> float:
    """The share of permutations whose rank sum is at least as far from its mean; the one observed is one of them."""
    if not permutations:
        return float("nan")
    pooled = np.concatenate([first, second])
    _, codes, counts = np.unique(pooled, return_inverse=True, return_counts=True)
    ranks = (2 * np.cumsum(counts) - counts + 1)[codes]  # twice the mean rank of ties: integers, summed exactly
    smaller = min(len(first), len(second))
    observed = ranks[: len(first)].sum() if len(first) == smaller else ranks[len(first) :].sum()
    expected = smaller * (len(pooled) + 1)  # of the doubled ranks
    random = np.random.default_rng(seed)
    rounds = max(1, _CHUNK // len(pooled))
    as_far = 0
    for start in range(0, permutations, rounds):
        drawn = np.tile(ranks, (min(rounds, permutations - start), 1))
        random.permuted(drawn, axis=1, out=drawn)
        as_far += int((np.abs(drawn[:, :smaller].sum(axis=1) - expected) >= abs(observed - expected)).sum())
    return (as_far + 1) / (permutations + 1)
