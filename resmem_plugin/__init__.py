"""Image memorability for the people who curate data sets: ResMem under pandas, FiftyOne and the command line.

Importing this package registers the pandas accessor `df.resmem`, at once or when pandas is imported, and loads neither
pandas nor torch: the names below bring what they need when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from resmem_plugin.core.scores import package_version
from resmem_plugin.registration import register_accessor

if TYPE_CHECKING:
    from resmem_plugin.core.preprocess import transformer
    from resmem_plugin.core.pretrained import ResMem
    from resmem_plugin.core.scorer import Scorer, score_images
    from resmem_plugin.core.scores import Provenance, Score

__all__ = ["Provenance", "ResMem", "Score", "Scorer", "score_images", "transformer"]

__version__ = package_version()

register_accessor()

_HOMES = {
    "Provenance": "resmem_plugin.core.scores",
    "ResMem": "resmem_plugin.core.pretrained",
    "Score": "resmem_plugin.core.scores",
    "Scorer": "resmem_plugin.core.scorer",
    "score_images": "resmem_plugin.core.scorer",
    "transformer": "resmem_plugin.core.preprocess",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
