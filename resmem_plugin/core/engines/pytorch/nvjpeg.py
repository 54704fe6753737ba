"""Decodes JPEGs on a CUDA device with nvJPEG, in batches, and resizes them there."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
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
                    results[number] = one
        return results

    def _decoded(self, jpegs: Sequence[bytes]) -> list[Tensor | None]:
        from torchvision.io import ImageReadMode, decode_jpeg  # here: it takes seconds

        try:
            encoded = [torch.frombuffer(bytearray(jpeg), dtype=torch.uint8) for jpeg in jpegs]
            decoded = list(decode_jpeg(encoded, ImageReadMode.RGB, self._device))
            if self._device.type == "cuda":
                skip_destructors()
            return decoded
        except Exception:  # one that cannot be decoded fails the batch, without saying which
            return [None] if len(jpegs) == 1 else [image for jpeg in jpegs for image in self._decoded([jpeg])]


@functools.cache
def skip_destructors() -> None:
    """Have this process end without the exit handlers of its C++ libraries; those of Python run.

    nvJPEG leaves threads behind, and a third of the processes that had used it on an H200 (torchvision 0.26) were
    aborted at their end, with exit code 134, whatever they returned.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # musl has no on_exit
            library = ctypes.CDLL(None)
            library.on_exit(library._exit, None)


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
