"""Images in memory, as PIL, numpy, torch, Hugging Face and Spark users hold them.

Nothing here changes the caller's objects: a PIL image that is not loaded yet is decoded from its own file or bytes, so
that its pixels do not stay in it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from resmem_plugin.core.errors import ImageError, UnreadableImageError, UnsupportedImageError
from resmem_plugin.core.images.decoding import identify, image_errors
from resmem_plugin.core.images.sources import MAX_FILE_BYTES

Content: TypeAlias = "bytes | Image.Image | npt.NDArray[np.uint8]"

_FAILURE = "_resmem_failure"
_MIN_ENCODED_BYTES = 32  # of a one-dimensional array that holds a file
_MAX_RANGE_BYTES = 1 << 28  # of an array whose range is computed for a message
_SPARK_CHANNELS = {0: 1, 16: 3, 24: 4}  # OpenCV's types CV_8UC1, CV_8UC3, CV_8UC4
_load_lock = threading.RLock()  # Pillow's lazy load is not thread-safe, and one image may be given many times


def unwrap(reference: object) -> object:
    """The image in a container: a pyarrow scalar, a Hugging Face or Spark struct, an (image, label) pair.

    Anything else is returned unchanged.

    Raises:
        ImageError: for a struct that holds no image.
    """
    if hasattr(reference, "as_py"):
        reference = reference.as_py()
    if hasattr(reference, "asDict"):
        reference = reference.asDict()
    if isinstance(reference, Mapping):
        return _of_struct(reference)
    if isinstance(reference, tuple) and len(reference) > 1 and _is_image(reference[0]):
        return reference if any(map(_is_image, reference[1:])) else reference[0]
    return reference


def read_object(reference: object) -> Content:
    """The content of an image in memory.

    Raises:
        ImageError: if it is none.
    """
    if isinstance(reference, bytes):
        return reference
    if isinstance(reference, (bytearray, memoryview)):
        return bytes(reference)
    if isinstance(reference, Image.Image):
        return _unloaded(reference)
    if callable(getattr(reference, "read", None)):
        return _read_file_object(reference)
    array = _as_array(reference)
    if array is not None:
        return _check_array(array)
    raise UnsupportedImageError(
        f"not an image but an object of type {type(reference).__name__}: "
        "give a path, a URL, bytes, a PIL image or a uint8 array"
    )


def load(image: Image.Image) -> Image.Image:
    """Load a PIL image once. Pillow forgets a failure, and would return half an image the next time.

    Raises:
        ImageError: if it cannot be decoded.
    """
    with _load_lock:
        failure = getattr(image, _FAILURE, None)
        if failure is None:
            try:
                with image_errors():
                    image.load()
            except ImageError as error:
                failure = error
                setattr(image, _FAILURE, error)
    if failure is not None:
        raise type(failure)(str(failure)) from failure
    return image


def _is_image(value: object) -> bool:
    if isinstance(value, (str, bytes, os.PathLike, Image.Image)):
        return True
    return len(getattr(value, "shape", ())) > 1


def _of_struct(struct: Mapping[Any, Any]) -> object:
    """The image in a struct of Hugging Face's, {bytes, path}, or of Spark's, {data, height, width, nChannels, mode}."""
    if struct.get("bytes") is not None:
        return struct["bytes"]
    if struct.get("path") is not None:
        return struct["path"]
    if {"data", "height", "width", "mode"} <= struct.keys():
        channels = _SPARK_CHANNELS.get(struct["mode"])
        if channels is None:
            raise UnsupportedImageError(f"a Spark image of mode {struct['mode']}: convert it to 8 bits a channel")
        try:
            pixels = np.frombuffer(struct["data"], np.uint8).reshape(struct["height"], struct["width"], channels)
        except (TypeError, ValueError) as error:
            raise UnreadableImageError(
                f"a Spark image whose data do not fit its size ({error}): read it again"
            ) from error
        return pixels[..., [2, 1, 0, 3][:channels]] if channels > 1 else pixels[..., 0]
    if {"bytes", "path"} & struct.keys():
        return None
    raise UnsupportedImageError(
        f"not an image but an object of type {type(struct).__name__}: give a path, a URL, bytes, a PIL image or "
        "a uint8 array; a dict must have the key 'bytes' or 'path'"
    )


def _unloaded(image: Image.Image) -> Content:
    """The bytes of an image that is not loaded yet, or another image of them; else the image itself."""
    if not isinstance(image, ImageFile.ImageFile) or getattr(image, "_im", image) is not None:
        return image
    with _load_lock:
        content = _bytes_behind(image)
        if content is None:
            return image
        try:
            with image_errors():
                again = identify(content)
                if type(again) is not type(image):
                    return image
                if _state(again) == _state(image):
                    return content
                if again.tell() != image.tell():
                    again.seek(image.tell())
                else:
                    again.draft(image.mode, image.size)
                return again if _state(again) == _state(image) else image
        except ImageError:  # loading it will say why, or succeed
            return image


def _state(image: Image.Image) -> tuple[int, tuple[int, int], str]:
    return image.tell(), image.size, image.mode


def _bytes_behind(image: ImageFile.ImageFile) -> bytes | None:
    """The file of an image that is not loaded yet, whose position stays as it is."""
    try:
        if image.fp is not None:
            position = image.fp.tell()
            try:
                image.fp.seek(0)
                return bytes(image.fp.read())
            finally:
                image.fp.seek(position)
    except Exception:  # closed, or not seekable
        return None
    with contextlib.suppress(OSError, TypeError, ValueError), open(image.filename, "rb") as file:
        return file.read()
    return None


def _read_file_object(file: Any) -> bytes:
    """What an open file holds from its start, as Image.open reads it; its position stays as it is."""
    with _load_lock:
        try:
            position = file.tell()
            file.seek(0)
        except Exception:  # a stream
            position = None
        try:
            content = file.read(MAX_FILE_BYTES + 1)
        except Exception as error:
            raise UnreadableImageError(
                f"an open file that cannot be read ({type(error).__name__}: {error}): open it again in mode 'rb'"
            ) from error
        finally:
            if position is not None:
                with contextlib.suppress(Exception):
                    file.seek(position)
    if not isinstance(content, bytes):
        raise UnsupportedImageError("a file opened as text: open it in mode 'rb'")
    if len(content) > MAX_FILE_BYTES:
        raise UnreadableImageError(f"larger than the limit of {MAX_FILE_BYTES:,} bytes: scale it down")
    return content


def _as_array(reference: Any) -> npt.NDArray[Any] | None:
    """A numpy, torch or other array; channels of a tensor go last. None for anything else."""
    if isinstance(reference, np.ndarray):
        return reference
    if not len(getattr(reference, "shape", None) or ()) or not hasattr(reference, "dtype"):
        return None
    try:
        if callable(getattr(reference, "detach", None)):  # a tensor of torch's
            array = np.asarray(reference.detach().cpu())
            return np.moveaxis(array, 0, -1) if array.ndim == 3 and array.shape[0] in (1, 3, 4) else array
        return np.asarray(reference)
    except Exception as error:
        raise UnsupportedImageError(
            f"a {type(reference).__name__} that cannot be converted to a numpy array ({error}): convert it first"
        ) from error


def _check_array(array: npt.NDArray[Any]) -> bytes | npt.NDArray[np.uint8]:
    if array.dtype != np.uint8:
        raise UnsupportedImageError(f"an array of {array.dtype}, not uint8: {_conversion(array)}")
    if array.ndim == 1 and array.size >= _MIN_ENCODED_BYTES:
        return array.tobytes()
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    elif array.ndim == 3 and array.shape[0] == 1 and array.shape[2] not in (3, 4):
        array = array[0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        planar = array.ndim == 3 and array.size and array.shape[0] in (3, 4)
        cure = ": move the channels last, as in np.moveaxis(x, 0, -1)" if planar else ", and is not empty"
        raise UnsupportedImageError(
            f"an array of shape {array.shape}: an image has (H, W), (H, W, 1), (H, W, 3) or (H, W, 4){cure}"
        )
    return array


def _conversion(array: npt.NDArray[Any]) -> str:
    """How to convert an array to uint8, by its type and range."""
    kind = array.dtype.kind
    if kind == "b":
        return "convert it, as in x.astype('uint8') * 255"
    if kind not in "iuf":
        return "give numbers of 0-255"
    if array.size == 0 or array.nbytes > _MAX_RANGE_BYTES:
        return "convert it to 0-255"
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        return "replace NaN and infinity, and convert it to 0-255"
    if kind == "f" and low >= 0 and high <= 1:
        return "convert it to 0-255, as in (x * 255).round().astype('uint8')"
    if low >= 0 and high <= 255:
        return "its values are in 0-255, so convert it, as in x.round().astype('uint8')"
    if kind == "u" and array.dtype.itemsize == 2 and high > 4095:
        return "convert it to 0-255, as in (x // 257).astype('uint8')"
    if low >= 0:
        return f"convert it to 0-255 by its largest value, as in (x / {high:g} * 255).round().astype('uint8')"
    return "convert it to 0-255 by its range, as in ((x - x.min()) / (x.max() - x.min()) * 255).round().astype('uint8')"
