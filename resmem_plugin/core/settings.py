"""The environment variables of this package: the one place that reads them.

Their values are text; whoever needs one checks it. `docs/environment-variables.md` has the same table for users.
"""

from __future__ import annotations

import os
from typing import Literal, TypeAlias

Variable: TypeAlias = Literal[
    "RESMEM_CACHE_DIR",  # the folder for converted weights and cached scores
    "RESMEM_CACHE_MAX_MB",  # the largest size of a cache of scores
    "RESMEM_MAX_BYTES",  # of one image behind a URL
    "RESMEM_MAX_PIXELS",  # of one image
    "RESMEM_TIMEOUT_S",  # http(s): seconds to connect, and without a byte
    "RESMEM_WEIGHTS",  # a weights file
]


def read(variable: Variable) -> str | None:
    """The value of an environment variable, or None if it is unset or empty."""
    return os.environ.get(variable) or None
