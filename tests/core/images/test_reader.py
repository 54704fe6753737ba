"""Every bad input has its own clear reason; every departure from a plain RGB picture follows the stated policy."""

from __future__ import annotations

import io
import os
import re
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps

from resmem_plugin import Scorer
from resmem_plugin.core.errors import ClippedImagesWarning, OptionError, ScoringError
from resmem_plugin.core.images.reader import ImageReader, describe
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
    "tensor": (lambda folder: torch.zeros(3, 4, 4), "object of type Tensor"),
    "path without a name": (lambda folder: _Nameless(), "cannot be read as an image.*it has none"),
    "no pixels": (lambda folder: Image.new("RGB", (0, 5)), "0x5 pixels"),
    "postscript": (_written("photo.jpg", EPS), "EPS, which needs another program to render"),
    "fifo as a URL": (lambda folder: f"file://{_fifo(folder)}", "not a regular file"),
    "unknown filesystem": (lambda folder: "nosuch://a.jpg", "could not be fetched.*nosuch"),
    "filesystem without its package": (lambda folder: "s3://bucket/a.jpg", "another package.*s3fs"),
    "nothing in memory": (lambda folder: "memory://none.jpg", "nothing at this URL"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_a_row_with_its_reason(kind: str, red: Scorer, tmp_path: Path) -> None:
    make, reason = BAD[kind]
    scores = red.score([flat(10), make(tmp_path), flat(20)], errors="coerce")
    assert [score.ok for score in scores] == [True, False, True]
    assert scores[1].error is not None
    assert re.search(reason, scores[1].error, re.DOTALL)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_raised_with_its_name(kind: str, red: Scorer, tmp_path: Path) -> None:
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


def test_reasons_differ(red: Scorer, tmp_path: Path) -> None:
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


def test_every_kind_of_reference_is_the_same_image(red: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "a b[1]?.png"
    photograph().save(path)
    content = path.read_bytes()
    references = [
        path,
        str(path),
        content,
        bytearray(content),
        memoryview(content),
        Image.open(path),
        np.asarray(photograph()),
        np.asarray(photograph().convert("RGBA")),
        path.as_uri().replace("%20", " ").replace("%5B", "[").replace("%5D", "]").replace("%3F", "?"),
    ]
    scores = {round(score.memorability, 6) for score in red.score(references)}
    assert len(scores) == 1


def test_one_lazy_pil_image_many_times(red: Scorer) -> None:
    image = Image.open(io.BytesIO(_jpeg()))  # not loaded: its threads must not read one stream at once
    scores = Scorer(device="cpu", model=red.engine.model, num_workers=8).score([image] * 64)  # type: ignore[attr-defined]
    assert len({score.memorability for score in scores}) == 1


def test_a_damaged_lazy_pil_image_stays_damaged(red: Scorer) -> None:
    content = bytearray(ENCODED["RGB.png"]())
    content[3000:3100] = bytes(100)
    image = Image.open(io.BytesIO(bytes(content)))
    assert [score.ok for score in red.score([image, flat(1), image], errors="coerce")] == [False, True, False]
    assert not red.score([image], errors="coerce")[0].ok


def test_a_buffer_that_is_filled_anew(red: Scorer) -> None:
    buffer = flat(0).copy()

    def frames() -> Iterator[object]:
        for value in range(20):
            buffer[:] = value
            yield buffer

    scores = [score.memorability for score in red.iter_scores(frames())]
    assert scores == pytest.approx([value / 255 for value in range(20)], abs=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_upright_is_pillows(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    photograph().save(buffer, "PNG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(buffer))
    found = ImageReader(exif_transpose=True).read(buffer.getvalue()).image
    assert np.array_equal(np.asarray(found), np.asarray(expected))


def test_metadata_that_make_no_sense_damage_no_picture() -> None:
    tags = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHI4s", 0x011A, 2, 4, b"abc") + b"\0" * 4
    exif = b"Exif\0\0" + struct.pack("<2sHIH", b"II", 42, 8, 2) + tags  # a resolution that is text
    buffer = io.BytesIO()
    photograph().save(buffer, "JPEG", exif=exif)
    assert ImageReader(exif_transpose=True).read(buffer.getvalue()).image.size == (200, 300)


def test_arrays_of_any_strides(red: Scorer) -> None:
    array = np.asarray(photograph())
    flipped = array[:, ::-1]
    score, expected = red.score([flipped, np.ascontiguousarray(flipped)])
    assert score.memorability == expected.memorability


def test_exif_orientation_is_an_option(red: Scorer) -> None:
    upright = Scorer(device="cpu", model=red.engine.model, exif_transpose=True)  # type: ignore[attr-defined]
    rotated = ENCODED["exif-rotated.jpg"]()
    assert ImageReader().read(rotated).image.size == (300, 200)
    assert ImageReader(exif_transpose=True).read(rotated).image.size == (200, 300)
    assert red.provenance.id != upright.provenance.id


@pytest.mark.parametrize("name", ["I16.png", "I16-big-endian.tif", "I.tif", "F-0-to-1.tif"])
def test_destroyed_pictures_are_scored_as_upstream_does_and_named(name: str, red: Scorer) -> None:
    with pytest.warns(ClippedImagesWarning, match=r"1 image\(s\).*Convert them to 8 bits first. Indices: 1") as caught:
        red.score([flat(0), ENCODED[name]()])
    assert caught[0].filename == __file__


@pytest.mark.parametrize("name", ["I16-dark.png", "F.tif"])
def test_deep_pictures_within_8_bits_are_not(name: str, red: Scorer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert red.score([ENCODED[name]()])[0].ok


def test_alpha_is_dropped(red: Scorer) -> None:
    hidden = Image.new("RGBA", (8, 8), (51, 0, 0, 0))
    assert red.score([hidden])[0].memorability == pytest.approx(0.2)


@pytest.mark.weights
def test_fast_decoding_stays_near(scorer: Scorer, photos: dict[str, Path]) -> None:
    contents = []
    for name in ("retina.jpg", "astronaut.png", "coffee.png", "rocket.jpg", "china.jpg", "flower.jpg"):
        buffer = io.BytesIO()
        Image.open(photos[name]).convert("RGB").resize((3200, 2400), Image.Resampling.BICUBIC).save(buffer, "JPEG")
        contents.append(buffer.getvalue())
    fast = Scorer(device="cpu", decode="fast")
    assert ImageReader(decode="fast").read(contents[0]).image.size == (1600, 1200)
    exact = [score.memorability for score in scorer.score(contents)]
    assert [score.memorability for score in fast.score(contents)] == pytest.approx(exact, abs=5e-3)


def test_decode_is_exact_or_fast() -> None:
    with pytest.raises(OptionError, match="'exact' or 'fast'"):
        ImageReader(decode="quick")  # type: ignore[arg-type]


def test_threads_end_with_the_run(red: Scorer) -> None:
    before = threading.active_count()
    for _ in range(20):
        next(iter(red.iter_scores([flat(1)] * 100)))
    deadline = threading.Event()
    for _ in range(100):
        if threading.active_count() <= before:
            break
        deadline.wait(0.05)
    assert threading.active_count() <= before
