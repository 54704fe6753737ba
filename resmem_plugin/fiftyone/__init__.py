"""ResMem in FiftyOne: the SDK call, the plugin's operators and panel, and a model for `apply_model`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resmem_plugin.fiftyone.compute import compute_memorability
    from resmem_plugin.fiftyone.dataset.run import Summary
    from resmem_plugin.fiftyone.evaluate import evaluate_memorability
    from resmem_plugin.fiftyone.explain import ExplanationSummary, compute_explanations, delete_explanations
    from resmem_plugin.fiftyone.fine_tune import fine_tune_memorability
    from resmem_plugin.fiftyone.model import MemorabilityModel
    from resmem_plugin.fiftyone.percentiles import compute_percentiles

__all__ = [
    "ExplanationSummary",
    "MemorabilityModel",
    "Summary",
    "compute_explanations",
    "compute_memorability",
    "compute_percentiles",
    "delete_explanations",
    "evaluate_memorability",
    "fine_tune_memorability",
    "register",
]

_LAZY = {
    "ExplanationSummary": "resmem_plugin.fiftyone.explain",
    "compute_explanations": "resmem_plugin.fiftyone.explain",
    "delete_explanations": "resmem_plugin.fiftyone.explain",
    "MemorabilityModel": "resmem_plugin.fiftyone.model",
    "Summary": "resmem_plugin.fiftyone.dataset.run",
    "compute_memorability": "resmem_plugin.fiftyone.compute",
    "compute_percentiles": "resmem_plugin.fiftyone.percentiles",
    "evaluate_memorability": "resmem_plugin.fiftyone.evaluate",
    "fine_tune_memorability": "resmem_plugin.fiftyone.fine_tune",
}


def register(plugin: Any) -> None:
    """Register the operators and the panel with FiftyOne's plugin loader."""
    from resmem_plugin.fiftyone.app import OPERATORS
    from resmem_plugin.fiftyone.app.metrics import METRICS
    from resmem_plugin.fiftyone.app.panel import MemorabilityPanel

    for component in (*OPERATORS, *METRICS, MemorabilityPanel):
        plugin.register(component)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return __all__
