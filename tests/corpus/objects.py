"""What is handed over in memory: arrays of every kind, PIL images in every state, buffers, and what is no image."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch
from PIL import Image

from tests.corpus.contents import bomb, encoded, photo
from tests.corpus.encoded import DAMAGED
from tests.corpus.kinds import Kind

NOT_UINT8 = r"^an array of {}, not uint8: "
IN_0_TO_1 = r"convert it to 0-255, as in \(x \* 255\)\.round\(\)\.astype\('uint8'\)$"
NOT_FINITE = "replace NaN and infinity, and convert it to 0-255$"
SHAPE = r"^an array of shape {}: an image has \(H, W\), \(H, W, 1\), \(H, W, 3\) or \(H, W, 4\)"
MISSING = r"^missing value \(None or NaN\): fill in an image, or leave it out$"
TYPE = "^not an image but an object of type {}: give a path, a URL, bytes, a PIL image or a uint8 array$"


def _object(value: Any, reason: str | None = None) -> Kind:
    return Kind(lambda folder: value() if callable(value) else value, reason)


def pixels() -> npt.NDArray[np.uint8]:
    """The photograph's, (200, 300, 3)."""
    return np.asarray(photo())


def _base64() -> str:
    return base64.b64encode(encoded("JPEG")).decode()


def _read_only() -> npt.NDArray[np.uint8]:
    array = pixels().copy()
    array.flags.writeable = False
    return array


def _closed() -> Image.Image:
    image = Image.open(io.BytesIO(encoded("JPEG")))
    image.close()
    return image


def _lazy(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def _saved(folder: Path) -> str:
    path = folder / "a.jpg"
    path.write_bytes(encoded("JPEG"))
    return str(path)


def _spark(array: npt.NDArray[np.uint8], mode: int) -> dict[str, object]:
    """An image as Spark's image source gives it: BGR."""
    height, width = array.shape[:2]
    channels = 1 if array.ndim == 2 else array.shape[2]
    data = array.tobytes()
    return {"origin": "", "height": height, "width": width, "nChannels": channels, "mode": mode, "data": data}


def _read_to_the_end() -> io.BytesIO:
    file = io.BytesIO(encoded("JPEG"))
    file.read()
    return file


def _closed_file() -> io.BytesIO:
    file = io.BytesIO(encoded("JPEG"))
    file.close()
    return file


class _Raising:
    """A value that answers to nothing."""

    def __ne__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = object.__hash__


OBJECT_KINDS: dict[str, Kind] = {
    "array": _object(pixels),
    "array of gray": _object(lambda: np.asarray(photo().convert("L"))),
    "array of four channels": _object(lambda: np.asarray(photo().convert("RGBA"))),
    "array of one pixel": _object(np.full((1, 1, 3), 100, np.uint8)),
    "array of 1 x 20000": _object(lambda: np.full((1, 20_000, 3), 100, np.uint8)),
    "array, flipped": _object(lambda: pixels()[::-1, ::-1]),
    "array, channels flipped": _object(lambda: pixels()[..., ::-1]),
    "array, sliced": _object(lambda: pixels()[3:-3:2, 5::3]),
    "array, transposed": _object(lambda: pixels().transpose(1, 0, 2)),
    "array, in Fortran's order": _object(lambda: np.asfortranarray(pixels())),
    "array, one value broadcast": _object(lambda: np.broadcast_to(np.uint8(100), (50, 60, 3))),
    "array, one value broadcast to 800 TB": _object(
        lambda: np.broadcast_to(np.uint8(100), (1 << 24, 1 << 24, 3)),
        "^it needs more memory than is available: scale it down",
    ),
    "array, read-only": _object(_read_only),
    "array, masked": _object(lambda: np.ma.masked_less(pixels(), 50)),
    "array of five dimensions": _object(np.zeros((1, 1, 4, 4, 3), np.uint8), SHAPE.format(r"\(1, 1, 4, 4, 3\)")),
    "array of one dimension": _object(np.zeros(9, np.uint8), SHAPE.format(r"\(9,\)")),
    "array of no dimension": _object(np.array(9, np.uint8), SHAPE.format(r"\(\)")),
    "array of two channels": _object(np.zeros((4, 4, 2), np.uint8), SHAPE.format(r"\(4, 4, 2\)")),
    "array, planar": _object(lambda: pixels().transpose(2, 0, 1), SHAPE.format(r"\(3, 200, 300\)")),
    "array of one channel": _object(lambda: np.asarray(photo().convert("L"))[..., None]),
    "array of one channel, first": _object(lambda: np.asarray(photo().convert("L"))[None]),
    "array of an encoded image": _object(lambda: np.frombuffer(encoded("JPEG"), np.uint8)),
    "array, empty": _object(np.zeros((0, 4, 3), np.uint8), SHAPE.format(r"\(0, 4, 3\)")),
    "array of floats": _object(np.full((4, 4, 3), 0.5), NOT_UINT8.format("float64") + IN_0_TO_1),
    "array of NaN": _object(np.full((4, 4, 3), np.nan), NOT_UINT8.format("float64") + NOT_FINITE),
    "array of infinity": _object(np.full((4, 4, 3), np.inf, np.float32), NOT_UINT8.format("float32") + NOT_FINITE),
    "array of big-endian numbers": _object(np.zeros((4, 4, 3), ">u2"), NOT_UINT8.format("(>u2|uint16)")),
    "array of signed numbers": _object(np.zeros((4, 4, 3), np.int8), NOT_UINT8.format("int8")),
    "array of floats in 0-255": _object(
        lambda: pixels().astype(np.float32), NOT_UINT8.format("float32") + r".*x\.round\(\)\.astype\('uint8'\)$"
    ),
    "array of 16 bits": _object(
        lambda: pixels().astype(np.uint16) * 257, NOT_UINT8.format("uint16") + r".*\(x // 257\)\.astype\('uint8'\)$"
    ),
    "array of 12 bits": _object(
        lambda: pixels().astype(np.uint16) * 16, NOT_UINT8.format("uint16") + r".*by its largest value"
    ),
    "array of negative numbers": _object(
        lambda: pixels().astype(np.int16) - 128, NOT_UINT8.format("int16") + r".*by its range"
    ),
    "array of bool": _object(np.zeros((4, 4), bool), NOT_UINT8.format("bool")),
    "array of objects": _object(np.full((4, 4), None), NOT_UINT8.format("object")),
    "array of text": _object(np.full((4, 4), "a"), NOT_UINT8.format("<U1")),
    "array of complex numbers": _object(np.zeros((4, 4), complex), NOT_UINT8.format("complex128")),
    "array of dates": _object(np.zeros((4, 4), "datetime64[s]"), NOT_UINT8.format(r"datetime64\[s\]")),
    "array of records": _object(np.zeros((4, 4), [("r", "u1"), ("g", "u1")]), r"^an array of \[\('r'"),
    "PIL image": _object(photo),
    "PIL image, lazy": _object(lambda: _lazy(encoded("JPEG"))),
    "PIL image of a palette": _object(lambda: photo().quantize(16)),
    "PIL image with alpha": _object(lambda: photo().convert("RGBA")),
    "data URL": _object(lambda: f"data:image/jpeg;base64,{_base64()}"),
    "data URL without base64": _object(lambda: f"data:image/png,{quote(encoded('PNG'))}"),
    "data URL that is cut short": _object(
        lambda: f"data:image/jpeg;base64,{_base64()[:-9]}", "^(a data URL whose base64|damaged)"
    ),
    "data URL of text": _object("data:text/plain;base64,aGVsbG8=", "^not an image that Pillow can read"),
    "base64 without the option": _object(lambda: _base64(), "^no such file, but it looks like base64: set base64=True"),
    "PIL image of 16 bits": _object(lambda: Image.new("I;16", (9, 9), 200)),
    "PIL image of floats, NaN": _object(lambda: Image.fromarray(np.full((9, 9), np.nan, np.float32))),
    "PIL image of a mode without a conversion": _object(
        lambda: Image.new("La", (4, 4)), "^mode La cannot be converted to RGB .*: convert the image first$"
    ),
    "PIL image of no pixels": _object(
        lambda: Image.new("RGB", (0, 5)), "^an image of 0x5 pixels is empty: leave it out$"
    ),
    "PIL image, closed": _object(_closed, DAMAGED),
    "PIL image, lazy and cut short": _object(lambda: _lazy(encoded("JPEG")[:3000]), DAMAGED),
    "bytes": _object(lambda: encoded("JPEG")),
    "bytearray": _object(lambda: bytearray(encoded("JPEG"))),
    "memoryview": _object(lambda: memoryview(encoded("JPEG"))),
    "memoryview, backwards": _object(lambda: memoryview(encoded("JPEG")[::-1])[::-1]),
    "no bytes": _object(b"", r"^empty \(0 bytes\): copy or download it again$"),
    "bytes, cut short": _object(lambda: encoded("JPEG")[:3000], DAMAGED),
    "bytes of a bomb": _object(bomb, "^too large"),
    "None": _object(None, MISSING),
    "NaN": _object(float("nan"), MISSING),
    "numpy's NaN": _object(np.float32("nan"), MISSING),
    "pandas' NA": _object(pd.NA, MISSING),
    "NaT": _object(pd.NaT, MISSING),
    "number": _object(3, TYPE.format("int")),
    "list": Kind(lambda folder: ["a.jpg"], TYPE.format("list")),
    "dict": Kind(
        lambda folder: {"image": b""}, "^not an image but an object of type dict: .*the key 'bytes' or 'path'$"
    ),
    "struct of Hugging Face's, bytes": _object(lambda: {"bytes": encoded("JPEG"), "path": "none.jpg"}),
    "struct of Hugging Face's, path": Kind(lambda folder: {"bytes": None, "path": _saved(folder)}),
    "struct of Hugging Face's, empty": _object(lambda: {"bytes": None, "path": None}, MISSING),
    "struct of Spark's": _object(lambda: _spark(pixels()[..., ::-1], 16)),
    "struct of Spark's, gray": _object(lambda: _spark(np.asarray(photo().convert("L")), 0)),
    "struct of Spark's, too short": _object(
        lambda: _spark(pixels(), 24), "^a Spark image whose data do not fit its size"
    ),
    "scalar of pyarrow's": _object(lambda: pa.scalar(encoded("JPEG"))),
    "pair of an image and a label": _object(lambda: (photo(), 3)),
    "pair of a path and a label": Kind(lambda folder: (_saved(folder), 3)),
    "pair of paths": _object(lambda: ("a.jpg", "b.jpg"), TYPE.format("tuple")),
    "tensor": _object(lambda: torch.from_numpy(pixels().transpose(2, 0, 1).copy())),
    "tensor of gray": _object(lambda: torch.from_numpy(np.asarray(photo().convert("L")).copy())),
    "tensor of floats": _object(torch.zeros(3, 4, 4), NOT_UINT8.format("float32") + IN_0_TO_1),
    "value that answers to nothing": Kind(lambda folder: _Raising(), TYPE.format("_Raising")),
    "open file": _object(lambda: io.BytesIO(encoded("JPEG"))),
    "open file, read to its end": _object(_read_to_the_end),
    "open file of text": _object(lambda: io.StringIO("a"), "^a file opened as text: open it in mode 'rb'$"),
    "open file, closed": _object(_closed_file, "^an open file that cannot be read .*: open it again in mode 'rb'$"),
}
