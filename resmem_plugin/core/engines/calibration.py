"""The images that int8 is calibrated on: which of those to be scored, and what the network sees of them."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import CalibrationWarning, OptionError, warn
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.images.reader import ImageReader

Calibration: TypeAlias = "str | npt.NDArray[np.uint8]"
"""The id of a calibration that is kept, or the images (N, 227, 227, 3) for one."""

SAMPLE_SIZE = 128
"""More calibrate no better."""

_MIN_IMAGES = 32


def calibration_id(calibration: Calibration) -> str:
    """What names a calibration in a provenance: sixteen hexadecimal digits of the SHA-256 of its images."""
    if isinstance(calibration, str):
        return calibration
    return hashlib.sha256(np.ascontiguousarray(calibration).data).hexdigest()[:16]


def is_calibration_id(text: str) -> bool:
    """Whether a text can be what `calibration_id` gives."""
    return re.fullmatch("[0-9a-f]{16}", text) is not None


def sample_of(images: Iterable[object]) -> tuple[Sequence[object], Iterable[object]]:
    """`SAMPLE_SIZE` of the images, and all of them: spread evenly over a sequence, the first of a stream."""
    if isinstance(images, Sequence):
        count = min(SAMPLE_SIZE, len(images))
        return [images[number * len(images) // count] for number in range(count)], images
    stream = iter(images)
    first = list(itertools.islice(stream, SAMPLE_SIZE))
    return first, itertools.chain(first, stream)


def read_calibration(images: Iterable[object], reader: ImageReader, num_workers: int) -> npt.NDArray[np.uint8]:
    """What the network sees of calibration images: uint8 (N, 227, 227, 3), N at most `SAMPLE_SIZE`.

    Images that cannot be read are left out.

    Raises:
        OptionError: if none can be read.
    """
    chosen, _ = sample_of(images if isinstance(images, Sequence) else list(images))

    def read(image: object) -> npt.NDArray[np.uint8] | Exception:
        try:
            return pixels(reader.read(image).image)
        except Exception as error:  # an odd object of the caller's: its own row will say so
            return error

    with ThreadPoolExecutor(num_workers) as threads:
        read_ones = list(threads.map(read, chosen))
    seen = [one for one in read_ones if not isinstance(one, Exception)]
    if not seen:
        why = f"; the first: {read_ones[0]}" if read_ones else ""
        raise OptionError(f"precision='int8' needs images to calibrate on, and none can be read{why}: name others")
    if len(seen) < _MIN_IMAGES:
        warn(
            f"int8 is calibrated on {len(seen)} image(s), and its scores may be further from fp32's than is told: "
            f"calibrate on {SAMPLE_SIZE} pictures of the kind that is scored",
            CalibrationWarning,
        )
    return np.stack(seen)
