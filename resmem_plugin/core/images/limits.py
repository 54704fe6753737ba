"""How much of one's time and memory an image behind a URL may take."""

from __future__ import annotations

import math
from dataclasses import dataclass

from resmem_plugin.core import settings
from resmem_plugin.core.errors import OptionError, UnreadableImageError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much of one image, and of one's time, a URL may take.

    Attributes:
        max_bytes: of one image. Default: those of an uncompressed picture of as many pixels as Pillow takes at most.
        timeout_s: for http(s), seconds to connect in, and without a byte. The whole answer has ten times as long.
    """

    max_bytes: int = 512 << 20
    timeout_s: float = 30.0

    @staticmethod
    def from_environment() -> Limits:
        """The limits that `RESMEM_MAX_BYTES` and `RESMEM_TIMEOUT_S` set.

        Raises:
            OptionError: for values that are no numbers above 0.
        """
        return Limits(
            max_bytes=int(_number("RESMEM_MAX_BYTES", Limits.max_bytes)),
            timeout_s=_number("RESMEM_TIMEOUT_S", Limits.timeout_s),
        )

    @property
    def total_s(self) -> float:
        """Seconds that a whole answer may take."""
        return 10 * self.timeout_s

    def exceeded(self) -> UnreadableImageError:
        """The error for what is larger."""
        return UnreadableImageError(
            f"larger than {self.max_bytes:,} bytes, the limit for URLs: scale it down, or raise RESMEM_MAX_BYTES if "
            "you trust it"
        )


def _number(name: settings.Variable, default: float) -> float:
    given = settings.read(name)
    if not given:
        return default
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not 1e-3 <= number < 1e15:  # nor NaN
        raise OptionError(f"{name} must be a number above 0, not {given!r}: correct it, or leave it out")
    return number
