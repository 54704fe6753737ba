"""Limits of size and time for images behind URLs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from resmem_plugin.core import settings
from resmem_plugin.core.errors import OptionError, UnreadableImageError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of size and time for one image behind a URL.

    Attributes:
        max_bytes: of one image. The default fits an uncompressed image of as many pixels as Pillow accepts.
        timeout_s: for http(s), seconds to connect, and without a byte. The whole response may take ten times as long.
    """

    max_bytes: int = 512 << 20
    timeout_s: float = 30.0

    @staticmethod
    def from_environment() -> Limits:
        """The limits that `RESMEM_MAX_BYTES` and `RESMEM_TIMEOUT_S` set.

        Raises:
            OptionError: for values that are not numbers above 0.
        """
        return Limits(
            max_bytes=int(_number("RESMEM_MAX_BYTES", Limits.max_bytes)),
            timeout_s=_number("RESMEM_TIMEOUT_S", Limits.timeout_s),
        )

    @property
    def total_s(self) -> float:
        """Seconds that a whole response may take."""
        return 10 * self.timeout_s

    def exceeded(self) -> UnreadableImageError:
        """The error for an image that is larger."""
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
        raise OptionError(f"{name} must be a number above 0, not {given!r}: correct it, or unset it")
    return number
