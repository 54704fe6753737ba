"""The score of one image: `Score`."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """The memorability of one image.

    Attributes:
        index: position of the image in the input, from 0.
        memorability: 0 (forgettable) to 1 (memorable); NaN if the image could not be scored.
        error: why there is no score, or None.

    Examples:
        >>> from resmem_plugin import Score
        >>> Score(index=0, memorability=0.8, error=None).ok
        True
    """

    index: int
    memorability: float
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a score."""
        return not math.isnan(self.memorability)
