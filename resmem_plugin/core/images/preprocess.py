"""From a PIL image to the network's input: RGB, squashed to 256x256 (bilinear, antialiased), the central 227x227.

The network takes values in [0, 1] with no ImageNet normalisation (which would move scores by 0.26 on average).
Neither form here needs torchvision, and `pixels` does not need torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from resmem_plugin.core.images.reader import to_rgb

if TYPE_CHECKING:
    from torch import Tensor

PREPROCESSING_VERSION = "1"
"""Raised whenever a release changes the pixels that the network sees."""

INPUT_SHAPE = (227, 227, 3)
"""What the network sees of an image: rows, columns, RGB."""

RESIZED = (256, 256)
"""Rows and columns before the central part is cut out."""

CENTRE = (14, 14, 241, 241)
"""That part: left, top, right, bottom. torchvision's CenterCrop(227) rounds the 14.5 pixels on either side to 14."""


def pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    """PIL image of any mode -> uint8 array (227, 227, 3), the very values that `transformer` scales to [0, 1].

    Raises:
        UnsupportedImageError: for a mode that Pillow cannot convert to RGB.
    """
    return np.asarray(to_rgb(image).resize(RESIZED, Image.Resampling.BILINEAR).crop(CENTRE))


def transformer(image: Image.Image) -> Tensor:
    """PIL image of any mode -> float32 tensor (3, 227, 227) in [0, 1]: upstream's `transformer`, for any mode.

    Raises:
        TypeError: if `image` is not a PIL image, or of a mode that Pillow cannot convert to RGB.
    """
    import torch  # here, so that scoring with an engine that needs no torch does not load it

    if not isinstance(image, Image.Image):
        raise TypeError(f"transformer takes a PIL image (PIL.Image.open(path)), not {type(image).__name__}")
    return torch.from_numpy(pixels(image).transpose(2, 0, 1).copy()).to(torch.float32).div_(255)
