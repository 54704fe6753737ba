"""Files, sound and broken: what encoders write, and what is left of it after an accident or an attack."""

from __future__ import annotations

import base64
import functools
import struct
import zlib
from collections.abc import Callable

from PIL import Image

from tests.corpus.archives import bare
from tests.corpus.contents import (
    animated,
    archive,
    bomb,
    chunk,
    encoded,
    floats,
    gray_tiff,
    heif,
    icc,
    of_12_bits,
    of_declared_size,
    photo,
    plain,
    png_of_declared_size,
    png_with,
    profile,
    scribbled,
    tiff,
    turned,
    with_exif,
    with_many_scans,
    with_start_of_frame,
    with_wrong_checksum,
    without_huffman_tables,
    ycck,
)
from tests.corpus.kinds import Kind, file
from tests.sample_images import ENCODED

DAMAGED = "^damaged or truncated, it cannot be decoded .*: replace it with an intact copy$"
RARE = "^it starts like .*, but is damaged, truncated or of a rare kind .*: replace it .*, or convert it to PNG$"
TOO_LARGE = (
    "^too large .*: scale it down, or if you trust it set RESMEM_MAX_PIXELS, max_pixels= or --max-pixels to more$"
)
NO_IMAGE = r"^not an image that Pillow can read \(it starts with b.*\): convert it to JPEG or PNG, or leave it out$"
METADATA = "^its text or colour profile is larger than Pillow allows .*: save it again without"

# A 16x16 image by jpegtran -arithmetic: Pillow reads such files and cannot write them.
_ARITHMETIC = """
/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9lnN+
gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHz/yQARCAAQABADASIAAhEB
AxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwDLas7AvpEHKisYntOO+4spGi5lj/8AP2D/2Q==
"""

TEXTUAL_BOMB = 16_000_000

OTHER_FORMATS = ("BMP", "GIF", "ICO", "JPEG2000", "PCX", "PPM", "QOI", "SGI", "TGA")

SOUND: dict[str, Callable[[], bytes]] = {
    **ENCODED,
    "arithmetic.jpg": lambda: base64.b64decode(_ARITHMETIC),
    "YCCK.jpg": ycck,
    "animated.webp": lambda: animated("WEBP"),
    "animated.png": lambda: animated("PNG"),
    "animated.avif": lambda: animated("AVIF"),
    "two-images-MPO.jpg": lambda: animated("MPO"),
    "floats-0-to-255.tif": lambda: floats(0, 255),
    "profile.jpg": lambda: encoded("JPEG", icc_profile=profile()),
    "profile.png": lambda: encoded("PNG", icc_profile=profile()),
    "broken-profile.jpg": lambda: encoded("JPEG", icc_profile=b"no profile"),
    "broken-profile.png": lambda: png_with(chunk(b"iCCP", b"profile\0\0no zlib")),
    "broken-exif.jpg": lambda: with_exif(b"Exif\0\0" + b"\xff" * 40),
    "broken-exif.png": lambda: png_with(chunk(b"eXIf", b"\xff" * 40)),
    "wrong-sum-of-its-pixels.png": lambda: with_wrong_checksum(b"IDAT"),
    "thumbnail-of-a-raw-file.tif": lambda: plain(photo(), "TIFF", tiffinfo={254: 1}),
    "four-thousand-million-values-in-a-tag.tif": lambda: gray_tiff(10, 10, (700, 1, 2**32 - 1, 8)),
    "NaN.tif": lambda: floats(0, 255, float("nan")),
    "infinity.tif": lambda: floats(0, 255, float("inf"), -float("inf")),
    "trailing-rubbish.jpg": lambda: encoded("JPEG") + b"rubbish" * 1000,
    "trailing-rubbish.png": lambda: encoded("PNG") + b"rubbish" * 1000,
    "noise-in-the-image.jpg": lambda: scribbled(encoded("JPEG"), 0.6, 20),
    "1x20000.png": lambda: plain(photo().resize((1, 20_000), Image.Resampling.NEAREST)),
    "20000x1.jpg": lambda: plain(photo().resize((20_000, 1), Image.Resampling.NEAREST), "JPEG"),
    **{f"orientation-{number}.jpg": functools.partial(turned, number) for number in range(1, 10)},
}
"""Name -> content that upstream's recipe reads too."""

BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (bytes, r"^empty file \(0 bytes\): copy or download it again$"),
    "one byte": (lambda: b"\xff", NO_IMAGE),
    "text": (lambda: b"a photograph of a cat", NO_IMAGE),
    "HTML": (lambda: b"<!DOCTYPE html><html><body>404 Not Found</body></html>", NO_IMAGE),
    "SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', NO_IMAGE),
    "PDF": (lambda: b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n", NO_IMAGE),
    "zip": (archive, bare("zip")),
    "git-lfs pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", NO_IMAGE),
    "zeros": (lambda: bytes(10_000), NO_IMAGE),
    "HEIC": (
        lambda: heif(b"heic"),
        "^HEIC, which Pillow cannot read by itself: pip install pillow-heif, or convert it",
    ),
    "HEIC by another brand": (lambda: heif(b"mif1"), "^HEIC, which .*: pip install pillow-heif"),
    "JPEG XL": (lambda: b"\xff\x0a" + bytes(50), "^JPEG XL, which .*: pip install pillow-jxl-plugin, or convert it"),
    "JPEG XL in boxes": (lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "^JPEG XL, which .*pillow-jxl-plugin"),
    "EPS": (
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n",
        "^EPS, which needs another program .*to PNG$",
    ),
    "WMF": (lambda: b"\xd7\xcd\xc6\x9a" + bytes(100), "^WMF, which needs another program to render"),
    "HDF5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "^HDF5, which needs another program to render"),
    "Huffman tables overwritten": (without_huffman_tables, DAMAGED),
    "arithmetic coding declared, progressive": (lambda: with_start_of_frame(0xCA), DAMAGED),
    "lossless coding declared": (lambda: with_start_of_frame(0xC3), DAMAGED),
    "12 bits declared": (of_12_bits, RARE),
    "JPEG of nothing declared": (lambda: of_declared_size(0, 0), RARE),
    "JPEG of a huge declared size": (lambda: of_declared_size(65_500, 65_500), TOO_LARGE),
    "JPEG of a thousand scans": (lambda: with_many_scans(1000), r"^too large \(a JPEG of .* in \d+ scans\)"),
    "PNG with a wrong sum": (lambda: with_wrong_checksum(b"IHDR"), RARE),
    "PNG with a wrong sum of a side chunk": (lambda: with_wrong_checksum(b"gAMA"), RARE),
    "PNG with noise in its pixels": (lambda: scribbled(encoded("PNG"), 0.5, 100), DAMAGED),
    "PNG without pixels": (lambda: png_with(drop=(b"IDAT",)), DAMAGED),
    "PNG of a huge declared size": (lambda: png_of_declared_size(2**31 - 1, 2**31 - 1), TOO_LARGE),
    "PNG larger than it is": (lambda: png_of_declared_size(3000, 3000), DAMAGED),
    "decompression bomb": (bomb, TOO_LARGE),
    "decompression bomb in a zTXt chunk": (
        lambda: png_with(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(TEXTUAL_BOMB), 9))),
        METADATA,
    ),
    "decompression bomb in an iTXt chunk": (
        lambda: png_with(chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(TEXTUAL_BOMB), 9))),
        METADATA,
    ),
    "decompression bomb in a profile": (lambda: png_with(icc(bytes(TEXTUAL_BOMB))), METADATA),
    "GIF of a huge declared size": (
        lambda: encoded("GIF")[:6] + struct.pack("<HH", 65_535, 65_535) + encoded("GIF")[10:],
        TOO_LARGE,
    ),
    "BMP of a huge declared size": (
        lambda: encoded("BMP")[:18] + struct.pack("<ii", 2**30, 2**30) + encoded("BMP")[26:],
        TOO_LARGE,
    ),
    "TIFF of a huge declared size": (lambda: gray_tiff(2**31 - 1, 2**31 - 1), TOO_LARGE),
    "TIFF larger than it is": (lambda: gray_tiff(3000, 3000), DAMAGED),
    "TIFF of an unknown compression": (lambda: tiff((256, 3, 1, 9), (257, 3, 1, 9), (259, 3, 1, 9999)), RARE),
    "TIFF without a directory": (lambda: b"II*\0\xff\xff\xff\x7f", RARE),
    "QOI larger than it is": (
        lambda: encoded("QOI")[:4] + struct.pack(">II", 4000, 4000) + encoded("QOI")[12:],
        DAMAGED,
    ),
}
"""Name -> content that is no image, or none that can be had, and the reason."""

CUT = {"JPEG": DAMAGED, "PNG": DAMAGED, "GIF": DAMAGED, "WEBP": DAMAGED, "TIFF": DAMAGED, "AVIF": RARE}
"""Formats that are cut at every tenth of the file."""


def cut(kind: str, tenths: int) -> bytes:
    """A file that ends early."""
    content = encoded(kind)
    return content[: len(content) * tenths // 10]


ENCODED_KINDS: dict[str, Kind] = {
    **{name: file(content, name=name) for name, content in SOUND.items()},
    **{f"{kind} named .jpg": file(functools.partial(encoded, kind)) for kind in OTHER_FORMATS},
    **{name: file(content, reason) for name, (content, reason) in BROKEN.items()},
    **{
        f"{kind} cut at {tenths} tenths": file(functools.partial(cut, kind, tenths), reason)
        for kind, reason in CUT.items()
        for tenths in range(1, 10)
    },
}
