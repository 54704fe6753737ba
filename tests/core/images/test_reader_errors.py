"""Every image that cannot be read has its own clear error."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.errors import ScoringError
from resmem_plugin.core.images.reader import describe
from tests.conftest import flat
from tests.sample_images import ENCODED, photograph


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    photograph().save(buffer, "JPEG")
    return buffer.getvalue()


def _written(name: str, content: bytes) -> Callable[[Path], object]:
    def make(folder: Path) -> object:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _fifo(folder: Path) -> object:
    os.mkfifo(folder / "fifo.jpg")
    return folder / "fifo.jpg"


def _loop(folder: Path) -> object:
    (folder / "loop.jpg").symlink_to("loop.jpg")
    return folder / "loop.jpg"


def _closed(folder: Path) -> object:
    image = Image.open(io.BytesIO(_jpeg()))
    image.close()
    return image


class _Nameless(os.PathLike[str]):
    def __fspath__(self) -> str:
        raise LookupError("it has none")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"

BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing file": (lambda folder: folder / "none.jpg", "no such file"),
    "folder": (lambda folder: folder, "a folder, not an image"),
    "empty file": (_written("empty.jpg", b""), "empty file"),
    "text": (_written("text.jpg", b"hello, this is text"), "not an image that Pillow can read.*b'hello"),
    "truncated": (_written("cut.jpg", _jpeg()[:2000]), "damaged or truncated.*truncated"),
    "fifo": (_fifo, "not a regular file"),
    "symlink loop": (_loop, "cannot be opened.*symbolic links"),
    "nul in the name": (lambda folder: "a\0b.jpg", "cannot be opened"),
    "name too long": (lambda folder: str(folder / ("a" * 300)), "cannot be opened.*too long"),
    "none": (lambda folder: None, "missing value"),
    "nan": (lambda folder: float("nan"), "missing value"),
    "numpy nan": (lambda folder: np.float32("nan"), "missing value"),
    "pandas NA": (lambda folder: pd.NA, "missing value"),
    "NaT": (lambda folder: pd.NaT, "missing value"),
    "number": (lambda folder: 3, "not an image but an object of type int"),
    "list": (lambda folder: ["a.jpg"], "not an image but an object of type list"),
    "empty bytes": (lambda folder: b"", "empty"),
    "bytes": (lambda folder: b"\xff\xd8\xff", "it starts like JPEG, but is damaged"),
    "float array": (lambda folder: np.zeros((4, 4)), "array of float64, not uint8"),
    "bool array": (lambda folder: np.zeros((4, 4), bool), "array of bool, not uint8"),
    "empty array": (lambda folder: np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
    "planar array": (lambda folder: np.zeros((3, 40, 40), np.uint8), r"shape \(3, 40, 40\)"),
    "closed image": (_closed, "cannot be decoded.*closed"),
    "mode without a conversion": (lambda folder: Image.new("La", (4, 4)), "mode La cannot be converted"),
    "path without a name": (lambda folder: _Nameless(), "cannot be read as an image.*it has none"),
    "no pixels": (lambda folder: Image.new("RGB", (0, 5)), "0x5 pixels"),
    "postscript": (_written("photo.jpg", EPS), "EPS, which needs another program to render"),
    "fifo as a URL": (lambda folder: f"file://{_fifo(folder)}", "not a regular file"),
    "unknown filesystem": (lambda folder: "nosuch://a.jpg", "could not be fetched.*nosuch"),
    "filesystem without its package": (lambda folder: "s3://bucket/a.jpg", "another package.*s3fs"),
    "nothing in memory": (lambda folder: "memory://none.jpg", "nothing at this URL"),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_unreadable_image_is_a_row_with_its_error(kind: str, red: Scorer, tmp_path: Path) -> None:
    make, reason = BAD[kind]
    scores = red.score([flat(10), make(tmp_path), flat(20)], errors="coerce")
    assert [score.ok for score in scores] == [True, False, True]
    assert scores[1].error is not None
    assert re.search(reason, scores[1].error, re.DOTALL)


@pytest.mark.parametrize("kind", BAD)
def test_an_unreadable_image_is_raised_with_its_name(kind: str, red: Scorer, tmp_path: Path) -> None:
    make, _ = BAD[kind]
    image = make(tmp_path)
    with pytest.raises(ScoringError) as caught:
        red.score([flat(10), image])
    assert caught.value.__cause__ is not None
    if isinstance(image, (str, Path)):
        assert describe(image) in str(caught.value)
    done = (
        0 if kind in ("missing file", "nul in the name", "name too long", "symlink loop") else 1
    )  # found before anything is scored
    assert [score.index for score in caught.value.scores] == list(range(done))


def test_error_messages_differ(red: Scorer, tmp_path: Path) -> None:
    kinds = ["missing file", "folder", "empty file", "text", "truncated", "none", "number", "float array"]
    reasons = {score.error for score in red.score([BAD[kind][0](tmp_path) for kind in kinds], errors="coerce")}
    assert len(reasons) == len(kinds)


@pytest.mark.skipif(not hasattr(os, "seteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_permission_denied_as_root(red: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(_jpeg())
    path.chmod(0)
    os.seteuid(65534)
    try:
        score = red.score([path], errors="coerce")[0]
    finally:
        os.seteuid(0)
    assert score.error is not None
    assert "permission denied" in score.error


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(red: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(_jpeg())
    path.chmod(0)
    assert "permission denied" in str(red.score([path], errors="coerce")[0].error)


def test_a_damaged_lazy_pil_image_stays_damaged(red: Scorer) -> None:
    content = bytearray(ENCODED["RGB.png"]())
    content[3000:3100] = bytes(100)
    image = Image.open(io.BytesIO(bytes(content)))
    assert [score.ok for score in red.score([image, flat(1), image], errors="coerce")] == [False, True, False]
    assert not red.score([image], errors="coerce")[0].ok
