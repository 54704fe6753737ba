"""The cache's SQLite file: damaged, full, locked, shared or another application's; it never costs a score."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.cache import database as cache_file
from resmem_plugin.core.cache.scores import CachedScore, ScoreCache
from resmem_plugin.core.errors import CacheWarning, OptionError
from tests.conftest import flat
from tests.core.cache.conftest import CountingScorers, scores_of
from tests.core.cache.sharing import share
from tests.models import Counted

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
def test_a_damaged_database_is_quarantined(counting: CountingScorers, image_files: list[str], kind: str) -> None:
    expected = scores_of(counting.scorer(), image_files)
    damaged = DAMAGE[kind](counting.cache.read_bytes())
    counting.cache.write_bytes(damaged)
    aside = counting.cache.with_name("scores.sqlite.damaged-1")
    with pytest.warns(
        CacheWarning, match=rf"scores.sqlite was damaged: it was renamed to {aside}, and a new one"
    ) as caught:
        scores = counting.scorer().score(image_files, errors="coerce")
    assert [score.memorability for score in scores] == expected
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert aside.read_bytes()[100:] == damaged[100:]  # but for what SQLite counts in the header
    counting.forwarded()
    assert scores_of(counting.scorer(), image_files) == expected
    assert counting.forwarded() == 0


@pytest.mark.parametrize("change", ["DROP TABLE scores", "ALTER TABLE scores RENAME TO others", None])
def test_a_database_without_the_table_is_created(
    counting: CountingScorers, image_files: list[str], change: str | None
) -> None:
    counting.scorer().score(image_files)
    if change is None:
        counting.cache.write_bytes(b"")
    else:
        _change(counting.cache, change)
    counting.scorer().score(image_files)
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
def test_a_row_or_schema_changed_by_others_is_damage(
    counting: CountingScorers, image_files: list[str], change: str
) -> None:
    expected = scores_of(counting.scorer(), image_files)
    _change(counting.cache, change)
    with pytest.warns(CacheWarning, match="was damaged"):
        assert scores_of(counting.scorer(), image_files) == expected
    counting.forwarded()
    assert scores_of(counting.scorer(), image_files) == expected
    assert counting.forwarded() == 0


def test_damage_found_during_a_run(counting: CountingScorers, image_files: list[str]) -> None:
    cache = ScoreCache.of(counting.cache)
    with cache.open("of others") as kept:
        kept.add([(np.random.default_rng(n).bytes(32), CachedScore(0.5)) for n in range(3_000)])
    expected = scores_of(counting.scorer(cache=None), image_files)
    counting.forwarded()
    with contextlib.closing(counting.scorer(num_workers=1).iter_scores(image_files)) as scores:
        found = [next(scores).memorability]
        content = counting.cache.read_bytes()
        counting.cache.write_bytes(content[:4096] + bytes(len(content) - 4096))
        with pytest.warns(CacheWarning, match="damaged-1, and a new one"):
            found += [score.memorability for score in scores]
    assert found == pytest.approx(expected, abs=1e-6)
    assert counting.forwarded() == 30


def test_processes_that_find_the_same_damage_quarantine_it_once(
    counting: CountingScorers, image_files: list[str], tmp_path: Path
) -> None:
    counting.cache.write_bytes(b"damaged" * 1_000)
    runs = share(4, str(counting.cache), image_files, str(tmp_path / "forwarded"))
    assert sum(len(messages) for _, messages in runs) == 1
    assert [path.name for path in tmp_path.glob("*.damaged-*")] == ["scores.sqlite.damaged-1"]
    assert all(scores == pytest.approx(runs[0][0], abs=1e-6) for scores, _ in runs)
    counting.forwarded()
    counting.scorer().score(image_files)
    assert counting.forwarded() == 0


def test_another_applications_database_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE scores (player TEXT)")
        before = path.read_bytes(), sorted(os.listdir(tmp_path))
        with pytest.raises(OptionError, match=r"photos.db is another application's database.*name another"):
            Scorer(model=Counted(os.devnull), cache=path)
        assert (path.read_bytes(), sorted(os.listdir(tmp_path))) == before


def test_the_oldest_scores_are_evicted_when_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    keys = [number.to_bytes(32, "big") for number in np.random.default_rng(0).permutation(20_000).tolist()]
    for max_bytes in (400_000, 150_000):
        with ScoreCache(path=path, max_bytes=max_bytes).open("a") as kept:
            for start in range(0, len(keys), 500):
                kept.add([(key, CachedScore(0.5)) for key in keys[start : start + 500]])
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
def test_scoring_continues_when_the_disk_is_full(counting: CountingScorers, size: int) -> None:
    images = [flat(value) for value in range(40)]
    expected = scores_of(counting.scorer(cache=None, batch_size=1), images)
    with _files_of_at_most(size), pytest.warns(CacheWarning, match="cannot be used .*continues without it") as caught:
        assert scores_of(counting.scorer(batch_size=1), images) == expected
    assert len(caught) == 1
    assert scores_of(counting.scorer(batch_size=1), images) == expected  # and it does no harm later
    counting.forwarded()
    assert scores_of(counting.scorer(), images) == expected
    assert counting.forwarded() == 0


def test_scoring_continues_while_the_database_is_locked(
    counting: CountingScorers, image_files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_file, "_LOCK_TIMEOUT_S", 0.1)
    counting.scorer().score(image_files[:3])
    with contextlib.closing(sqlite3.connect(counting.cache, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.warns(CacheWarning, match="database is locked") as caught:
            assert len(counting.scorer().score(image_files)) == 30
    assert len(caught) == 1
