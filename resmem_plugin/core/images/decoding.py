"""Decodes the bytes of a file, JPEG or any other format of Pillow's, to a PIL image, within limits.

It replaces `Image.open`, and tries the same formats in the same order, except those that would start another program.
The cost of a file is limited by `pixel_limit`, by default as Image.open does: more than twice
`PIL.Image.MAX_IMAGE_PIXELS` are refused. Unlike it, there is no warning below that.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import struct
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from PIL import Image, JpegImagePlugin

from resmem_plugin.core import settings
from resmem_plugin.core.errors import ImageError, OptionError, UnreadableImageError, UnsupportedImageError
from resmem_plugin.core.images.members import START_BYTES, archive_advice

NEEDS_MEMORY = "it needs more memory than is available: scale it down, or decode fewer at once with num_workers"

_Accept: TypeAlias = Callable[[bytes], "bool | str"]  # a str: why Pillow cannot read this format here

_EXTERNAL_FORMATS = {"EPS", "WMF", "GRIB", "BUFR", "HDF5"}  # they run Ghostscript or the like
_NOT_THIS_FORMAT = (SyntaxError, IndexError, TypeError, struct.error)  # what Image.open catches, to try the next format
_NO_IMAGE_FORMATS = {*_EXTERNAL_FORMATS, "MPEG", "PDF"}  # Pillow knows them, and decodes no pixels of theirs
_COMMON_SUFFIXES = frozenset((
    ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo",
    ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
))  # fmt: skip
"""Suffixes of images, whatever Pillow was built with."""
PREFIX_BYTES = 16
"""Bytes at the start of a file by which Pillow recognises its format."""
_JPEG_SCAN = b"\xff\xda\x00"  # in coded data 0xff is followed by 0
_JPEG_END = b"\xff\xd9"
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE = 254, 255  # tags of a TIFF: bit 0, or 2, is an image of reduced resolution
_MAX_SCANS = 20  # of the largest image; a progressive JPEG has about ten
_warnings_lock = threading.Lock()


@dataclass(frozen=True)
class _OptionalFormat:
    """A format that another package adds to Pillow.

    Attributes:
        name: of the format.
        package: the distribution to install.
        module: the module to import.
        suffixes: of its files.
        register: the function of the module that adds the format, if importing does not.
    """

    name: str
    package: str
    module: str
    suffixes: tuple[str, ...]
    register: str | None = None

    def add(self) -> bool:
        """Add the format to Pillow; False if the package is not installed."""
        try:
            module = importlib.import_module(self.module)
        except ImportError:
            return False
        if self.register:
            getattr(module, self.register)()
        return True


_HEIC = _OptionalFormat(
    "HEIC", "pillow-heif", "pillow_heif", (".heic", ".heics", ".heif", ".heifs", ".hif"), "register_heif_opener"
)
_JPEG_XL = _OptionalFormat("JPEG XL", "pillow-jxl-plugin", "pillow_jxl", (".jxl",))
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}


def pixel_limit() -> int:
    """The largest number of pixels of an image, unless an option sets another.

    Raises:
        OptionError: if `RESMEM_MAX_PIXELS` is not a whole number from 1.
    """
    given = settings.read("RESMEM_MAX_PIXELS")
    if given is not None:
        if not (given.isascii() and given.isdigit() and int(given) > 0):
            raise OptionError(f"RESMEM_MAX_PIXELS must be a whole number from 1, not {given!r}")
        return int(given)
    return sys.maxsize if Image.MAX_IMAGE_PIXELS is None else 2 * Image.MAX_IMAGE_PIXELS


def decode(content: bytes, draft: tuple[int, int] | None = None, max_pixels: int | None = None) -> Image.Image:
    """Decode the first image of a file.

    Args:
        content: the file.
        draft: let the JPEG decoder scale an image down that is larger than this; other formats ignore it.
        max_pixels: the largest number of pixels; None: `pixel_limit`.

    Raises:
        ImageError: if Pillow cannot decode an image from it completely, or it is too large.
    """
    with image_errors():
        try:
            return _decoded(content, draft, max_pixels)
        except Warning:  # a program's filters may turn Pillow's warnings into errors
            with _suppress_warnings():
                return _decoded(content, draft, max_pixels)


def readable_suffixes() -> frozenset[str]:
    """Suffixes, in lower case, of the images that Pillow reads here, and of HEIC and JPEG XL even where it cannot.

    It loads all of Pillow's formats, which takes a while.
    """
    registered = Image.registered_extensions()
    formats = {name for name in Image.OPEN if name not in _NO_IMAGE_FORMATS}
    found = (suffix.lower() for suffix, name in registered.items() if name in formats)
    return _COMMON_SUFFIXES.union(found, _HEIC.suffixes, _JPEG_XL.suffixes)


def is_thumbnail(image: Image.Image) -> bool:
    """Whether this is the reduced image at the start of a TIFF, as in .nef, .arw and .dng, whose full one is raw."""
    tags = getattr(image, "tag_v2", {})
    return bool(tags.get(_NEW_SUBFILE_TYPE, 0) & 1) or tags.get(_SUBFILE_TYPE) == 2


def starts_like_image(prefix: bytes) -> bool:
    """Whether a file that starts with these `PREFIX_BYTES` is an image, as far as they tell.

    A DIB starts with a small number, which is too little to tell it by.
    """
    if _optional_format(prefix) is not None:
        return True
    Image.init()
    accepts = [accept for name, (_, accept) in list(Image.OPEN.items()) if name not in {*_NO_IMAGE_FORMATS, "DIB"}]
    return any(accept is not None and _verdict(accept, prefix) for accept in accepts)


def plain_jpeg_pixels(content: bytes, max_pixels: int | None = None) -> int:
    """The number of pixels of a JPEG that every decoder decodes as Pillow does: complete, grey or YCbCr, not too large.

    0 for any other file.
    """
    if not content.startswith(b"\xff\xd8") or content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN):
        return 0
    try:
        with image_errors():
            image = identify(content)
            _check_cost(image, content, max_pixels)
            if not isinstance(image, JpegImagePlugin.JpegImageFile):
                return 0
            is_ycbcr = image.mode == "RGB" and image.info.get("adobe_transform") != 0 and image.layer[0][0] != ord("R")
            return image.width * image.height if is_ycbcr or image.mode == "L" else 0
    except ImageError:
        return 0


@contextlib.contextmanager
def image_errors() -> Iterator[None]:
    """Turn whatever Pillow raises for an image into an `ImageError` that says what to do."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(
            f"too large ({_message(error)}): scale it down, or if you trust it set RESMEM_MAX_PIXELS, max_pixels= or "
            "--max-pixels to more"
        ) from error
    except MemoryError as error:
        raise UnreadableImageError(NEEDS_MEMORY) from error
    except Exception as error:  # Pillow's plugins raise whatever a broken file makes them raise
        if "MAX_TEXT" in str(error):  # of an iCCP, zTXt or iTXt chunk
            raise UnreadableImageError(
                f"its text or colour profile is larger than Pillow allows ({error}): save it again without, or raise "
                "the limit if you trust it"
            ) from error
        raise UnreadableImageError(
            f"damaged or truncated, it cannot be decoded ({_message(error)}): replace it with an intact copy"
        ) from error


@contextlib.contextmanager
def _suppress_warnings() -> Iterator[None]:
    """Ignore warnings, one thread at a time: the filters belong to the whole process (until Python 3.14's option)."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _decoded(content: bytes, draft: tuple[int, int] | None, max_pixels: int | None) -> Image.Image:
    image = identify(content)
    _check_cost(image, content, max_pixels)
    if draft is not None:
        image.draft(image.mode, draft)
    image.load()
    return image


def identify(content: bytes) -> Image.Image:
    """The image, not yet decoded, as the first format that recognises the content opens it."""
    optional_format = _optional_format(content)
    matching: list[str] = []
    unavailable: list[str] = []
    for name, factory, accept in _formats(optional_format):
        verdict = _verdict(accept, content)
        if isinstance(verdict, str):  # Pillow was built without it
            unavailable.append(verdict)
        elif verdict and name in _EXTERNAL_FORMATS:
            raise UnsupportedImageError(f"{name}, which needs another program to render: convert it to PNG")
        elif verdict:
            try:
                return factory(io.BytesIO(content), "")
            except _NOT_THIS_FORMAT as error:
                if accept is not None:
                    matching.append(f"{name}, but is damaged, truncated or of a rare kind ({_message(error)})")
    raise UnreadableImageError(_unidentified_reason(content, optional_format, matching, unavailable))


def _verdict(accept: _Accept | None, content: bytes) -> bool | str:
    try:
        return accept is None or accept(content[:PREFIX_BYTES])
    except _NOT_THIS_FORMAT:
        return False


def _formats(
    optional_format: _OptionalFormat | None,
) -> Iterator[tuple[str, Callable[..., Image.Image], _Accept | None]]:
    """Pillow's formats, in its own order: the common ones first, because loading all takes a while."""
    known: set[str] = set()
    for prepare in (Image.preinit, Image.init, *([optional_format.add] if optional_format is not None else [])):
        prepare()
        for name, (factory, accept) in list(Image.OPEN.items()):  # a copy: other threads may be adding to it
            if name not in known:
                known.add(name)
                yield name, factory, accept


def _optional_format(content: bytes) -> _OptionalFormat | None:
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS:
        return _HEIC
    return _JPEG_XL if content.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")) else None


def _unidentified_reason(
    content: bytes, optional_format: _OptionalFormat | None, matching: list[str], unavailable: list[str]
) -> str:
    if not content:
        return "empty (0 bytes): copy or download it again"
    if optional_format is not None and not optional_format.add():
        return (
            f"{optional_format.name}, which Pillow cannot read by itself: pip install {optional_format.package}, or "
            "convert it to JPEG or PNG"
        )
    if matching:
        return f"it starts like {' and like '.join(matching)}: replace it with an intact copy, or convert it to PNG"
    advice = archive_advice(content[:START_BYTES])
    if advice is not None:
        return advice
    details = "; ".join([f"it starts with {content[:PREFIX_BYTES]!r}", *unavailable])
    return f"not an image that Pillow can read ({details}): convert it to JPEG or PNG, or leave it out"


def _message(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _check_cost(image: Image.Image, content: bytes, max_pixels: int | None) -> None:
    """Refuse what `Image.open` refuses, and a JPEG whose many scans would take as long to decode."""
    limit = max_pixels or pixel_limit()
    pixels, size = image.width * image.height, f"{image.width}x{image.height}"
    if pixels > limit:
        raise Image.DecompressionBombError(f"{size}, {pixels} pixels of at most {limit}")
    if image.format in ("JPEG", "MPO"):
        scans = content.count(_JPEG_SCAN)
        if scans * pixels > _MAX_SCANS * limit:
            raise Image.DecompressionBombError(f"a JPEG of {size} pixels in {scans} scans")
