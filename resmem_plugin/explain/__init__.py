"""Why an image has its score: signed maps, activations of the network's filters, pictures of what they look for.

- maps: `explain`, `iter_explanations`, `explain_into`
- what filters answer to images: `layers`, `activations`, `activations_to_parquet`
- what a filter looks for: `visualize_feature`, `top_images`, `contact_sheet`
- climbing the score itself: `memorable_image`, `small_change`
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resmem_plugin.explain.explanation import Explanation
    from resmem_plugin.explain.features import (
        SmallChange,
        contact_sheet,
        memorable_image,
        small_change,
        top_images,
        visualize_feature,
    )
    from resmem_plugin.explain.filters import activations, activations_to_parquet, layers
    from resmem_plugin.explain.folder import explain_into
    from resmem_plugin.explain.saliency import explain, iter_explanations

_MODULES = {
    "filters": ("activations", "activations_to_parquet", "layers"),
    "explanation": ("Explanation",),
    "features": (
        "SmallChange",
        "contact_sheet",
        "memorable_image",
        "small_change",
        "top_images",
        "visualize_feature",
    ),
    "folder": ("explain_into",),
    "saliency": ("explain", "iter_explanations"),
}
_LAZY = {name: f"resmem_plugin.explain.{module}" for module, names in _MODULES.items() for name in names}

__all__ = [
    "Explanation",
    "SmallChange",
    "activations",
    "activations_to_parquet",
    "contact_sheet",
    "explain",
    "explain_into",
    "iter_explanations",
    "layers",
    "memorable_image",
    "small_change",
    "top_images",
    "visualize_feature",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
