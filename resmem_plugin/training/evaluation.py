"""`evaluate`: scores against what people remembered."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.network.weights import PUBLISHED_SHA256
from resmem_plugin.datasets.layout import COUNTS, SEEN_IN_TRAINING
from resmem_plugin.training.metrics import METRICS, Estimate, d_prime, estimate, split_half_consistency

if TYPE_CHECKING:
    from resmem_plugin.training.metrics import Values

NOT_HELD_OUT = (
    "not provably held out: the published weights were trained on images of LaMem and MemCat, by a split that was "
    "never published"
)
_TRAINING_SETS = re.compile(r"(^|[/\\])(lamem|memcat)([/\\_]|$)", re.IGNORECASE)
_MIN_GROUP = 3
_DETECTION = ("hit_rate", "false_alarm_rate", "d_prime")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores against what people remembered; each metric is an `Estimate`, a value with its 95 % interval.

    Attributes:
        count: the images that have both.
        left_out: those that lack one.
        spearman: rank correlation.
        pearson: linear correlation.
        kendall: Kendall's tau-b.
        mse: mean squared difference.
        mae: mean absolute difference.
        slope: of the least-squares line of what was remembered over the scores; below 1 they are spread too widely.
        ceiling: how well one half of the people agrees with the other (Spearman), corrected to all; None if
            there are no ratings.
        groups: one row for each group: "group", "count", the metrics, "spearman_low", "spearman_high", and "bias", the
            mean of score less remembered. Empty without groups.
        detection: "hit_rate", "false_alarm_rate" and "d_prime", means over the images; None without counts.
        caution: why the figures may flatter the network; None if nothing is known.

    Examples:
        >>> import pandas as pd
        >>> from resmem_plugin.training import evaluate
        >>> frame = pd.DataFrame({"memorability": [0.6, 0.7, 0.8, 0.9], "hit_rate": [0.5, 0.7, 0.6, 0.8]})
        >>> evaluation = evaluate(frame, "memorability", "hit_rate")
        >>> round(evaluation.spearman.value, 2), evaluation.count
        (0.8, 4)
    """

    count: int
    left_out: int
    spearman: Estimate
    pearson: Estimate
    kendall: Estimate
    mse: Estimate
    mae: Estimate
    slope: Estimate
    ceiling: Estimate | None = None
    groups: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False, compare=False)
    detection: dict[str, float] | None = None
    caution: str | None = None

    @property
    def share_of_ceiling(self) -> float | None:
        """Spearman's rho as a share of the ceiling; None without ratings."""
        return None if self.ceiling is None else self.spearman.value / self.ceiling.value

    def to_frame(self) -> pd.DataFrame:
        """One row for each metric: "metric", "value", "low", "high" and "caution"."""
        names = [*METRICS, *(["ceiling"] if self.ceiling is not None else [])]
        estimates = [getattr(self, name) for name in names]
        rows = [
            (name, each.value, each.low, each.high, self.caution) for name, each in zip(names, estimates, strict=True)
        ]
        return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "caution"])

    def to_dict(self) -> dict[str, Any]:
        """All figures as numbers, text and None, for JSON; NaN is None."""
        figures = {
            row.metric: {name: _number(getattr(row, name)) for name in ("value", "low", "high")}
            for row in self.to_frame().itertuples()
        }
        return {
            "count": self.count,
            "left_out": self.left_out,
            **{str(name): values for name, values in figures.items()},
            "share_of_ceiling": _number(self.share_of_ceiling),
            "detection": self.detection and {name: _number(value) for name, value in self.detection.items()},
            "groups": [
                dict(zip(map(str, self.groups), map(_number, row), strict=True))
                for row in self.groups.itertuples(index=False)
            ],
            "caution": self.caution,
        }

    def __str__(self) -> str:
        lines = [
            f"{self.count:,} images"
            + (f", {self.left_out:,} left out: no score, or nothing measured" * bool(self.left_out))
        ]
        lines += [f"{name:<9} {getattr(self, name)}" for name in METRICS]
        if self.ceiling is not None:
            lines.append(f"{'ceiling':<9} {self.ceiling}: spearman is {self.share_of_ceiling:.0%} of it")
        if self.detection is not None:
            lines.append(", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in self.detection.items()))
        if len(self.groups):
            lines.append(self.groups.to_string(index=False, float_format="{:.3f}".format))
        if self.caution is not None:
            lines.append(self.caution)
        return "\n".join(lines)


def evaluate(
    frame: pd.DataFrame,
    prediction: Hashable,
    target: Hashable,
    group: Hashable | None = None,
    resamples: int = 1000,
    *,
    ratings: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Evaluation:
    """Compare scores with what people remembered.

    Args:
        frame: one row for each image. With the columns "hits", "misses", "false_alarms" and "correct_rejections", hit
            rate, false-alarm rate and d' are given too.
        prediction: its column of scores.
        target: its column of what was measured. Rows that lack either are left out, and counted.
        group: its column of groups, such as categories: they are compared, and the bootstrap draws within each.
        resamples: of the bootstrap.
        ratings: (N, people), one row for each of the frame's: 1 where a person recognised the image, 0 where not, NaN
            where it was not shown; for the ceiling.
        seed: of the bootstrap's random numbers.

    Raises:
        OptionError: for a column that is missing or holds no numbers, or fewer than two images with both.
        MissingPackageError: if SciPy is not installed.

    Examples:
        >>> import pandas as pd
        >>> from resmem_plugin.training import evaluate
        >>> frame = pd.DataFrame({"memorability": [0.6, 0.7, 0.8, None], "hit_rate": [0.5, 0.6, 0.8, 0.9]})
        >>> evaluate(frame, "memorability", "hit_rate").left_out
        1
    """
    scores, remembered = (_column(frame, name) for name in (prediction, target))
    if group is not None and group not in frame.columns:
        raise OptionError(f"the frame has no column {group!r}: choose from {', '.join(map(str, frame.columns))}")
    used = np.isfinite(scores) & np.isfinite(remembered)
    count = int(used.sum())
    if count < 2:
        raise OptionError(
            f"{count} of {len(frame)} rows have both {prediction!r} and {target!r}, and two are needed: score the "
            "images, or choose other columns"
        )
    groups = None if group is None else list(frame[group].to_numpy(object)[used])
    x, y = scores[used], remembered[used]
    found = {name: estimate(name, x, y, group=groups, resamples=resamples, seed=seed) for name in METRICS}
    return Evaluation(
        count=count,
        left_out=len(frame) - count,
        **found,
        ceiling=None if ratings is None else _ceiling(ratings, used, seed),
        groups=pd.DataFrame() if groups is None else _by_group(x, y, groups, resamples, seed),
        detection=_detection(frame[used]) if set(COUNTS) <= set(frame.columns) else None,
        caution=_caution(frame),
    )


def _column(frame: pd.DataFrame, name: Hashable) -> Values:
    if (frame.columns == name).sum() != 1:
        raise OptionError(f"the frame has no unique column {name!r}: choose from {', '.join(map(str, frame.columns))}")
    try:
        return pd.to_numeric(frame[name]).to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise OptionError(f"the column {name!r} does not hold numbers ({error}): choose another") from error


def _ceiling(ratings: npt.ArrayLike, used: npt.NDArray[np.bool_], seed: int) -> Estimate:
    values = np.asarray(ratings, np.float64)
    if values.ndim != 2 or len(values) != len(used):
        raise OptionError(
            f"ratings must be images x people, with {len(used)} rows as the frame, not of shape {values.shape}"
        )
    return split_half_consistency(values[used], seed=seed)


def _by_group(x: Values, y: Values, groups: list[Hashable], resamples: int, seed: int) -> pd.DataFrame:
    rows = []
    labels = pd.Series(groups, dtype=object)
    for name, members in labels.groupby(labels, dropna=False, sort=True).indices.items():
        some_x, some_y = x[members], y[members]
        row: dict[str, Any] = {"group": name, "count": len(members)}
        for metric in METRICS:
            times = resamples if metric == "spearman" else 0
            is_defined = len(members) >= _MIN_GROUP
            each = (
                estimate(metric, some_x, some_y, resamples=times, seed=seed) if is_defined else Estimate(*[np.nan] * 3)
            )
            row[metric] = each.value
            if metric == "spearman":
                row |= {"spearman_low": each.low, "spearman_high": each.high}
        rows.append(row | {"bias": float(np.mean(some_x - some_y))})
    return pd.DataFrame(rows)


def _detection(frame: pd.DataFrame) -> dict[str, float]:
    hits, misses, false_alarms, rejections = (frame[name].to_numpy(np.float64) for name in COUNTS)
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = hits / (hits + misses), false_alarms / (false_alarms + rejections)
    values = (*rates, d_prime(hits, misses, false_alarms, rejections))
    return {
        name: float(np.nanmean(each)) if np.isfinite(each).any() else np.nan
        for name, each in zip(_DETECTION, values, strict=True)
    }


def _caution(frame: pd.DataFrame) -> str | None:
    """Whether the network may have been trained on these images: as their data set says, or their paths."""
    weights = (frame.attrs.get("resmem") or {}).get("weights", PUBLISHED_SHA256)
    if weights != PUBLISHED_SHA256:
        return None
    is_seen = frame.attrs.get(SEEN_IN_TRAINING)
    if is_seen is None or not is_seen:
        texts = [value for value in frame.get("path", ()) if isinstance(value, str)]
        is_seen = any(map(_TRAINING_SETS.search, texts))
    return NOT_HELD_OUT if is_seen else None


def _number(value: Any) -> Any:
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
