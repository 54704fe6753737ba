"""A score is made once, and never the wrong one; what goes wrong with the cache costs time only."""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.cache import database as cache_file
from resmem_plugin.core.cache.scores import CachedScore, ScoreCache
from resmem_plugin.core.errors import CacheError, CacheWarning, ClippedImagesWarning, OptionError
from tests.conftest import flat
from tests.core.cache.sharing import share
from tests.models import Counted


class Counting:
    """Makes scorers with one cache and one stand-in model, and counts the images that pass through it."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "scores.sqlite"
        self._counter = folder / "forwarded"
        self._counter.touch()

    def scorer(self, **options: Any) -> Scorer:
        return Scorer(
            **{"device": "cpu", "model": Counted(str(self._counter)), "batch_size": 4, "cache": self.cache, **options}
        )

    def forwarded(self) -> int:
        """How many images have passed since this was last asked."""
        passed = self._counter.stat().st_size
        self._counter.write_bytes(b"")
        return passed


@pytest.fixture
def counting(tmp_path: Path) -> Counting:
    return Counting(tmp_path)


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Thirty files, all different."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(30):
        Image.new("RGB", (8, 8), (number * 8, 0, 0)).save(folder / f"{number:02}.png")
    return [str(path) for path in sorted(folder.iterdir())]


def _values(scorer: Scorer, images: Any) -> list[float]:
    return [score.memorability for score in scorer.score(images, errors="coerce")]


def _png(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_a_second_run_makes_no_forward_pass(counting: Counting, pictures: list[str]) -> None:
    content = Path(pictures[0]).read_bytes() + b"more"
    fsspec.filesystem("memory").pipe("/pictures/kept.png", content + b"and more")
    images = [
        *pictures,
        content,
        flat(77),
        Image.new("RGB", (5, 5), (99, 0, 0)),
        "memory://pictures/kept.png",
        b"bad",
        None,
    ]
    first = counting.scorer().score(images, errors="coerce")
    assert counting.forwarded() == 34
    second = counting.scorer(batch_size=7).score(images, errors="coerce")
    assert counting.forwarded() == 0
    assert repr(first) == repr(second)  # to the last digit, the reasons included
    assert repr(first) == repr(counting.scorer(cache=None).score(images, errors="coerce"))


def test_what_changes_is_scored_anew(counting: Counting, pictures: list[str]) -> None:
    before = _values(counting.scorer(), pictures)
    counting.forwarded()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(pictures[3])
    after = _values(counting.scorer(), pictures)
    assert counting.forwarded() == 1
    assert after == pytest.approx([*before[:3], 1.0, *before[4:]], abs=1e-6)
    assert _values(counting.scorer(exif_transpose=True), pictures) == after
    assert counting.forwarded() == 30  # of another provenance
    assert _values(counting.scorer(), pictures) == after
    assert counting.forwarded() == 0


def test_clipping_is_said_again(counting: Counting) -> None:
    deep = [np.full((4, 4), 40_000, np.uint16), np.full((4, 4), 7, np.uint16)]
    images = [_png(Image.fromarray(pixels)) for pixels in deep]
    for forwarded in (2, 0):
        with pytest.warns(ClippedImagesWarning, match="Indices: 0$"):
            counting.scorer().score(images)
        assert counting.forwarded() == forwarded


def test_pictures_in_memory_are_told_apart_by_all_that_the_network_sees(counting: Counting) -> None:
    palettes = [Image.new("P", (4, 4)) for _ in range(2)]
    palettes[0].putpalette([10, 0, 0])
    palettes[1].putpalette([200, 0, 0])
    turned = Image.fromarray(np.stack([np.full((4, 300), n, np.uint8) for n in (0, 255)]).reshape(8, 300)).convert(
        "RGB"
    )
    upright = turned.copy()
    turned.getexif()[0x0112] = 6
    images: list[object] = [*palettes, turned, upright]
    expected = _values(counting.scorer(cache=None, exif_transpose=True), images)
    for _ in range(2):
        assert _values(counting.scorer(exif_transpose=True), images) == expected
    assert expected[0] != expected[1]


def test_bytes_are_not_taken_for_the_pixels_they_equal(counting: Counting) -> None:
    pixels = flat(40)
    counting.scorer().score([pixels])
    seen = np.asarray(Image.fromarray(pixels).resize((227, 227)))
    for content in (pixels.tobytes(), seen.tobytes(), b"\0" + seen.tobytes()):
        assert "not an image" in str(counting.scorer().score([content], errors="coerce")[0].error)


@pytest.mark.parametrize("batch_size", [1, 3, 8, 64])
def test_kept_and_new_ones_come_in_order(counting: Counting, pictures: list[str], batch_size: int) -> None:
    expected = _values(counting.scorer(cache=None), pictures)
    counting.scorer().score([path for number, path in enumerate(pictures) if number % 3 or number > 20])
    counting.forwarded()
    scores = counting.scorer(batch_size=batch_size).score(pictures)
    assert [score.index for score in scores] == list(range(30))
    assert [score.memorability for score in scores] == pytest.approx(expected, abs=1e-6)
    assert counting.forwarded() == 7


def test_a_generator_of_kept_ones_is_read_only_a_little_ahead(counting: Counting) -> None:
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


def test_a_run_that_stops_has_kept_what_it_gave(counting: Counting, pictures: list[str]) -> None:
    with contextlib.closing(counting.scorer().iter_scores(pictures)) as scores:
        next(scores)
    assert counting.forwarded() == 4
    counting.scorer().score(pictures)
    assert counting.forwarded() == 26


def test_four_processes_share_one(counting: Counting, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    paths = [str(folder / f"{number}.png") for number in range(2_000)]
    for number, path in enumerate(paths):
        Image.new("RGB", (4, 4), (number % 256, number // 256, 0)).save(path)
    runs = share(4, str(counting.cache), paths, str(tmp_path / "forwarded"))
    assert [told for _, told in runs] == [[]] * 4  # no lock held anyone up
    expected = {path: (number % 256) / 255 for number, path in enumerate(paths)}
    for scores, _ in runs:
        assert scores == pytest.approx(expected, abs=1e-6)
    assert ScoreCache.of(counting.cache).info().scores == {counting.scorer().provenance.id: 2_000}
    assert counting.forwarded() >= 2_000
    assert _values(counting.scorer(), paths) == pytest.approx(list(expected.values()), abs=1e-6)
    assert counting.forwarded() == 0


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "garbage": lambda _: np.random.default_rng(0).bytes(20_000),
    "text": lambda _: b"path,memorability\n",
    "zeros": lambda content: bytes(len(content)),
    "cut in the header": lambda content: content[:99],
    "cut in the first page": lambda content: content[:1_000],
    "cut by a page": lambda content: content[:-4096],
    "header smashed": lambda content: bytes(30) + content[30:],
    "pages smashed": lambda content: content[:8192] + bytes(reversed(content[8192:])),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_set_aside(counting: Counting, pictures: list[str], kind: str) -> None:
    expected = _values(counting.scorer(), pictures)
    damaged = DAMAGE[kind](counting.cache.read_bytes())
    counting.cache.write_bytes(damaged)
    aside = counting.cache.with_name("scores.sqlite.damaged-1")
    with pytest.warns(
        CacheWarning, match=rf"scores.sqlite was damaged: it was renamed to {aside}, and a new one"
    ) as caught:
        assert _values(counting.scorer(), pictures) == expected
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert aside.read_bytes()[100:] == damaged[100:]  # but for what SQLite counts in the header
    counting.forwarded()
    assert _values(counting.scorer(), pictures) == expected
    assert counting.forwarded() == 0


@pytest.mark.parametrize("change", ["DROP TABLE scores", "ALTER TABLE scores RENAME TO others", None])
def test_a_file_without_the_table_is_begun(counting: Counting, pictures: list[str], change: str | None) -> None:
    counting.scorer().score(pictures)
    if change is None:
        counting.cache.write_bytes(b"")
    else:
        _change(counting.cache, change)
    counting.scorer().score(pictures)
    assert sum(ScoreCache.of(counting.cache).info().scores.values()) == 30


def _change(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE scores SET memorability = memorability + 1e-9",
        "UPDATE scores SET memorability = 'high'",
        "UPDATE scores SET clipped = 1",
        "ALTER TABLE scores ADD COLUMN more",
    ],
)
def test_what_another_hand_changed_is_damage(counting: Counting, pictures: list[str], change: str) -> None:
    expected = _values(counting.scorer(), pictures)
    _change(counting.cache, change)
    with pytest.warns(CacheWarning, match="was damaged"):
        assert _values(counting.scorer(), pictures) == expected
    counting.forwarded()
    assert _values(counting.scorer(), pictures) == expected
    assert counting.forwarded() == 0


def test_damage_that_shows_midway(counting: Counting, pictures: list[str]) -> None:
    cache = ScoreCache.of(counting.cache)
    with cache.open("of others") as kept:
        kept.add([(np.random.default_rng(n).bytes(32), CachedScore(0.5, False)) for n in range(3_000)])
    expected = _values(counting.scorer(cache=None), pictures)
    counting.forwarded()
    with contextlib.closing(counting.scorer(num_workers=1).iter_scores(pictures)) as scores:
        found = [next(scores).memorability]
        content = counting.cache.read_bytes()
        counting.cache.write_bytes(content[:4096] + bytes(len(content) - 4096))
        with pytest.warns(CacheWarning, match="damaged-1, and a new one"):
            found += [score.memorability for score in scores]
    assert found == pytest.approx(expected, abs=1e-6)
    assert counting.forwarded() == 30


def test_processes_that_find_the_same_damage_set_it_aside_once(
    counting: Counting, pictures: list[str], tmp_path: Path
) -> None:
    counting.cache.write_bytes(b"damaged" * 1_000)
    runs = share(4, str(counting.cache), pictures, str(tmp_path / "forwarded"))
    assert sum(len(told) for _, told in runs) == 1
    assert [path.name for path in tmp_path.glob("*.damaged-*")] == ["scores.sqlite.damaged-1"]
    assert all(scores == pytest.approx(runs[0][0], abs=1e-6) for scores, _ in runs)
    counting.forwarded()
    counting.scorer().score(pictures)
    assert counting.forwarded() == 0


def test_another_applications_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE scores (player TEXT)")
        before = path.read_bytes(), sorted(os.listdir(tmp_path))
        with pytest.raises(OptionError, match=r"photos.db is another application's database.*name another"):
            Scorer(model=Counted(os.devnull), cache=path)
        assert (path.read_bytes(), sorted(os.listdir(tmp_path))) == before


@pytest.mark.parametrize("name", ["a.jpg", "scores", "folder.sqlite", "no/such/folder/scores.sqlite"])
def test_what_cannot_be_a_cache(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jpg").write_text("precious")
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(OptionError, match=r"ends in \.sqlite|create it first"):
        Scorer(model=Counted(os.devnull), cache=tmp_path / name)
    assert (tmp_path / "a.jpg").read_text() == "precious"


def test_a_function_has_no_cache(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="scores of a function cannot be cached"):
        Scorer(model=lambda x: x[:, 0].mean(dim=(1, 2)), cache=tmp_path / "scores.sqlite")


@pytest.mark.parametrize("limit", ["0", "-3", "a lot", "²"])
def test_a_limit_that_is_none(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setenv("RESMEM_CACHE_MAX_MB", limit)
    with pytest.raises(OptionError, match="RESMEM_CACHE_MAX_MB must be"):
        Scorer(model=Counted(os.devnull), cache=True)


def test_the_oldest_go_when_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    keys = [number.to_bytes(32, "big") for number in np.random.default_rng(0).permutation(20_000).tolist()]
    for max_bytes in (400_000, 150_000):
        with ScoreCache(path=path, max_bytes=max_bytes).open("a") as kept:
            for start in range(0, len(keys), 500):
                kept.add([(key, CachedScore(0.5, False)) for key in keys[start : start + 500]])
                with contextlib.closing(sqlite3.connect(path)) as connection:
                    assert connection.execute("PRAGMA page_count").fetchone()[0] * 4096 <= max_bytes
            there = [kept.find(key) is not None for key in keys]
        assert there == sorted(there)  # the newest, without a gap
        assert max_bytes / 300 < sum(there) < len(keys)
        assert path.stat().st_size <= max_bytes


@contextlib.contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [1_000, 30_000, 60_000])
def test_a_full_disk_costs_no_score(counting: Counting, size: int) -> None:
    images = [flat(value) for value in range(40)]
    expected = _values(counting.scorer(cache=None, batch_size=1), images)
    with _files_of_at_most(size), pytest.warns(CacheWarning, match="cannot be used .*goes on without it") as caught:
        assert _values(counting.scorer(batch_size=1), images) == expected
    assert len(caught) == 1
    assert _values(counting.scorer(batch_size=1), images) == expected  # and it does no harm later
    counting.forwarded()
    assert _values(counting.scorer(), images) == expected
    assert counting.forwarded() == 0


def test_a_folder_that_cannot_be_made_costs_no_score(
    counting: Counting, pictures: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in the way").touch()
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(tmp_path / "in the way" / "folder"))
    with pytest.warns(CacheWarning, match="cannot be used .*Not a directory.*name another file") as caught:
        assert len(counting.scorer(cache=True).score(pictures)) == 30
    assert len(caught) == 1
    with pytest.raises(CacheError, match="cannot be used"):
        ScoreCache(path=tmp_path / "pictures", max_bytes=1).info()


def test_a_lock_that_is_held_costs_no_score(
    counting: Counting, pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_file, "_WAIT_S", 0.1)
    counting.scorer().score(pictures[:3])
    with contextlib.closing(sqlite3.connect(counting.cache, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.warns(CacheWarning, match="database is locked") as caught:
            assert len(counting.scorer().score(pictures)) == 30
    assert len(caught) == 1


def test_the_users_own_file(counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(tmp_path / "new"))
    counting.scorer(cache=True).score([flat(1)])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["scores.sqlite"]  # closed, with no journal left


def test_a_forked_process_has_a_connection_of_its_own(tmp_path: Path) -> None:
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
