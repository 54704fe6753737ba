"""JPEGs decoded where the network runs: what a CUDA card does is done here by a CPU, with the same code but nvJPEG."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from benchmarks.gpu import random_network
from resmem_plugin import Scorer
from resmem_plugin.core.engines.pytorch import nvjpeg as jpegs
from resmem_plugin.core.engines.pytorch.nvjpeg import JPEGDecoder
from resmem_plugin.core.images.decoding import plain_jpeg_pixels
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.images.reader import ImageReader
from resmem_plugin.core.scoring import preparation as decoders
from tests.models import Red

pytestmark = pytest.mark.filterwarnings("ignore:The image decoding and encoding:DeprecationWarning")


def _jpeg(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


@pytest.fixture
def photo(photos: dict[str, Path]) -> Image.Image:
    return Image.open(photos["chelsea.png"]).convert("RGB")


def test_nvjpeg_pixels_agree_with_pillow_within_one(photo: Image.Image) -> None:
    images = [photo, photo.rotate(180), photo.resize((90, 1000)), photo.convert("L"), photo.resize((300, 200)), photo]
    contents = [_jpeg(image, quality=80) for image in images]
    contents += [_jpeg(photo, progressive=True), _jpeg(photo, subsampling=0)]
    for seen, content in zip(JPEGDecoder("cpu")(contents), contents, strict=True):
        assert seen is not None
        assert seen.shape == (227, 227, 3)
        expected = pixels(ImageReader().read(content).image)
        assert np.abs(seen.astype(int) - expected).max() <= 1
        assert (seen != expected).mean() < 0.25  # Pillow rounds between rows and columns


def test_a_broken_jpeg_does_not_affect_its_batch(photo: Image.Image) -> None:
    good = _jpeg(photo)
    first, broken, last = JPEGDecoder("cpu")([good, b"\xff\xd8 no image", good])
    assert broken is None
    assert first is not None
    assert last is not None
    assert (first == last).all()
    assert JPEGDecoder("cpu")([b""]) == [None]


def test_out_of_memory_on_the_gpu_falls_back_to_the_cpu(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("pretend that the card is full")

    monkeypatch.setattr(jpegs, "_resized", full)
    assert JPEGDecoder("cpu")([_jpeg(photo)] * 2) == [None, None]


def test_which_jpegs_the_gpu_decodes(photo: Image.Image) -> None:
    jpeg = _jpeg(photo)
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = [_jpeg(photo.convert("L")), _jpeg(photo, progressive=True), _jpeg(photo, exif=exif)]
    for one in (jpeg, jpeg + b"what a camera appends", *kinds):
        assert plain_jpeg_pixels(one) == photo.width * photo.height
    png = io.BytesIO()
    photo.save(png, "PNG")
    as_rgb = _jpeg(photo, keep_rgb=True, subsampling=0)
    frame = jpeg.index(b"\xff\xc0")
    after = frame + 2 + int.from_bytes(jpeg[frame + 2 : frame + 4], "big")
    without_layers = jpeg[:frame] + b"\xff\xc0\0\x08\x08\1\0\1\0\3" + jpeg[after:]
    for other in (without_layers, b"", jpeg[:2000], jpeg[:-2], _jpeg(photo.convert("CMYK")), png.getvalue(), as_rgb):
        assert plain_jpeg_pixels(other) == 0


def test_a_jpeg_over_max_image_pixels_is_not_decoded_on_the_gpu(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert plain_jpeg_pixels(_jpeg(photo)) == 0


class Counting(JPEGDecoder):
    """Notes how many JPEGs came at once."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.batches: list[int] = []

    def __call__(self, jpegs: Sequence[bytes]) -> list[npt.NDArray[np.uint8] | None]:
        self.batches.append(len(jpegs))
        return super().__call__(jpegs)


@pytest.mark.parametrize("cached", [False, True])
def test_a_scorer_with_gpu_decoding_keeps_order_and_errors(
    photo: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    jpeg = _jpeg(photo)
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg)
    upside_down = _jpeg(photo.rotate(180), quality=60)
    odd = jpeg[:600] + bytes(100) + jpeg[600:]  # its header is broken, or its image is
    images = [jpeg, photo, path, b"no image", upside_down, jpeg[:3000], None, odd] * 8
    options = {"cache": tmp_path / "scores.sqlite"} if cached else {}
    card = Counting()
    exact = Scorer(device="cpu", model=Red()).score(images, errors="coerce")
    scorer = Scorer(device="cpu", model=Red(), decode="fast", **options)  # type: ignore[arg-type]
    monkeypatch.setattr(scorer.engine, "decode_jpegs", card)
    scores = scorer.score(images, errors="coerce")
    assert (4 if cached else 32) <= sum(card.batches) <= 32  # four different ones
    assert [score.error for score in scores] == [score.error for score in exact]
    for ours, theirs in zip(scores, exact, strict=True):
        assert ours.memorability == pytest.approx(theirs.memorability, abs=2e-3, nan_ok=True)
    card.batches.clear()
    if cached:
        assert scorer.score(images[:1]) == scores[:1]
    scorer = Scorer(device="cpu", model=Red())  # whose decoding is exact
    monkeypatch.setattr(scorer.engine, "decode_jpegs", card)
    assert scorer.score(images[:1]) == exact[:1]
    assert not card.batches


def test_gpu_decoding_is_limited_by_pixels_per_batch(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "_MAX_JPEG_PIXELS", 2 * photo.width * photo.height)
    card = Counting()
    scorer = Scorer(device="cpu", model=Red(), decode="fast", num_workers=1)
    monkeypatch.setattr(scorer.engine, "decode_jpegs", card)
    assert len({score.memorability for score in scorer.score([_jpeg(photo)] * 20)}) == 1
    assert sum(card.batches) == 20
    assert max(card.batches) <= 2
    assert scorer.provenance.decode == "fast-nvjpeg"


def test_no_thread_is_left_in_the_gpus_decoder(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python ends a process by force, with exit code 134, if a daemon thread is in C++ code then."""
    threads: set[threading.Thread] = set()

    def slow(contents: Sequence[bytes]) -> list[None]:
        threads.add(threading.current_thread())
        time.sleep(0.2)
        return [None] * len(contents)

    scorer = Scorer(device="cpu", model=Red(), decode="fast", num_workers=1, batch_size=1)
    monkeypatch.setattr(scorer.engine, "decode_jpegs", slow)
    scores = scorer.iter_scores([_jpeg(photo)] * 40)
    next(scores)
    scores.close()
    assert not any(thread.is_alive() for thread in threads)
    assert len(threads) == 1


def test_a_process_ends_well_whose_scores_are_not_all_taken(photo: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(_jpeg(photo))
    code = (
        "import sys\nfrom resmem_plugin import Scorer\nfrom tests.models import Red\n"
        "from resmem_plugin.core.engines.pytorch.nvjpeg import JPEGDecoder\n"
        "scorer = Scorer(device='cpu', model=Red(), decode='fast')\nscorer.engine.decode_jpegs = JPEGDecoder('cpu')\n"
        "scores = scorer.iter_scores([sys.argv[1]] * 500)\nnext(scores)\nsys.scores = scores"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, tmp_path / "a.jpg"], check=True, timeout=60)


def test_pixels_are_not_in_torchs_memory_which_a_daemon_thread_must_not_free_at_exit(photo: Image.Image) -> None:
    for seen in JPEGDecoder("cpu")([_jpeg(photo)] * 2):
        assert seen is not None
        assert seen.flags.owndata


@pytest.mark.parametrize("refuse", [lambda contents: [None] * len(contents), lambda _: 1 // 0])
def test_workers_decode_what_the_gpu_refuses(photo: Image.Image, monkeypatch: pytest.MonkeyPatch, refuse: Any) -> None:
    scorer = Scorer(device="cpu", model=Red(), decode="fast", processes=True)
    monkeypatch.setattr(scorer.engine, "decode_jpegs", refuse)
    images = [_jpeg(photo), photo, b"no image", _jpeg(photo)] * 10
    expected = Scorer(device="cpu", model=Red(), decode="fast").score(images, errors="coerce")
    for ours, theirs in zip(scorer.score(images, errors="coerce"), expected, strict=True):
        assert ours.error == theirs.error
        assert ours.memorability == pytest.approx(theirs.memorability, nan_ok=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none here")
def test_gpu_decoding_agrees_with_the_cpu(photo: Image.Image) -> None:
    network = random_network()
    contents = [
        _jpeg(photo),
        _jpeg(photo.rotate(90, expand=True)),
        _jpeg(photo.convert("L")),
        _jpeg(photo, progressive=True),
    ]
    for seen, content in zip(JPEGDecoder("cuda")(contents), contents, strict=True):
        assert seen is not None
        assert np.abs(seen.astype(int) - pixels(ImageReader().read(content).image)).mean() < 1
    exact = Scorer(model=network, device="cpu").score(contents)
    fast = Scorer(model=network, device="cuda", precision="fp32", decode="fast").score(contents)
    assert [score.memorability for score in fast] == pytest.approx([score.memorability for score in exact], abs=0.1)
