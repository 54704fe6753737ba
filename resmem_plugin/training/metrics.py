"""How well scores agree with what people remembered: each metric with its bootstrap interval."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import MissingPackageError, OptionError

Values: TypeAlias = npt.NDArray[np.float64]

METRICS = ("spearman", "pearson", "kendall", "mse", "mae", "slope")
CONFIDENCE = 0.95
_CHUNK = 2**22  # numbers that are resampled at once


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval.

    Attributes:
        value: NaN where it is not defined, as a correlation of constant values is not.
        low: the lower end of the interval.
        high: the upper end.

    Examples:
        >>> from resmem_plugin.training.metrics import Estimate
        >>> print(Estimate(0.671, 0.64, 0.702))
        0.671 (0.640 to 0.702)
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def metric(name: str, prediction: Values, target: Values) -> Values:
    """A metric of each row.

    Args:
        name: one of `METRICS`. "slope" is that of the least-squares line of targets over predictions: 1 if scores are
            calibrated, below 1 if they are spread too widely.
        prediction: (R, N) scores.
        target: (R, N) what people remembered.

    Returns:
        (R,), NaN where it is not defined.

    Raises:
        OptionError: for another name.
    """
    if name == "mse":
        return np.asarray(np.mean((prediction - target) ** 2, axis=1))
    if name == "mae":
        return np.asarray(np.mean(np.abs(prediction - target), axis=1))
    if name == "kendall":
        from scipy.stats import kendalltau

        return np.array([kendalltau(x, y).statistic for x, y in zip(prediction, target, strict=True)])
    if name == "spearman":
        from scipy.stats import rankdata

        prediction, target = rankdata(prediction, axis=1), rankdata(target, axis=1)
    elif name not in ("pearson", "slope"):
        raise OptionError(f"a metric is one of {', '.join(METRICS)}, not {name!r}")
    x, y = (values - values.mean(axis=1, keepdims=True) for values in (prediction, target))
    spread = (x**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        if name == "slope":
            return np.asarray((x * y).sum(axis=1) / spread)
        scaled = (x / np.sqrt(spread)[:, None]) * (y / np.sqrt((y**2).sum(axis=1))[:, None])
        return np.asarray(np.clip(scaled.sum(axis=1), -1, 1))


def estimate(
    name: str,
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    group: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """A metric with its percentile bootstrap interval.

    Args:
        name: one of `METRICS`.
        prediction: (N,) scores.
        target: (N,) what people remembered.
        group: (N,) groups, of which each is resampled by itself; None: all are one.
        resamples: of the bootstrap; 0: the interval is NaN.
        seed: of its random numbers.

    Raises:
        OptionError: for another name, or values that are not as many or not finite.
        MissingPackageError: if SciPy is not installed.

    Examples:
        >>> from resmem_plugin.training.metrics import estimate
        >>> found = estimate("spearman", [0.6, 0.7, 0.8, 0.9], [0.5, 0.7, 0.6, 0.8])
        >>> round(found.value, 3)
        0.8
    """
    require_scipy()
    x, y = (np.asarray(values, np.float64) for values in (prediction, target))
    if x.shape != y.shape or x.ndim != 1 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise OptionError("prediction and target must be as many finite numbers: leave out the rows that have none")
    if len(x) < 2:
        return Estimate(float("nan"), float("nan"), float("nan"))
    value = float(metric(name, x[None], y[None])[0])
    drawn = [metric(name, x[rows], y[rows]) for rows in resampled_rows(len(x), group, resamples, seed)]
    low, high = interval(np.concatenate(drawn)) if drawn else (float("nan"), float("nan"))
    return Estimate(value, low, high)


def resampled_rows(
    count: int, group: Sequence[Hashable] | None, resamples: int, seed: int
) -> Iterator[npt.NDArray[np.intp]]:
    """Rows drawn with replacement, within each group: yields arrays (R, count) of at most so many numbers at once."""
    random = np.random.default_rng(seed)
    if group is None:
        members = [np.arange(count)]
    else:
        import pandas as pd

        codes = pd.factorize(np.asarray(group, object), use_na_sentinel=False)[0]
        order = np.argsort(codes, kind="stable")
        members = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    step = max(1, _CHUNK // count)
    for start in range(0, resamples, step):
        rounds = min(step, resamples - start)
        yield np.concatenate([rows[random.integers(len(rows), size=(rounds, len(rows)))] for rows in members], axis=1)


def interval(drawn: Values) -> tuple[float, float]:
    """The 95 % interval of what a bootstrap drew; NaN if it is nowhere defined."""
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return float("nan"), float("nan")
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def split_half_consistency(
    ratings: npt.ArrayLike,
    *,
    method: Literal["spearman", "pearson"] = "spearman",
    splits: int = 100,
    seed: int = 0,
) -> Estimate:
    """How well one half of the people agrees with the other: the most that a score can be expected to reach.

    The people are halved at random, each half's means are correlated over the images that both halves saw, and the
    correlation is corrected to the full number of people (Spearman-Brown).

    Args:
        ratings: (images, people), 1 where a person recognised an image, 0 where not, NaN where it was not shown.
        method: the correlation.
        splits: random halvings.
        seed: of their random numbers.

    Returns:
        The mean over the halvings, and the range that 95 % of them are in.

    Raises:
        OptionError: for fewer than two images or people.

    Examples:
        >>> import numpy as np
        >>> from resmem_plugin.training.metrics import split_half_consistency
        >>> memorability = np.linspace(0.2, 0.9, 60)[:, None]
        >>> seen = np.random.default_rng(0).random((60, 80)) < memorability
        >>> 0.9 < split_half_consistency(seen).value < 1
        True
    """
    require_scipy()
    values = np.asarray(ratings, np.float64)
    if values.ndim != 2 or min(values.shape) < 2:
        raise OptionError(f"ratings must be images x people, two of each at least, not of shape {values.shape}")
    if method not in ("spearman", "pearson"):
        raise OptionError(f"method must be 'spearman' or 'pearson', not {method!r}")
    random = np.random.default_rng(seed)
    found = []
    for _ in range(splits):
        people = random.permutation(values.shape[1])
        halves = [_row_means(values[:, some]) for some in np.array_split(people, 2)]
        both = np.isfinite(halves[0]) & np.isfinite(halves[1])
        if both.sum() > 1:
            r = metric(method, halves[0][both][None], halves[1][both][None])[0]
            found.append(2 * r / (1 + r))
    drawn = np.array(found, np.float64)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Estimate(float("nan"), float("nan"), float("nan"))
    return Estimate(float(drawn.mean()), *interval(drawn))


def _row_means(values: Values) -> Values:
    shown = np.isfinite(values)
    counts = shown.sum(axis=1)
    return np.where(counts > 0, np.where(shown, values, 0).sum(axis=1) / np.maximum(counts, 1), np.nan)


def d_prime(
    hits: npt.ArrayLike, misses: npt.ArrayLike, false_alarms: npt.ArrayLike, correct_rejections: npt.ArrayLike
) -> Values:
    """How well people told an image that they had seen from a new one, d'.

    Rates of 0 and 1 are finite by the log-linear correction (Hautus 1995): half a person is added to each count.

    Args:
        hits: (N,) people who recognised the image.
        misses: (N,) people who did not.
        false_alarms: (N,) people who took it for seen when it was new.
        correct_rejections: (N,) people who did not.

    Returns:
        (N,), NaN where nobody was asked.

    Examples:
        >>> from resmem_plugin.training.metrics import d_prime
        >>> d_prime([60], [20], [8], [72]).round(2).tolist()
        [1.92]
    """
    require_scipy()
    from scipy.stats import norm

    hit, miss, false, correct = (np.asarray(v, np.float64) for v in (hits, misses, false_alarms, correct_rejections))
    seen, new = hit + miss, false + correct
    found = norm.ppf((hit + 0.5) / (seen + 1)) - norm.ppf((false + 0.5) / (new + 1))
    return np.where((seen > 0) & (new > 0), found, np.nan)


def require_scipy() -> None:
    """Check that SciPy is installed.

    Raises:
        MissingPackageError: if it is not.
    """
    try:
        import scipy  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackageError('evaluation needs SciPy: pip install "resmem-plugin[train]"') from error
