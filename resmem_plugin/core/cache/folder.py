"""The folder for converted weights and cached scores, and whether it can be used and trusted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from resmem_plugin.core import settings
from resmem_plugin.core.errors import CacheWarning, warn

_CURE = "Set RESMEM_CACHE_DIR to a folder of your own"

_reported: set[Path] = set()


def cache_folder() -> Path:
    """The folder for converted weights and scores: `RESMEM_CACHE_DIR`, or the user's cache folder on this system.

    It may not exist yet. Read from it only if `has_cache_folder()`: its files are trusted.
    """
    import platformdirs  # here, so that the plugin's form can say that it is missing

    named = settings.read("RESMEM_CACHE_DIR")
    if named:
        return Path(os.path.expanduser(named))
    try:
        return platformdirs.user_cache_path("resmem-plugin")
    except RuntimeError:  # this user has no home folder
        return Path("~/.cache/resmem-plugin")


def has_cache_folder() -> bool:
    """Whether the cache folder can be used and trusted, or created; if not, a warning says why, once per process."""
    folder = cache_folder()
    fault = _fault(folder)
    if fault is not None:
        report(folder, fault)
    return fault is None


def report(folder: Path, fault: object) -> None:
    """Emit a `CacheWarning` for a cache folder that cannot be used, unless there was one in this process."""
    if is_first_report(folder):
        cure = f"{_CURE}, or remove others' write permission: chmod o-w {folder}" if _is_open(folder) else _CURE
        warn(
            f"the cache folder {folder} cannot be used ({fault}): scoring continues without it, and every start will "
            f"be slower. {cure}",
            CacheWarning,
        )


def is_first_report(folder: Path) -> bool:
    """Whether no warning of this process was about that folder yet; from now on there was one."""
    is_first = folder not in _reported
    _reported.add(folder)
    return is_first


def _fault(folder: Path) -> str | None:
    """Why a folder cannot be used, or None. One that is only not writable can still be read."""
    if folder.parts and folder.parts[0].startswith("~"):
        return "this user has no home folder"
    try:
        found = folder.stat()
    except FileNotFoundError:
        return None  # it is created on first use
    except OSError as error:
        return error.strerror or str(error)
    if not stat.S_ISDIR(found.st_mode):
        return "Not a directory"
    if os.name != "posix":
        return None
    if found.st_mode & stat.S_IWOTH:
        return "everybody may write to it, and its files are trusted"
    if os.geteuid() != 0 and found.st_uid not in (0, os.geteuid()):
        return "it belongs to another user, and its files are trusted"
    return None


def _is_open(folder: Path) -> bool:
    """Whether everybody may write there."""
    try:
        return os.name == "posix" and bool(folder.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False
