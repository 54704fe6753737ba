"""What a caller hands over as images, looked at before any of them is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from resmem_plugin.core.errors import ImageNotFoundError, ScoringError
from resmem_plugin.core.images import describe
from resmem_plugin.core.sources import is_url


def iterable_of_images(images: Iterable[object]) -> Iterable[object]:
    """Refuse what can be iterated over but is one image."""
    one = isinstance(images, (str, bytes, bytearray, os.PathLike, Image.Image))
    if one or (isinstance(images, np.ndarray) and images.ndim in (2, 3) and images.dtype != object):
        shown = repr(images) if isinstance(images, (str, os.PathLike)) else describe(images)
        raise TypeError(f"images must be a list or another iterable of images; for one image: [{shown}]")
    return images


def require_files(images: Sequence[object]) -> None:
    """Look for the local files among the images.

    Raises:
        ScoringError: if some do not exist.
    """
    missing = [describe(image) for image in images if _is_missing_file(image)]
    if missing:
        raise ScoringError(
            f"{len(missing)} of {len(images)} files do not exist, so none was scored: {', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}. Correct the paths, or score the rest with errors='coerce'"
        ) from ImageNotFoundError(missing[0])


def _is_missing_file(image: object) -> bool:
    if not isinstance(image, (str, os.PathLike)) or is_url(image):
        return False
    try:
        return not os.path.exists(image)
    except Exception:  # a path that cannot tell its name: its own row will say so
        return False
