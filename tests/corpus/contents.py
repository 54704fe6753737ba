"""Contents of files, one function for each way to make one."""

from __future__ import annotations

import functools
import io
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image, ImageCms

from tests.sample_images import photograph

photo = functools.cache(photograph)
"""The one image that is in all of them."""


@functools.cache
def encoded(kind: str, **options: object) -> bytes:
    """The photograph in a format of Pillow's."""
    return plain(photo(), kind, **options)


def plain(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """An image in a format of Pillow's."""
    buffer = io.BytesIO()
    image.copy().save(buffer, kind, **options)  # a copy: the encoder of JPEG leaves its options on the image
    return buffer.getvalue()


def animated(kind: str) -> bytes:
    """Two frames, the second upside down."""
    return plain(photo(), kind, save_all=True, append_images=[photo().transpose(Image.Transpose.ROTATE_180)])


def ycck() -> bytes:
    """A CMYK JPEG whose Adobe marker says that its colours are YCCK."""
    content = bytearray(plain(photo().convert("CMYK"), "JPEG", quality=90))
    content[content.index(b"Adobe") + 11] = 2
    return bytes(content)


def with_start_of_frame(code: int) -> bytes:
    """A JPEG that says to be coded otherwise than it is."""
    content = bytearray(encoded("JPEG"))
    content[content.index(b"\xff\xc0") + 1] = code
    return bytes(content)


def of_12_bits() -> bytes:
    """A JPEG that says to have 12 bits a sample."""
    content = bytearray(encoded("JPEG"))
    content[content.index(b"\xff\xc0") + 4] = 12
    return bytes(content)


def without_huffman_tables() -> bytes:
    """A JPEG whose Huffman tables are overwritten: more codes of one length than there can be."""
    content = bytearray(encoded("JPEG"))
    start = content.index(b"\xff\xc4")
    content[start + 5 : start + 21] = b"\xff" * 16
    return bytes(content)


def of_declared_size(width: int, height: int) -> bytes:
    """A JPEG whose header declares another size than it has."""
    content = bytearray(encoded("JPEG"))
    start = content.index(b"\xff\xc0")
    content[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def with_many_scans(more: int, side: int = 2000) -> bytes:
    """A progressive JPEG whose last scan, of a few bytes, comes again and again: each goes over the whole image."""
    content = plain(Image.new("L", (side, side)), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * more + content[-2:]


def scribbled(content: bytes, start: float, length: int) -> bytes:
    """The content with noise in the place of some of its bytes."""
    begin = int(len(content) * start)
    return content[:begin] + np.random.default_rng(7).bytes(length) + content[begin + length :]


def with_exif(exif: Image.Exif | bytes, kind: str = "JPEG") -> bytes:
    """The photograph with these metadata."""
    return plain(photo(), kind, exif=exif)


def turned(orientation: int) -> bytes:
    """The photograph with an orientation in its EXIF."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return with_exif(exif)


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_with(*chunks: bytes, drop: tuple[bytes, ...] = ()) -> bytes:
    """The photograph as PNG with more chunks after the first, and without those to drop."""
    content = encoded("PNG")
    parts, position = [content[:8]], 8
    while position < len(content):
        length = struct.unpack(">I", content[position : position + 4])[0]
        if content[position + 4 : position + 8] not in drop:
            parts.append(content[position : position + length + 12])
        position += length + 12
    return b"".join([*parts[:2], *chunks, *parts[2:]])


def with_wrong_checksum(name: bytes) -> bytes:
    """A PNG in which the checksum of a chunk is wrong."""
    content = bytearray(png_with(chunk(b"gAMA", struct.pack(">I", 45455))))
    start = content.index(name) - 4
    content[start + 8 + struct.unpack(">I", content[start : start + 4])[0]] ^= 0xFF
    return bytes(content)


def png_of_declared_size(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def bomb() -> bytes:
    """A sound PNG of 400 million black pixels in 50 kB."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(20_000 * 2_501), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def tiff(*entries: tuple[int, int, int, int], data: bytes = b"") -> bytes:
    """A little-endian TIFF of these entries (tag, type, count, value), its data at byte 8."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(entries)) + packed + bytes(4)


def gray_tiff(width: int, height: int, *more: tuple[int, int, int, int]) -> bytes:
    """An 8-bit gray TIFF of 100 zeros that declares a size."""
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    return tiff(*entries, (273, 4, 1, 8), (278, 4, 1, height), (279, 4, 1, 100), *more, data=bytes(100))


def floats(low: float, high: float, *odd: float) -> bytes:
    """A float TIFF of the photograph's values from `low` to `high`, with odd ones in its corner."""
    values = np.asarray(photo().convert("L"), dtype="float32") / 255 * (high - low) + low
    values[0, : len(odd)] = odd
    return plain(Image.fromarray(values), "TIFF")


def heif(brand: bytes) -> bytes:
    """The first box of an HEIF file, and nothing that follows it."""
    return struct.pack(">I4s4sI4s4s", 24, b"ftyp", brand, 0, b"mif1", b"heic") + bytes(200)


def archive() -> bytes:
    """A zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("a.jpg", encoded("JPEG"))
    return buffer.getvalue()


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def icc(profile: bytes) -> bytes:
    """An iCCP chunk."""
    return chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile, 9))
