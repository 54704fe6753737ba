"""Turns references to images (paths, URLs, bytes, arrays, PIL images) into RGB images.

The default policy is upstream's recipe, `Image.open(path).convert("RGB")`: the first frame, EXIF orientation ignored,
alpha dropped, CMYK converted without its profile, and values above 8 bits clipped at 255. That last step destroys most
16-bit, 32-bit and float images: they get upstream's score, and the caller a `ClippedImagesWarning`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from resmem_plugin.core.errors import (
    ImageNotFoundError,
    MissingValueError,
    OptionError,
    ScoringError,
    UnsupportedImageError,
)
from resmem_plugin.core.images.decoding import decode, image_errors, is_thumbnail, pixel_limit
from resmem_plugin.core.images.objects import Content, load, read_object, unwrap
from resmem_plugin.core.images.sources import Sources, is_url
from resmem_plugin.core.images.urls import looks_like_base64
from resmem_plugin.core.sanitize import printable, shortened, without_secrets
from resmem_plugin.core.scores import Flaw

ImageLike: TypeAlias = "str | os.PathLike[Any] | bytes | Image.Image | npt.NDArray[np.uint8]"
"""A path, an fsspec URL, encoded bytes, a PIL image, or a uint8 array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).

An open file, a tensor (C, H, W), an (image, label) pair and a struct of Hugging Face's or Spark's are read too.
"""

DecodeMode: TypeAlias = Literal["exact", "fast"]

MISSING_VALUE = "missing value (None or NaN): fill in an image, or leave it out"
"""The error of a missing value."""

_EXIF_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DRAFT_SIZE_PX = (768, 768)  # three times the size the network needs: scores move by at most 0.006


def is_missing(reference: object) -> bool:
    """Whether a value is missing: None, NaN, NaT or pandas' NA."""
    if reference is None or isinstance(reference, (str, bytes, os.PathLike, Image.Image, np.ndarray)):
        return reference is None
    try:
        return bool(reference != reference)
    except Exception:  # pandas' NA has no truth value, a tensor has many
        return type(reference).__name__ == "NAType"


def describe(reference: object) -> str:
    """A short name of an image for messages, safe to print: its path or URL, or the kind of object."""
    if isinstance(reference, (str, os.PathLike)):
        with contextlib.suppress(Exception):  # of a path object whose __fspath__ fails
            return shortened(printable(without_secrets(os.fsdecode(reference)))) or repr("")
    if isinstance(reference, bytes):
        return f"<{len(reference)} bytes>"
    if isinstance(reference, Image.Image):
        return f"<PIL image {reference.width}x{reference.height} {reference.mode}>"
    if isinstance(reference, np.ndarray):
        return f"<array {reference.shape} {reference.dtype}>"
    return f"<{type(reference).__name__} object>"


def to_rgb(image: Image.Image) -> Image.Image:
    """The image converted by Pillow's `convert("RGB")`: alpha dropped, CMYK without a profile, 16 bits clipped at 255.

    Raises:
        UnsupportedImageError: for a mode that Pillow cannot convert.
    """
    if image.mode == "RGB":
        return image
    if isinstance(image.info.get("transparency"), bytes):  # the conversion drops it, with a warning
        image = image.copy()
        del image.info["transparency"]
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise UnsupportedImageError(
            f"mode {image.mode} cannot be converted to RGB ({error}): convert the image first"
        ) from error


@dataclass(frozen=True)
class OpenedImage:
    """An RGB image, and what is wrong with it."""

    image: Image.Image
    flaw: Flaw


@dataclass(frozen=True, kw_only=True)
class ImageReader:
    """Turns references to images into RGB images; thread-safe.

    Args:
        decode: "exact" gives upstream's pixels; "fast" lets the JPEG decoder scale large photographs down first.
        exif_transpose: rotate images by their EXIF orientation, which upstream ignores.
        storage_options: for URLs, passed to their fsspec filesystem.
        base64: text that is no URL is an image in base64, not a path.
        max_pixels: of one image; None: `RESMEM_MAX_PIXELS`, else twice `PIL.Image.MAX_IMAGE_PIXELS`.
    """

    decode: DecodeMode = "exact"
    exif_transpose: bool = False
    storage_options: Mapping[str, Any] | None = None
    max_pixels: int | None = None
    base64: bool = False
    _sources: Sources = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.decode not in ("exact", "fast"):
            raise OptionError(f"decode must be 'exact' or 'fast', not {self.decode!r}")
        pixel_limit()  # raises if the variable is invalid
        object.__setattr__(self, "_sources", Sources(self.storage_options, self.base64))

    def fetch(self, reference: object) -> Content:
        """Read the content behind a reference into memory, still encoded.

        Raises:
            ImageError: if it is missing, does not exist, cannot be read, or is not an image.
        """
        if is_missing(reference):
            raise MissingValueError(MISSING_VALUE)
        image = unwrap(reference)
        if is_missing(image):  # of an empty struct
            raise MissingValueError(MISSING_VALUE)
        if isinstance(image, (str, os.PathLike)):
            return self._sources.read(image)
        return read_object(image)

    def open(self, content: Content) -> OpenedImage:
        """Decode what `fetch` returned.

        Raises:
            ImageError: if Pillow cannot decode it completely, or cannot convert it to RGB.
        """
        with image_errors():
            if isinstance(content, Image.Image):
                image = load(content)
            elif isinstance(content, np.ndarray):
                image = Image.fromarray(content)
            else:
                image = decode(content, _DRAFT_SIZE_PX if self.decode == "fast" else None, self.max_pixels)
            if not (image.width and image.height):
                raise UnsupportedImageError(f"an image of {image.width}x{image.height} pixels is empty: leave it out")
            flaw = (Flaw.THUMBNAIL if is_thumbnail(image) else Flaw.NONE) | (
                Flaw.CLIPPED if _is_clipped(image) else Flaw.NONE
            )
            return OpenedImage(to_rgb(_apply_exif(image) if self.exif_transpose else image), flaw)

    def read(self, reference: object) -> OpenedImage:
        """`fetch`, then `open`."""
        return self.open(self.fetch(reference))

    def close(self) -> None:
        """Close the archives that were opened; reading again opens them again."""
        self._sources.close()


def exif_turn(image: Image.Image) -> Image.Transpose | None:
    """What turns an image upright, by its EXIF orientation; None: it is, or its metadata cannot be read."""
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:  # metadata that cannot be read rotate nothing
        return None
    return _EXIF_TRANSPOSES.get(orientation) if isinstance(orientation, int) else None


def _apply_exif(image: Image.Image) -> Image.Image:
    turn = exif_turn(image)
    return image if turn is None else image.transpose(turn)


def _is_clipped(image: Image.Image) -> bool:
    """Whether values lie outside 0-255, or are floats in 0-1, which all become black."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return False
    values = np.asarray(image)
    low, high = values.min(), values.max()
    return bool(not (low >= 0 and high <= 255) or (image.mode == "F" and 0 < high <= 1))  # `not`, because of NaN


def iterable_of_images(images: Iterable[object]) -> Iterable[object]:
    """Return the images, and refuse a single image that could be iterated over."""
    if isinstance(images, Mapping) or (hasattr(images, "columns") and hasattr(images, "iterrows")):
        raise TypeError(
            f"images must be a list or another iterable of images, not a {type(images).__name__}, which iterates over "
            "its keys: give one column, as in list(frame['path']), or use frame.resmem.score('path')"
        )
    if is_single_image(images):
        shown = shortened(repr(images)) if isinstance(images, (str, os.PathLike)) else describe(images)
        raise TypeError(f"images must be a list or another iterable of images; for one image: [{shown}]")
    return images


def is_single_image(images: object) -> bool:
    """Whether this is one image, not an iterable of them."""
    if isinstance(images, np.ndarray):
        return images.ndim in (2, 3) and images.dtype != object
    is_image = isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike, Image.Image))
    return is_image or callable(getattr(images, "read", None))


def listed_images(images: Iterable[object], errors: str, *, base64: bool) -> list[object]:
    """List the images of a call with `errors="raise"`, which checks that local files exist, or "coerce".

    Raises:
        OptionError: for another value of `errors`.
        ScoringError: if files do not exist.
    """
    if errors not in ("raise", "coerce"):
        raise OptionError(f"errors must be 'raise' or 'coerce', not {errors!r}")
    listed = list(iterable_of_images(images))
    if errors == "raise" and not base64:
        require_files(listed)
    return listed


def require_files(images: Sequence[object]) -> None:
    """Check that the local files among the images exist.

    Raises:
        ScoringError: if some do not.
    """
    missing = [describe(image) for image in images if _is_missing_file(image)]
    if missing:
        raise ScoringError(
            f"{len(missing)} of {len(images)} files do not exist, and nothing was scored: {', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}. Correct the paths, or score the rest with errors='coerce'"
        ) from ImageNotFoundError(missing[0])


def _is_missing_file(image: object) -> bool:
    if not isinstance(image, (str, os.PathLike)) or is_url(image) or looks_like_base64(image):
        return False
    try:
        return not os.path.exists(image)
    except Exception:  # a path object whose __fspath__ fails: its own row will have the error
        return False
