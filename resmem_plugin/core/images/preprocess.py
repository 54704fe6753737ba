"""From a PIL image to the network's input: RGB, resized to 256x256 (bilinear, antialiased), center crop of 227x227.

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

INPUT_SIZE = 227
"""Rows and columns of the network's input."""

INPUT_SHAPE = (INPUT_SIZE, INPUT_SIZE, 3)
"""Rows, columns, RGB."""

RESIZED = (256, 256)
"""Rows and columns before the center crop."""

CENTER_CROP = (14, 14, 14 + INPUT_SIZE, 14 + INPUT_SIZE)
"""Left, top, right, bottom. torchvision's CenterCrop(227) rounds the 14.5 pixels on either side to 14."""


def pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    """PIL image of any mode -> uint8 array (227, 227, 3), the values that `transformer` scales to [0, 1].

    Raises:
        UnsupportedImageError: for a mode that Pillow cannot convert to RGB.
    """
    return np.asarray(to_rgb(image).resize(RESIZED, Image.Resampling.BILINEAR).crop(CENTER_CROP))


def transformer(image: Image.Image) -> Tensor:
    """PIL image of any mode -> float32 tensor (3, 227, 227) in [0, 1]: upstream's `transformer`, for any mode.

    Raises:
        TypeError: if `image` is not a PIL image, or of a mode that Pillow cannot convert to RGB.

    Examples:
        >>> from PIL import Image
        >>> from resmem_plugin import transformer
        >>> transformer(Image.open("coffee.png")).shape
        torch.Size([3, 227, 227])
    """
    import torch  # here: scoring with OpenVINO does not need it

    if not isinstance(image, Image.Image):
        raise TypeError(f"transformer takes a PIL image (PIL.Image.open(path)), not {type(image).__name__}")
    return torch.from_numpy(pixels(image).transpose(2, 0, 1).copy()).to(torch.float32).div_(255)
