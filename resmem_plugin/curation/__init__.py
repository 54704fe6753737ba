"""From scores to decisions: percentiles, diverse selections, comparisons, near-duplicates.

- what a score means: `percentiles`, `Reference`, `build_reference`
- which images to take: `select`, `near_duplicate_groups`, `image_features`
- whether two sets differ: `compare`
- how far a score can be trusted: `score_variation`, `ConformalIntervals`, `image_kinds`, `Domain`
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resmem_plugin.curation.diversity import near_duplicate_groups
    from resmem_plugin.curation.domain import Domain, image_kinds
    from resmem_plugin.curation.drift import Comparison, compare
    from resmem_plugin.curation.features import image_features
    from resmem_plugin.curation.reference import Reference, build_reference, percentiles
    from resmem_plugin.curation.selection import select
    from resmem_plugin.curation.uncertainty import ConformalIntervals, score_variation

_MODULES = {
    "diversity": ("near_duplicate_groups",),
    "domain": ("Domain", "image_kinds"),
    "drift": ("Comparison", "compare"),
    "features": ("image_features",),
    "reference": ("Reference", "build_reference", "percentiles"),
    "selection": ("select",),
    "uncertainty": ("ConformalIntervals", "score_variation"),
}
_LAZY = {name: f"resmem_plugin.curation.{module}" for module, names in _MODULES.items() for name in names}

__all__ = [
    "Comparison",
    "ConformalIntervals",
    "Domain",
    "Reference",
    "build_reference",
    "compare",
    "image_features",
    "image_kinds",
    "near_duplicate_groups",
    "percentiles",
    "score_variation",
    "select",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
