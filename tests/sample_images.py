"""Images of every Pillow mode and of many formats, all made from one photograph."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
from PIL import Image

from examples.demo import photographs


def photograph() -> Image.Image:
    path = next(path for path in photographs() if path.name == "coffee.png")
    return Image.open(path).convert("RGB").resize((300, 200), Image.Resampling.BOX)


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _with_alpha(image: Image.Image) -> Image.Image:
    """Half of it transparent, so that the hidden colours count."""
    image = image.convert("RGBA")
    image.paste((200, 30, 90, 0), (0, 0, 150, 200))
    return image


def _palette_with_transparency() -> bytes:
    image = photograph().quantize(64)
    return _encoded(image, "PNG", transparency=bytes(range(0, 256, 4)))


def _gray(dtype: str, scale: float) -> Image.Image:
    return Image.fromarray((np.asarray(photograph().convert("L"), dtype="float64") * scale).astype(dtype))


def _big_endian() -> bytes:
    """A 16-bit TIFF as microscopes and scanners write it; Pillow reads it as mode I;16B."""
    values = (np.asarray(photograph().convert("L"), dtype=">u2") * 257).astype(">u2")
    height, width = values.shape
    entries = [(256, 3, width), (257, 3, height), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    entries += [(278, 3, height), (279, 4, values.nbytes)]
    packed = b"".join(
        struct.pack(">HHIHH" if kind == 3 else ">HHII", tag, kind, 1, *((value, 0) if kind == 3 else (value,)))
        for tag, kind, value in entries
    )
    directory = struct.pack(">H", len(entries)) + packed + bytes(4)
    return struct.pack(">2sHI", b"MM", 42, 8 + values.nbytes) + values.tobytes() + directory


def _rotated_by_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn right to see it upright
    return _encoded(photograph(), "JPEG", exif=exif, quality=90)


ENCODED: dict[str, Callable[[], bytes]] = {
    "1.png": lambda: _encoded(photograph().convert("1"), "PNG"),
    "L.png": lambda: _encoded(photograph().convert("L"), "PNG"),
    "LA.png": lambda: _encoded(_with_alpha(photograph()).convert("LA"), "PNG"),
    "P.png": lambda: _encoded(photograph().quantize(32), "PNG"),
    "P-transparency.png": _palette_with_transparency,
    "P-one-transparent.png": lambda: _encoded(photograph().quantize(32), "PNG", transparency=3),
    "RGB.png": lambda: _encoded(photograph(), "PNG"),
    "RGB-one-transparent.png": lambda: _encoded(photograph(), "PNG", transparency=(10, 20, 30)),
    "RGBA.png": lambda: _encoded(_with_alpha(photograph()), "PNG"),
    "I16.png": lambda: _encoded(_gray("uint16", 257), "PNG"),
    "I16-dark.png": lambda: _encoded(_gray("uint16", 1), "PNG"),
    "I16-big-endian.tif": _big_endian,
    "I.tif": lambda: _encoded(_gray("int32", 3), "TIFF"),
    "F.tif": lambda: _encoded(_gray("float32", 1), "TIFF"),
    "F-0-to-1.tif": lambda: _encoded(_gray("float32", 1 / 255), "TIFF"),
    "RGB.jpg": lambda: _encoded(photograph(), "JPEG", quality=90),
    "L.jpg": lambda: _encoded(photograph().convert("L"), "JPEG", quality=90),
    "CMYK.jpg": lambda: _encoded(photograph().convert("CMYK"), "JPEG", quality=90),
    "progressive.jpg": lambda: _encoded(photograph(), "JPEG", quality=90, progressive=True),
    "exif-rotated.jpg": _rotated_by_exif,
    "CMYK.tif": lambda: _encoded(photograph().convert("CMYK"), "TIFF"),
    "lzw.tif": lambda: _encoded(photograph(), "TIFF", compression="tiff_lzw"),
    "two-pages.tif": lambda: _encoded(
        photograph(), "TIFF", save_all=True, append_images=[photograph().transpose(Image.Transpose.ROTATE_180)]
    ),
    "RGB.webp": lambda: _encoded(photograph(), "WEBP", quality=90),
    "RGBA.webp": lambda: _encoded(_with_alpha(photograph()), "WEBP", lossless=True, exact=True),
    "animated.gif": lambda: _encoded(
        photograph().quantize(64), "GIF", save_all=True, append_images=[photograph().convert("L")]
    ),
    "RGB.bmp": lambda: _encoded(photograph(), "BMP"),
    "RGB.avif": lambda: _encoded(photograph(), "AVIF", quality=90),
    "1x1.png": lambda: _encoded(photograph().resize((1, 1), Image.Resampling.NEAREST), "PNG"),
    "wide.png": lambda: _encoded(photograph().resize((5000, 3), Image.Resampling.NEAREST), "PNG"),
    "tall.png": lambda: _encoded(photograph().resize((2, 4000), Image.Resampling.NEAREST), "PNG"),
}
"""Name -> a function that makes the file's content, the same on every machine with the same Pillow."""
