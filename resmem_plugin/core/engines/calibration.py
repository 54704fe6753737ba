"""The images that int8 is calibrated on: a sample of those to be scored, preprocessed."""

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
"""The id of a calibration in the cache folder, or the images (N, 227, 227, 3) for a new one."""

SAMPLE_SIZE = 128
"""Images to calibrate on; more do not reduce the error."""

_MIN_IMAGES = 32


def calibration_id(calibration: Calibration) -> str:
    """The id of a calibration in a provenance: sixteen hexadecimal digits of the SHA-256 of its images."""
    if isinstance(calibration, str):
        return calibration
    return hashlib.sha256(np.ascontiguousarray(calibration).data).hexdigest()[:16]


def is_calibration_id(text: str) -> bool:
    """Whether a text has the form of a `calibration_id`."""
    return re.fullmatch("[0-9a-f]{16}", text) is not None


def sample_of(images: Iterable[object]) -> tuple[Sequence[object], Iterable[object]]:
    """`SAMPLE_SIZE` of the images, evenly spaced in a sequence or the first of a stream; and all the images."""
    if isinstance(images, Sequence):
        count = min(SAMPLE_SIZE, len(images))
        return [images[number * len(images) // count] for number in range(count)], images
    stream = iter(images)
    first = list(itertools.islice(stream, SAMPLE_SIZE))
    return first, itertools.chain(first, stream)


def read_calibration(images: Iterable[object], reader: ImageReader, num_workers: int) -> npt.NDArray[np.uint8]:
    """Read and preprocess calibration images: uint8 (N, 227, 227, 3), N at most `SAMPLE_SIZE`.

    Images that cannot be read are skipped.

    Raises:
        OptionError: if none can be read.
    """
    chosen, _ = sample_of(images if isinstance(images, Sequence) else list(images))

    def read(image: object) -> npt.NDArray[np.uint8] | Exception:
        try:
            return pixels(reader.read(image).image)
        except Exception as error:  # its own row will have the error
            return error

    with ThreadPoolExecutor(num_workers) as threads:
        results = list(threads.map(read, chosen))
    images_read = [result for result in results if not isinstance(result, Exception)]
    if not images_read:
        why = f"; the first: {results[0]}" if results else ""
        raise OptionError(f"precision='int8' needs images to calibrate on, and none can be read{why}: name others")
    if len(images_read) < _MIN_IMAGES:
        warn(
            f"int8 is calibrated on {len(images_read)} image(s), and its error may be larger than documented: "
            f"calibrate on {SAMPLE_SIZE} images of the kind that is scored",
            CalibrationWarning,
        )
    return np.stack(images_read)
