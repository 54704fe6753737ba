"""What an image is compared with: the same image without its content."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from resmem_plugin.core.errors import OptionError

BASELINES = ("blurred", "mean", "blank")
"""A blank image has a high score itself (.7 to .9), so that what it hides may seem to lower the score."""

_RADIUS = 20  # of the blur, in pixels of 227: shapes are gone, light and colours stay


def baseline_of(pixels: npt.NDArray[np.uint8], name: str) -> npt.NDArray[np.uint8]:
    """uint8 (227, 227, 3) -> the same, blurred, of its mean colour, or of middle gray.

    Raises:
        OptionError: for another name.
    """
    if name == "blurred":
        return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(_RADIUS)))
    if name == "mean":
        return np.broadcast_to(pixels.mean(axis=(0, 1)).round().astype(np.uint8), pixels.shape)
    if name == "blank":
        return np.full_like(pixels, 128)
    raise OptionError(f"baseline must be one of {', '.join(BASELINES)}, not {name!r}")
