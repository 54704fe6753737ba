"""The cache of scores: a score is computed once, and never a wrong one is returned."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.cache.scores import ScoreCache
from resmem_plugin.core.errors import ClippedImagesWarning, OptionError
from tests.conftest import flat
from tests.core.cache.conftest import CountingScorers, scores_of
from tests.core.cache.sharing import share
from tests.models import Counted


def _png(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_a_second_run_makes_no_forward_pass(counting: CountingScorers, image_files: list[str]) -> None:
    content = Path(image_files[0]).read_bytes() + b"more"
    fsspec.filesystem("memory").pipe("/images/kept.png", content + b"and more")
    images = [
        *image_files,
        content,
        flat(77),
        Image.new("RGB", (5, 5), (99, 0, 0)),
        "memory://images/kept.png",
        b"bad",
        None,
    ]
    first = counting.scorer().score(images, errors="coerce")
    assert counting.forwarded() == 34
    second = counting.scorer(batch_size=7).score(images, errors="coerce")
    assert counting.forwarded() == 0
    assert repr(first) == repr(second)  # to the last digit, the reasons included
    assert repr(first) == repr(counting.scorer(cache=None).score(images, errors="coerce"))


def test_a_changed_file_is_scored_again(counting: CountingScorers, image_files: list[str]) -> None:
    before = scores_of(counting.scorer(), image_files)
    counting.forwarded()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(image_files[3])
    after = scores_of(counting.scorer(), image_files)
    assert counting.forwarded() == 1
    assert after == pytest.approx([*before[:3], 1.0, *before[4:]], abs=1e-6)
    assert scores_of(counting.scorer(exif_transpose=True), image_files) == after
    assert counting.forwarded() == 30  # of another provenance
    assert scores_of(counting.scorer(), image_files) == after
    assert counting.forwarded() == 0


def test_cached_scores_warn_of_clipping_again(counting: CountingScorers) -> None:
    deep = [np.full((4, 4), 40_000, np.uint16), np.full((4, 4), 7, np.uint16)]
    images = [_png(Image.fromarray(pixels)) for pixels in deep]
    for forwarded in (2, 0):
        with pytest.warns(ClippedImagesWarning, match=r"Indices: 0 \(<.* bytes>\)$"):
            counting.scorer().score(images)
        assert counting.forwarded() == forwarded


def test_images_in_memory_have_different_keys_if_the_network_sees_a_difference(counting: CountingScorers) -> None:
    palettes = [Image.new("P", (4, 4)) for _ in range(2)]
    palettes[0].putpalette([10, 0, 0])
    palettes[1].putpalette([200, 0, 0])
    turned = Image.fromarray(np.stack([np.full((4, 300), n, np.uint8) for n in (0, 255)]).reshape(8, 300)).convert(
        "RGB"
    )
    upright = turned.copy()
    turned.getexif()[0x0112] = 6
    images: list[object] = [*palettes, turned, upright]
    expected = scores_of(counting.scorer(cache=None, exif_transpose=True), images)
    for _ in range(2):
        assert scores_of(counting.scorer(exif_transpose=True), images) == expected
    assert expected[0] != expected[1]


def test_bytes_have_another_key_than_equal_pixels(counting: CountingScorers) -> None:
    pixels = flat(40)
    counting.scorer().score([pixels])
    seen = np.asarray(Image.fromarray(pixels).resize((227, 227)))
    for content in (pixels.tobytes(), seen.tobytes(), b"\0" + seen.tobytes()):
        assert "not an image" in str(counting.scorer().score([content], errors="coerce")[0].error)


@pytest.mark.parametrize("batch_size", [1, 3, 8, 64])
def test_cached_and_new_scores_come_in_order(
    counting: CountingScorers, image_files: list[str], batch_size: int
) -> None:
    expected = scores_of(counting.scorer(cache=None), image_files)
    counting.scorer().score([path for number, path in enumerate(image_files) if number % 3 or number > 20])
    counting.forwarded()
    scores = counting.scorer(batch_size=batch_size).score(image_files)
    assert [score.index for score in scores] == list(range(30))
    assert [score.memorability for score in scores] == pytest.approx(expected, abs=1e-6)
    assert counting.forwarded() == 7


def test_a_generator_of_cached_images_is_read_only_a_few_images_ahead(counting: CountingScorers) -> None:
    counting.scorer().score([flat(value) for value in range(256)])
    counting.forwarded()
    read = 0

    def images() -> Iterator[Any]:
        nonlocal read
        for read in count(1):
            yield flat(read % 256)

    with contextlib.closing(counting.scorer().iter_scores(images())) as scores:
        for _ in range(50):
            next(scores)
        assert read <= 50 + 2 * 4 + 16
    assert counting.forwarded() == 0


def test_an_interrupted_run_has_cached_what_it_returned(counting: CountingScorers, image_files: list[str]) -> None:
    with contextlib.closing(counting.scorer().iter_scores(image_files)) as scores:
        next(scores)
    assert counting.forwarded() == 4
    counting.scorer().score(image_files)
    assert counting.forwarded() == 26


def test_four_processes_share_one_cache(counting: CountingScorers, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    paths = [str(folder / f"{number}.png") for number in range(2_000)]
    for number, path in enumerate(paths):
        Image.new("RGB", (4, 4), (number % 256, number // 256, 0)).save(path)
    runs = share(4, str(counting.cache), paths, str(tmp_path / "forwarded"))
    assert [messages for _, messages in runs] == [[]] * 4  # none waited too long for a lock
    expected = {path: (number % 256) / 255 for number, path in enumerate(paths)}
    for scores, _ in runs:
        assert scores == pytest.approx(expected, abs=1e-6)
    assert ScoreCache.of(counting.cache).info().scores == {counting.scorer().provenance.id: 2_000}
    assert counting.forwarded() >= 2_000
    assert scores_of(counting.scorer(), paths) == pytest.approx(list(expected.values()), abs=1e-6)
    assert counting.forwarded() == 0


@pytest.mark.parametrize("name", ["a.jpg", "scores", "folder.sqlite", "no/such/folder/scores.sqlite"])
def test_a_path_that_cannot_be_a_cache_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jpg").write_text("precious")
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(OptionError, match=r"ends in \.sqlite|create it first"):
        Scorer(model=Counted(os.devnull), cache=tmp_path / name)
    assert (tmp_path / "a.jpg").read_text() == "precious"


def test_a_function_as_a_model_cannot_be_cached(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="scores of a function cannot be cached"):
        Scorer(model=lambda x: x[:, 0].mean(dim=(1, 2)), cache=tmp_path / "scores.sqlite")


@pytest.mark.parametrize("limit", ["0", "-3", "a lot", "²"])
def test_an_invalid_cache_size_limit_is_an_error(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setenv("RESMEM_CACHE_MAX_MB", limit)
    with pytest.raises(OptionError, match="RESMEM_CACHE_MAX_MB must be"):
        Scorer(model=Counted(os.devnull), cache=True)


def test_a_forked_process_opens_its_own_connection(tmp_path: Path) -> None:
    code = """
        import os, sys
        from resmem_plugin import Scorer
        from tests.conftest import flat
        from tests.models import Red
        scorer = Scorer(device="cpu", model=Red(), cache=sys.argv[1])
        images = [flat(value) for value in range(20)]
        expected = scorer.score(images)
        child = os.fork()
        if child == 0:
            os._exit(scorer.score(images) != expected)
        assert os.waitpid(child, 0)[1] == 0
        assert scorer.score([*images, flat(20)])[:20] == expected
    """
    arguments = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "scores.sqlite")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert sum(ScoreCache.of(tmp_path / "scores.sqlite").info().scores.values()) == 21
