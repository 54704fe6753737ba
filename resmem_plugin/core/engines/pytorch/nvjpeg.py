"""JPEGs decoded in batches where the network runs, and resized there: nvJPEG on a CUDA card."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from resmem_plugin.core.images.preprocess import CENTRE, RESIZED


class JPEGDecoder:
    """Decodes and resizes JPEGs on one device: like Pillow but for its rounding, and for how nvJPEG spreads colours.

    Args:
        device: a torch device; on a CPU, where nothing is gained, values differ from Pillow's by one at most.
    """

    def __init__(self, device: str | torch.device) -> None:
        self._device = torch.device(device)

    def __call__(self, jpegs: Sequence[bytes]) -> list[npt.NDArray[np.uint8] | None]:
        """What the network sees of JPEG files: uint8 (227, 227, 3) each, None for one that cannot be decoded here."""
        seen: list[npt.NDArray[np.uint8] | None] = [None] * len(jpegs)
        images = {number: image for number, image in enumerate(self._decoded(jpegs)) if image is not None}
        for numbers in _group_by_shape(images):
            with contextlib.suppress(Exception):  # out of the card's memory, say: whoever asked has a CPU
                resized = _resized(torch.stack([images[number] for number in numbers]))
                for number, one in zip(numbers, resized, strict=True):
                    seen[number] = one
        return seen

    def _decoded(self, jpegs: Sequence[bytes]) -> list[Tensor | None]:
        from torchvision.io import ImageReadMode, decode_jpeg  # takes seconds: no other need for it

        try:
            encoded = [torch.frombuffer(bytearray(jpeg), dtype=torch.uint8) for jpeg in jpegs]
            return list(decode_jpeg(encoded, ImageReadMode.RGB, self._device))
        except Exception:  # one that cannot be decoded spoils the batch, and is not told
            return [None] if len(jpegs) == 1 else [image for jpeg in jpegs for image in self._decoded([jpeg])]


def _group_by_shape(images: dict[int, Tensor]) -> Iterable[list[int]]:
    """The numbers of images of one size, for each size."""
    sizes: dict[torch.Size, list[int]] = {}
    for number, image in images.items():
        sizes.setdefault(image.shape, []).append(number)
    return sizes.values()


def _resized(images: Tensor) -> npt.NDArray[np.uint8]:
    """uint8 (B, 3, H, W) -> uint8 (B, 227, 227, 3), as `preprocess.pixels` does with Pillow."""
    left, top, right, bottom = CENTRE
    resized = functional.interpolate(images.to(torch.float32), RESIZED, mode="bilinear", antialias=True)
    central = resized[:, :, top:bottom, left:right].round_().clamp_(0, 255).to(torch.uint8)
    return central.permute(0, 2, 3, 1).contiguous().cpu().numpy()
