"""The score of one image, `Score`, and what may be wrong with the image, `Flaw`."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class Flaw(enum.IntFlag):
    """Why the score of an image that can be read means little."""

    NONE = 0

    CLIPPED = 1
    """It holds values outside 0-255, or floats in 0-1, which upstream's recipe clips."""
    THUMBNAIL = 2
    """It is the thumbnail that a camera's raw file begins with."""


@dataclass(frozen=True)
class Score:
    """The memorability of one image.

    Attributes:
        index: position of the image in the input, from 0.
        memorability: 0 (forgettable) to 1 (memorable); NaN if the image could not be scored.
        error: why there is no score, or None.
        flaw: why the score means little: `Flaw.CLIPPED`, `Flaw.THUMBNAIL`, both, or `Flaw.NONE`.

    Examples:
        >>> from resmem_plugin import Score
        >>> Score(index=0, memorability=0.8, error=None).ok
        True
    """

    index: int
    memorability: float
    error: str | None = None
    flaw: Flaw = Flaw.NONE

    @property
    def ok(self) -> bool:
        """Whether there is a score."""
        return not math.isnan(self.memorability)
