"""Small files of every format that Pillow reads and that it, or a few lines, can write: what the fuzzer mutates."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tests.corpus.contents import gray_tiff, heif, photo, plain, tiff
from tests.corpus.encoded import SOUND

_SIZE = (40, 30)

_WRITTEN: list[tuple[str, str, dict[str, Any]]] = [  # format, mode, options of the encoder
    ("AVIF", "RGB", {"speed": 10}),
    ("AVIF", "RGBA", {"speed": 10}),
    ("BLP", "P", {"blp_version": "BLP1"}),
    ("BLP", "P", {"blp_version": "BLP2"}),
    ("BMP", "RGB", {}),
    ("BMP", "P", {}),
    ("BMP", "1", {}),
    ("DDS", "RGB", {}),
    ("DDS", "RGBA", {"pixel_format": "DXT1"}),
    ("DDS", "RGBA", {"pixel_format": "DXT5"}),
    ("DIB", "RGB", {}),
    ("GIF", "P", {}),
    ("GIF", "P", {"interlace": True, "transparency": 3, "comment": b"a cat"}),
    ("ICO", "RGBA", {}),
    ("ICO", "RGB", {"bitmap_format": "bmp"}),
    ("JPEG", "RGB", {"quality": 90, "comment": b"a cat"}),
    ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
    ("JPEG", "L", {"restart_marker_blocks": 1}),
    ("JPEG", "CMYK", {}),
    ("JPEG2000", "RGB", {}),
    ("JPEG2000", "LA", {"irreversible": True, "tile_size": (16, 16)}),
    ("MSP", "1", {}),
    ("PCX", "RGB", {}),
    ("PCX", "P", {}),
    ("PNG", "RGB", {}),
    ("PNG", "RGBA", {}),
    ("PNG", "P", {"transparency": 3}),
    ("PNG", "1", {}),
    ("PNG", "I;16", {}),
    ("PPM", "RGB", {}),
    ("PPM", "1", {}),
    ("PPM", "F", {}),
    ("QOI", "RGBA", {}),
    ("SGI", "RGB", {}),
    ("SGI", "L", {"bpc": 2}),
    ("SPIDER", "F", {}),
    ("TGA", "RGB", {}),
    ("TGA", "P", {"compression": "tga_rle"}),
    ("TIFF", "RGB", {}),
    ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"compression": "tiff_adobe_deflate"}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
    ("TIFF", "L", {"compression": "packbits"}),
    ("TIFF", "1", {"compression": "group4"}),
    ("TIFF", "1", {"compression": "group3"}),
    ("TIFF", "P", {"compression": "zstd"}),
    ("TIFF", "CMYK", {}),
    ("TIFF", "YCbCr", {}),
    ("TIFF", "F", {}),
    ("TIFF", "I;16", {"big_tiff": True}),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("XBM", "1", {}),
]
_ANIMATED = ("AVIF", "GIF", "MPO", "PNG", "TIFF", "WEBP")
_SMALL_OF_THE_CORPUS = ("arithmetic.jpg", "1x1.png", "four-thousand-million-values-in-a-tag.tif")


def seeds() -> list[bytes]:
    """The files, in the same order on every machine with the same Pillow."""
    image = photo().resize(_SIZE)
    files = [plain(_in_mode(image, mode), kind, **options) for kind, mode, options in _WRITTEN]
    for kind in _ANIMATED:
        frames = [image.transpose(Image.Transpose.ROTATE_180), image.convert("L").convert("RGB")]
        files.append(plain(image, kind, save_all=True, append_images=frames))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a cat"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    files += [plain(image, kind, exif=exif, icc_profile=profile) for kind in ("AVIF", "JPEG", "PNG", "TIFF", "WEBP")]
    files += [SOUND[name]() for name in _SMALL_OF_THE_CORPUS]
    return [*files, *_by_hand(image), gray_tiff(10, 10), tiff((256, 3, 1, 9)), heif(b"heic"), heif(b"mif1")]


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image.quantize(16) if mode == "P" else image.convert(mode)


def _by_hand(image: Image.Image) -> list[bytes]:
    """Formats that Pillow reads and does not write."""
    width, height = image.size
    rows, planes = image.tobytes(), np.asarray(image).transpose(2, 0, 1).tobytes()
    sun = struct.pack(">8I", 0x59A66A95, width, height, 24, len(rows), 1, 0, 0) + rows
    psd = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, height, width, 8, 3) + bytes(12) + bytes(2) + planes
    cards = ("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 2", f"NAXIS1  = {width}", f"NAXIS2  = {height}", "END")
    fits = "".join(card.ljust(80) for card in cards).ljust(2880).encode() + image.convert("L").tobytes()
    xpm = b'/* XPM */\nstatic char *a[] = {\n"4 2 2 1",\n"a c #ff0000",\n"b c #00ff00",\n"abab",\n"baba"\n};\n'
    pcx = plain(image, "PCX")
    dcx = struct.pack("<III", 0x3ADE68B1, 12, 0) + pcx
    icon = plain(image.convert("RGBA"), "ICO", bitmap_format="bmp", sizes=[(32, 24)])
    png = plain(image.resize((32, 32)))
    icns = struct.pack(">4sI4sI", b"icns", 16 + len(png), b"icp5", 8 + len(png)) + png
    gbr = struct.pack(">5I4sI", 34, 2, width, height, 4, b"GIMP", 10) + b"brush\0" + image.convert("RGBA").tobytes()
    pixar = (b"\200\350\0\0".ljust(416, b"\0") + struct.pack("<4H2H", height, width, 0, 0, 14, 2)).ljust(
        1024, b"\0"
    ) + rows
    fli = struct.pack("<IHHHHH", 128, 0xAF11, 1, width, height, 8).ljust(128, b"\0") + bytes(100)
    return [sun, psd, fits, xpm, dcx, b"\0\0\2\0" + icon[4:], icns, gbr, pixar, fli]
