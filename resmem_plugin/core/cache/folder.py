"""The folder for converted weights and cached scores."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from resmem_plugin.core import settings
from resmem_plugin.core.errors import OptionError


def cache_folder() -> Path:
    """The folder for converted weights and scores: `RESMEM_CACHE_DIR`, or the user's cache folder on this system.

    Raises:
        OptionError: if another user owns it, or everybody may write there: its files are trusted.
    """
    import platformdirs  # here, so that the plugin's form can say that it is missing

    named = settings.read("RESMEM_CACHE_DIR")
    folder = Path(os.path.expanduser(named)) if named else platformdirs.user_cache_path("resmem-plugin")
    if os.name == "posix" and folder.is_dir() and not _is_own(folder):
        raise OptionError(
            f"the cache folder {folder} belongs to another user, or everybody may write to it, and its files are "
            "trusted: set RESMEM_CACHE_DIR to a folder of your own, or remove others' write permission: "
            f"chmod o-w {folder}"
        )
    return folder


def _is_own(folder: Path) -> bool:
    """Whether only this user, root and their groups can write there."""
    found = folder.stat()
    return not found.st_mode & stat.S_IWOTH and (os.geteuid() == 0 or found.st_uid in (0, os.geteuid()))
