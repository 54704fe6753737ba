"""Image memorability for the people who curate datasets: ResMem under pandas, FiftyOne and the command line.

Importing this package registers the pandas accessor `df.resmem`, at once or when pandas is imported, and loads neither
pandas nor torch: the names below import what they need when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from resmem_plugin.core.provenance import package_version
from resmem_plugin.pandas.registration import register_accessor

if TYPE_CHECKING:
    from resmem_plugin.core.images.preprocess import transformer
    from resmem_plugin.core.network.pretrained import ResMem
    from resmem_plugin.core.provenance import Provenance
    from resmem_plugin.core.scores import Score
    from resmem_plugin.core.scoring.functional import score_images
    from resmem_plugin.core.scoring.options import ScorerOptions
    from resmem_plugin.core.scoring.scorer import Scorer

__all__ = ["Provenance", "ResMem", "Score", "Scorer", "ScorerOptions", "score_images", "transformer"]

__version__ = package_version()

register_accessor()

_LAZY = {
    "Provenance": "resmem_plugin.core.provenance",
    "ResMem": "resmem_plugin.core.network.pretrained",
    "Score": "resmem_plugin.core.scores",
    "Scorer": "resmem_plugin.core.scoring.scorer",
    "ScorerOptions": "resmem_plugin.core.scoring.options",
    "score_images": "resmem_plugin.core.scoring.functional",
    "transformer": "resmem_plugin.core.images.preprocess",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
