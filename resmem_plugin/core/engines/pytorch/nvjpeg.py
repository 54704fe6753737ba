"""Decodes JPEGs on a CUDA device with nvJPEG, in batches, and resizes them there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from resmem_plugin.core.images.preprocess import CENTER_CROP, RESIZED


class JPEGDecoder:
    """Decodes and resizes JPEGs on one device, as Pillow does except for rounding and nvJPEG's chroma upsampling.

    Args:
        device: a torch device. On a CPU, for tests, values differ from Pillow's by one at most.
    """

    def __init__(self, device: str | torch.device) -> None:
        self._device = torch.device(device)

    def __call__(self, jpegs: Sequence[bytes]) -> list[npt.NDArray[np.uint8] | None]:
        """Decode and preprocess JPEG files: uint8 (227, 227, 3) each, None for one that cannot be decoded here."""
        results: list[npt.NDArray[np.uint8] | None] = [None] * len(jpegs)
        images = {number: image for number, image in enumerate(self._decoded(jpegs)) if image is not None}
        for numbers in _group_by_shape(images):
            with contextlib.suppress(Exception):  # out of memory, say: the caller decodes it on the CPU
                resized = _resized(torch.stack([images[number] for number in numbers]))
                for number, one in zip(numbers, resized, strict=True):
                    results[number] = one.copy()  # a daemon thread that frees torch's memory at exit aborts the process
        return results

    def _decoded(self, jpegs: Sequence[bytes]) -> list[Tensor | None]:
        from torchvision.io import ImageReadMode, decode_jpeg  # here: it takes seconds

        try:
            encoded = [torch.frombuffer(bytearray(jpeg), dtype=torch.uint8) for jpeg in jpegs]
            return list(decode_jpeg(encoded, ImageReadMode.RGB, self._device))
        except Exception:  # one that cannot be decoded fails the batch, without saying which
            return [None] if len(jpegs) == 1 else [image for jpeg in jpegs for image in self._decoded([jpeg])]


def _group_by_shape(images: dict[int, Tensor]) -> Iterable[list[int]]:
    """Group the numbers of images by their size."""
    sizes: dict[torch.Size, list[int]] = {}
    for number, image in images.items():
        sizes.setdefault(image.shape, []).append(number)
    return sizes.values()


def _resized(images: Tensor) -> npt.NDArray[np.uint8]:
    """uint8 (B, 3, H, W) -> uint8 (B, 227, 227, 3), as `preprocess.pixels` does with Pillow."""
    left, top, right, bottom = CENTER_CROP
    resized = functional.interpolate(images.to(torch.float32), RESIZED, mode="bilinear", antialias=True)
    cropped = resized[:, :, top:bottom, left:right].round_().clamp_(0, 255).to(torch.uint8)
    return cropped.permute(0, 2, 3, 1).contiguous().cpu().numpy()
