"""Scores kept between runs, by the image's content and what produced them: what was scored once is not scored again.

The file is SQLite's, in WAL mode: any number of processes and threads may share it on one machine. It must not lie on a
network drive, where WAL is not safe. What goes wrong with it costs time, never a score.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from resmem_plugin.core import settings
from resmem_plugin.core.cache.database import OpenFile, check_application_id, is_damage, open_file, quarantine
from resmem_plugin.core.cache.folder import cache_folder
from resmem_plugin.core.errors import CacheError, CacheWarning, OptionError, warn

CacheOption: TypeAlias = "str | os.PathLike[str] | bool | None"
"""True: the user's own file in the cache folder. A path: that file. False or None: nothing is kept."""

_SUFFIXES = (".sqlite", ".sqlite3", ".db")  # so that a picture named by mistake is not taken for a damaged cache
_DEFAULT_MB = 512
_FIND = "SELECT memorability, clipped, checksum FROM scores WHERE image = ? AND provenance = ?"
_ADD = "INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?, ?)"
_DROP_OLDEST = """DELETE FROM scores WHERE rowid <=
    (SELECT min(rowid) FROM scores) + ((SELECT max(rowid) FROM scores) - (SELECT min(rowid) FROM scores)) / 20"""

_T = TypeVar("_T")


class CachedScore(NamedTuple):
    """A score as it is kept.

    Attributes:
        memorability: as the network gave it.
        clipped: whether the image's conversion to 8 bits clipped most of its tones.
    """

    memorability: float
    clipped: bool


class CacheInfo(NamedTuple):
    """What a cache holds.

    Attributes:
        file_bytes: size of the file and its journal.
        scores: how many, by the id of their provenance.
    """

    file_bytes: int
    scores: dict[str, int]


def content_key(content: bytes) -> bytes:
    """The key of an encoded image: SHA-256 of its bytes."""
    return hashlib.sha256(content).digest()


def pixels_key(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The key of a PIL image or an array: SHA-256 of what the network sees of it, (227, 227, 3).

    That is exact whatever its mode, palette and metadata. One byte longer than `content_key`, it is never the same.
    """
    return b"\0" + hashlib.sha256(pixels.data).digest()


@dataclass(frozen=True, kw_only=True)
class ScoreCache:
    """Where scores are kept, and how much of the disk they may take.

    Attributes:
        path: the file; it is made when it is first needed.
        max_bytes: its largest size: the oldest scores go first. Its journal adds up to 4 MB while it is in use.
    """

    path: Path
    max_bytes: int

    @staticmethod
    def of(option: str | os.PathLike[str] | Literal[True]) -> ScoreCache:
        """The cache that an option names; its limit is `RESMEM_CACHE_MAX_MB`, 512 MB (four million scores) by default.

        Raises:
            OptionError: for what cannot be one: a name with another suffix than .sqlite, .sqlite3 or .db, in a folder
                that does not exist, or of another application's database.
        """
        limit = _max_bytes()
        if option is True:
            path = cache_folder() / "scores.sqlite"
        else:
            path = Path(os.path.expanduser(os.fspath(option)))
            if path.suffix.lower() not in _SUFFIXES or path.is_dir():
                raise OptionError(
                    f"the cache {path} must be a file whose name ends in {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}"
                )
            if not path.parent.is_dir():
                raise OptionError(f"there is no folder {path.parent} for the cache {path.name}: make it first")
        with contextlib.suppress(OSError):  # the run will emit_warnings
            check_application_id(path)
        return ScoreCache(path=path, max_bytes=limit)

    def open(self, provenance: str) -> CacheSession:
        """Open it for one run's scores, which are of the provenance of this id."""
        return CacheSession(self, provenance)

    def info(self) -> CacheInfo:
        """What it holds; nothing if the file is not there yet.

        Raises:
            CacheError: if it cannot be read.
        """
        if not self.path.exists():
            return CacheInfo(0, {})
        with self._connected() as connection:
            counts = dict(connection.execute("SELECT provenance, count(*) FROM scores GROUP BY 1 ORDER BY min(rowid)"))
            files = (self.path, Path(f"{self.path}-wal"))
            return CacheInfo(sum(file.stat().st_size for file in files if file.exists()), counts)

    def clear(self) -> int:
        """Remove all scores; returns how many there were.

        Raises:
            CacheError: if that cannot be done.
        """
        if not self.path.exists():
            return 0
        with self._connected() as connection:
            (count,) = connection.execute("SELECT count(*) FROM scores").fetchone()
            connection.execute("DELETE FROM scores")
            return int(count)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            opened = open_file(self.path)
            with contextlib.closing(opened.connection):
                yield opened.connection
        except (sqlite3.Error, OSError) as error:
            raise CacheError(f"the cache of scores {self.path} cannot be used ({error}): delete that file") from error
        if opened.quarantined is not None:
            warn(_quarantine_message(self.path, opened.quarantined), CacheWarning)


class CacheSession:
    """The scores of one provenance in a cache, open for one run; a context, safe to share between threads.

    Nothing here fails: a damaged file is set aside and a new one begun, one that cannot be used is done without.
    `emit_warnings` says so.
    """

    def __init__(self, cache: ScoreCache, provenance: str) -> None:
        self._cache, self._provenance = cache, provenance
        self._lock = threading.RLock()
        self._messages: list[str] = []
        self._opened: OpenFile | None = None
        self._usable = True

    def __enter__(self) -> CacheSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._usable = False
            self._close()

    def find(self, key: bytes) -> CachedScore | None:
        """The score kept for an image, or None."""
        return self._try(lambda connection: self._find(connection, key))

    def add(self, scores: Sequence[tuple[bytes, CachedScore]]) -> None:
        """Keep scores by their images' keys, all at once; one that another process has kept first stays."""
        rows = [(key, self._provenance, float(score), int(clipped)) for key, (score, clipped) in scores]
        if rows:
            self._try(lambda connection: self._add(connection, rows))

    def emit_warnings(self) -> None:
        """Give a `CacheWarning` for each thing that went wrong since the last time."""
        while self._messages:
            warn(self._messages.pop(0), CacheWarning)

    def _try(self, work: Callable[[sqlite3.Connection], _T], *, may_repair: bool = True) -> _T | None:
        with self._lock:
            if not self._usable:
                return None
            try:
                return work(self._connection())
            except sqlite3.Error as error:
                if may_repair and is_damage(error) and self._quarantine():
                    return self._try(work, may_repair=False)
                self._disable(error)
            except (OSError, OptionError) as error:
                self._disable(error)
            return None

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            path = self._cache.path
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._opened = open_file(path)
            if self._opened.quarantined is not None:
                self._messages.append(_quarantine_message(path, self._opened.quarantined))
        return self._opened.connection

    def _quarantine(self) -> bool:
        """Move the file away that was open; whether there is hope for another."""
        if self._opened is None:
            return False
        file = self._opened.file
        self._close()
        try:
            aside = quarantine(self._cache.path, file)
        except OSError:
            return False
        if aside is not None:
            self._messages.append(_quarantine_message(self._cache.path, aside))
        return True

    def _disable(self, error: Exception) -> None:
        self._usable = False
        self._close()
        self._messages.append(
            f"the cache of scores {self._cache.path} cannot be used ({error}): scoring goes on without it. Make room "
            "there and let this user write, or name another file"
        )

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            with contextlib.suppress(sqlite3.Error):
                opened.connection.close()

    def _find(self, connection: sqlite3.Connection, key: bytes) -> CachedScore | None:
        found = connection.execute(_FIND, (key, self._provenance)).fetchone()
        if found is None:
            return None
        memorability, clipped, checksum = found
        if checksum != _checksum(key, self._provenance, memorability, clipped):
            raise sqlite3.DatabaseError("a score does not have its checksum")
        return CachedScore(memorability, bool(clipped))

    def _add(self, connection: sqlite3.Connection, rows: Sequence[tuple[bytes, str, float, int]]) -> None:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_ADD, ((*row, _checksum(*row)) for row in rows))
            while _used_bytes(connection) > self._cache.max_bytes:
                if not connection.execute(_DROP_OLDEST).rowcount:
                    break


def _checksum(*row: object) -> int:
    """SQLite would not see a digit that the disk has changed."""
    return zlib.crc32(repr(row).encode())


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _max_bytes() -> int:
    named = settings.read("RESMEM_CACHE_MAX_MB") or str(_DEFAULT_MB)
    if not (named.isascii() and named.isdigit() and int(named) > 0):
        raise OptionError(f"RESMEM_CACHE_MAX_MB must be a whole number from 1, not {named!r}")
    return int(named) << 20


def _quarantine_message(path: Path, aside: Path) -> str:
    return f"the cache of scores {path} was damaged: it is now {aside}, and a new one was begun. Delete it at will"
