"""The cache of scores, by the content of the image and the provenance: an image is not scored twice.

It is a SQLite file in WAL mode: any number of processes and threads may share it on one machine. It must not be on a
network drive, where WAL is not safe. A failure of the cache costs time, never a score.
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
from resmem_plugin.core.cache.database import (
    OpenFile,
    check_application_id,
    checked_path,
    is_damage,
    open_file,
    quarantine,
    used_bytes,
)
from resmem_plugin.core.cache.folder import cache_folder, has_cache_folder, is_first_report
from resmem_plugin.core.errors import CacheError, CacheWarning, OptionError, warn
from resmem_plugin.core.scores import Flaw

CacheOption: TypeAlias = "str | os.PathLike[str] | bool | None"
"""True: the file in the user's cache folder. A path: that file. False or None: no cache."""

_DEFAULT_MAX_MB = 512
_FIND = "SELECT memorability, clipped, checksum FROM scores WHERE image = ? AND provenance = ?"
_ADD = "INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?, ?)"
_DROP_OLDEST = """DELETE FROM scores WHERE rowid <=
    (SELECT min(rowid) FROM scores) + ((SELECT max(rowid) FROM scores) - (SELECT min(rowid) FROM scores)) / 20"""

_T = TypeVar("_T")


class CachedScore(NamedTuple):
    """A score in the cache.

    Attributes:
        memorability: 0 to 1.
        flaw: what is wrong with the image; the file's column has the name of the first.
    """

    memorability: float
    flaw: Flaw = Flaw.NONE


class CacheInfo(NamedTuple):
    """The contents of a cache.

    Attributes:
        file_bytes: size of the file and its journal.
        scores: number of scores by the id of their provenance.
    """

    file_bytes: int
    scores: dict[str, int]


def content_key(content: bytes) -> bytes:
    """The key of an encoded image: SHA-256 of its bytes."""
    return hashlib.sha256(content).digest()


def pixels_key(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The key of a PIL image or an array: SHA-256 of its preprocessed pixels (227, 227, 3).

    It does not depend on mode, palette or metadata, and is one byte longer than `content_key`: they never collide.
    """
    return b"\0" + hashlib.sha256(pixels.data).digest()


@dataclass(frozen=True, kw_only=True)
class ScoreCache:
    """A cache of scores on the disk.

    Attributes:
        path: the file; it is created when it is first used.
        max_bytes: its largest size; the oldest scores are removed first. In use, its journal adds up to 4 MB.
        usable: False for the default file where the cache folder cannot be used: nothing is read or kept.

    Examples:
        >>> from resmem_plugin.core.cache.scores import ScoreCache
        >>> ScoreCache.of("scores.sqlite").info()
        CacheInfo(file_bytes=0, scores={})
    """

    path: Path
    max_bytes: int
    usable: bool = True

    @staticmethod
    def of(option: str | os.PathLike[str] | Literal[True]) -> ScoreCache:
        """The cache of a `cache` option; its limit is `RESMEM_CACHE_MAX_MB`, 512 MB (four million scores) by default.

        Raises:
            OptionError: for a name with another suffix than .sqlite, .sqlite3 or .db, in a folder that does not exist,
                or of another application's database.
        """
        limit = _max_bytes()
        if option is True:
            path = cache_folder() / "scores.sqlite"
            if not has_cache_folder():
                return ScoreCache(path=path, max_bytes=limit, usable=False)
        else:
            path = checked_path(option)
        with contextlib.suppress(OSError):  # the session will report it
            check_application_id(path)
        return ScoreCache(path=path, max_bytes=limit)

    def open(self, provenance: str) -> CacheSession:
        """Open it for the scores of one run, whose provenance has this id."""
        return CacheSession(self, provenance)

    def info(self) -> CacheInfo:
        """Count its scores; none if the file does not exist yet.

        Raises:
            CacheError: if it cannot be read.
        """
        if not self._exists():
            return CacheInfo(0, {})
        with self._connected() as connection:
            counts = dict(connection.execute("SELECT provenance, count(*) FROM scores GROUP BY 1 ORDER BY min(rowid)"))
            files = (self.path, Path(f"{self.path}-wal"))
            return CacheInfo(sum(file.stat().st_size for file in files if file.exists()), counts)

    def clear(self) -> int:
        """Remove all scores, and return their number.

        Raises:
            CacheError: if it cannot be written.
        """
        if not self._exists():
            return 0
        with self._connected() as connection:
            (count,) = connection.execute("SELECT count(*) FROM scores").fetchone()
            connection.execute("DELETE FROM scores")
            return int(count)

    def _exists(self) -> bool:
        if not self.usable:
            raise CacheError(
                f"the cache of scores {self.path} cannot be used: set RESMEM_CACHE_DIR to a folder of your own"
            )
        return os.path.exists(self.path)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            opened = open_file(self.path)
            with contextlib.closing(opened.connection):
                yield opened.connection
        except (sqlite3.Error, OSError) as error:
            raise CacheError(f"the cache of scores {self.path} cannot be used ({error}): delete the file") from error
        if opened.quarantined is not None:
            warn(_quarantine_message(self.path, opened.quarantined), CacheWarning)


class CacheSession:
    """The scores of one provenance in a cache, open for one run; a context manager, thread-safe.

    It never raises: a damaged file is renamed and a new one created, and a file that cannot be used is ignored.
    `emit_warnings` reports it.
    """

    def __init__(self, cache: ScoreCache, provenance: str) -> None:
        self._cache, self._provenance = cache, provenance
        self._lock = threading.RLock()
        self._messages: list[str] = []
        self._opened: OpenFile | None = None
        self._usable = cache.usable

    def __enter__(self) -> CacheSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._usable = False
            self._close()

    def find(self, key: bytes) -> CachedScore | None:
        """The score of an image, or None if it is not in the cache."""
        return self._try(lambda connection: self._find(connection, key))

    def add(self, scores: Sequence[tuple[bytes, CachedScore]]) -> None:
        """Add scores by their images' keys, in one transaction; one that another process has added first stays."""
        rows = [(key, self._provenance, float(score), int(flaw)) for key, (score, flaw) in scores]
        if rows:
            self._try(lambda connection: self._add(connection, rows))

    def emit_warnings(self) -> None:
        """Emit a `CacheWarning` for each failure since the last call."""
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
        """Rename the damaged file; returns whether a new one can be tried."""
        if self._opened is None:
            return False
        file = self._opened.file
        self._close()
        try:
            renamed = quarantine(self._cache.path, file)
        except OSError:
            return False
        if renamed is not None:
            self._messages.append(_quarantine_message(self._cache.path, renamed))
        return True

    def _disable(self, error: Exception) -> None:
        self._usable = False
        self._close()
        path = self._cache.path
        if path.parent != cache_folder() or is_first_report(path.parent):
            self._messages.append(
                f"the cache of scores {path} cannot be used ({error}): scoring continues without it. Free some space "
                "and make it writable, name another file, or set RESMEM_CACHE_DIR to a folder of your own"
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
        memorability, flaw, checksum = found
        if checksum != _checksum(key, self._provenance, memorability, flaw):
            raise sqlite3.DatabaseError("a score does not have its checksum")
        return CachedScore(memorability, Flaw(flaw))

    def _add(self, connection: sqlite3.Connection, rows: Sequence[tuple[bytes, str, float, int]]) -> None:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_ADD, ((*row, _checksum(*row)) for row in rows))
            while used_bytes(connection) > self._cache.max_bytes:
                if not connection.execute(_DROP_OLDEST).rowcount:
                    break


def _checksum(*row: object) -> int:
    """A checksum of a row: SQLite does not detect a changed digit."""
    return zlib.crc32(repr(row).encode())


def _max_bytes() -> int:
    named = settings.read("RESMEM_CACHE_MAX_MB") or str(_DEFAULT_MAX_MB)
    if not (named.isascii() and named.isdigit() and int(named) > 0):
        raise OptionError(f"RESMEM_CACHE_MAX_MB must be a whole number from 1, not {named!r}")
    return int(named) << 20


def _quarantine_message(path: Path, renamed: Path) -> str:
    return (
        f"the cache of scores {path} was damaged: it was renamed to {renamed}, and a new one created. It can be deleted"
    )
