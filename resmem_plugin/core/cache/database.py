"""The SQLite file of a cache: created, checked to be ours, and renamed if it is damaged."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from resmem_plugin.core.errors import OptionError

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where an open file cannot be renamed
    fcntl = None  # type: ignore[assignment]

_SUFFIXES = (".sqlite", ".sqlite3", ".db")  # so that an image given by mistake is not treated as a damaged cache
_APPLICATION_ID = 0x52654D31
_LOCK_TIMEOUT_S = 20.0
_MAX_JOURNAL_BYTES = 4 << 20
_TABLE = """CREATE TABLE scores (
    image BLOB NOT NULL,
    provenance TEXT NOT NULL,
    memorability REAL NOT NULL,
    clipped INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (image, provenance)
)"""


@dataclass(frozen=True)
class OpenFile:
    """An open cache file.

    Attributes:
        connection: in autocommit mode, for any thread, one at a time.
        file: identifies the file: another may replace it.
        quarantined: the new name of a damaged file that was there before, or None.
    """

    connection: sqlite3.Connection
    file: os.stat_result
    quarantined: Path | None


def checked_path(named: str | os.PathLike[str]) -> Path:
    """The path of a cache file that a user has named; it may not exist yet.

    Raises:
        OptionError: for a name with another suffix or a null character, or in a folder that does not exist.
    """
    path = Path(os.path.expanduser(os.fspath(named)))
    if "\0" in str(path):
        raise OptionError(f"the cache {str(path)!r} has a null character in its name: name another file")
    if path.suffix.lower() not in _SUFFIXES or os.path.isdir(path):
        raise OptionError(
            f"the cache {path} must be a file whose name ends in {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}"
        )
    if not os.path.isdir(path.parent):
        raise OptionError(f"there is no folder {path.parent} for the cache {path.name}: create it first")
    return path


def open_file(path: Path) -> OpenFile:
    """Open a cache file, or create it if there is none, or a damaged one; other processes may do the same.

    Raises:
        OptionError: if it is another application's database, which is not changed.
        sqlite3.Error, OSError: if it cannot be used.
    """
    with _exclusive_lock(path):
        _check_application_id(path)
        quarantined = None
        try:
            connection = _connect(path)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            quarantined = _move_damaged(path)
            connection = _connect(path)
        return OpenFile(connection, os.stat(path), quarantined)


def used_bytes(connection: sqlite3.Connection) -> int:
    """The size of what an open cache file holds, without its free pages."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is damaged, rather than its folder, the disk or a lock at fault."""
    return type(error) is sqlite3.DatabaseError


def check_application_id(path: Path) -> None:
    """Check that a file, if there is one, is not another application's database.

    Raises:
        OptionError: if it is.
        OSError: if its folder cannot be read.
    """
    with _exclusive_lock(path):
        _check_application_id(path)


def quarantine(path: Path, damaged: os.stat_result) -> Path | None:
    """Rename a damaged file; returns its new name, or None if another process has renamed it already.

    Raises:
        OSError: if it cannot be renamed.
    """
    with _exclusive_lock(path):
        try:
            return _move_damaged(path) if os.path.samestat(os.stat(path), damaged) else None
        except FileNotFoundError:
            return None


@contextlib.contextmanager
def _exclusive_lock(path: Path) -> Iterator[None]:
    """Lock out other processes that create, open or rename a cache in this folder, which SQLite's locks do not."""
    if fcntl is None:
        yield
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _check_application_id(path: Path) -> None:
    if not path.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as connection:
            ((application,),) = connection.execute("PRAGMA application_id")
            ((pages,),) = connection.execute("PRAGMA page_count")
    except sqlite3.Error:  # it cannot be read: opening it will raise
        return
    if application != _APPLICATION_ID and pages:
        raise OptionError(f"{path} is another application's database, not a cache of scores: name another file")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA auto_vacuum = FULL")  # has an effect in a new file only
        table = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'scores'").fetchone()
        if table is None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                connection.execute(_TABLE)
        elif table != (_TABLE,):
            raise sqlite3.DatabaseError("its table is not this version's")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {_MAX_JOURNAL_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _move_damaged(path: Path) -> Path:
    quarantined = next(name for number in count(1) if not (name := Path(f"{path}.damaged-{number}")).exists())
    with contextlib.suppress(FileNotFoundError):
        os.rename(f"{path}-wal", f"{quarantined}-wal")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{path}-shm")
    os.rename(path, quarantined)
    return quarantined
