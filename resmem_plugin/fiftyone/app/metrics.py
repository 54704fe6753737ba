"""Metrics for FiftyOne's own `evaluate_regressions`, which has no rank correlation."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
import numpy as np


class _Correlation(foo.EvaluationMetric):
    """A correlation of predictions and ground truth; pairs that lack one are left out."""

    metric: str

    @property
    def config(self) -> Any:
        """How FiftyOne lists it."""
        return foo.EvaluationMetricConfig(
            name=f"memorability_{self.metric}",
            label=f"{self.metric.capitalize()} correlation",
            description=(self.__doc__ or "").partition("\n")[0],
            eval_types=["regression"],
            aggregate_key=self.metric,
            lower_is_better=False,
            unlisted=True,
        )

    def compute(self, samples: Any, results: Any) -> float | None:  # noqa: ARG002 (FiftyOne passes them)
        """The correlation; None where it is not defined."""
        from resmem_plugin.training.metrics import estimate

        pairs = [pair for pair in zip(results.ypred, results.ytrue, strict=True) if None not in pair]
        predicted, truth = np.array(pairs, np.float64).reshape(-1, 2).T
        both = np.isfinite(predicted) & np.isfinite(truth)
        value = estimate(self.metric, predicted[both], truth[both], resamples=0).value
        return value if np.isfinite(value) else None


class MemorabilitySpearman(_Correlation):
    """Spearman's rank correlation of predictions and ground truth."""

    metric = "spearman"


class MemorabilityPearson(_Correlation):
    """Pearson's correlation of predictions and ground truth."""

    metric = "pearson"


class MemorabilityKendall(_Correlation):
    """Kendall's tau-b of predictions and ground truth."""

    metric = "kendall"


METRICS = (MemorabilitySpearman, MemorabilityPearson, MemorabilityKendall)
