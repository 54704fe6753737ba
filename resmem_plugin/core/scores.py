"""What one image got: `Score`."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """The memorability of one image.

    Attributes:
        index: the image's place in the input, from 0.
        memorability: 0 (forgettable) to 1 (memorable); NaN if the image could not be scored.
        error: why there is no score, or None.
    """

    index: int
    memorability: float
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a score."""
        return not math.isnan(self.memorability)
