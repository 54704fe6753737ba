"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new, empty file beside `path` to write to; at the end of the context it replaces `path`.

    After an error it is removed and `path` is unchanged. A file that is replaced keeps its permissions. The new file is
    synchronised to the disk first, so that it survives a crash of the machine.

    Raises:
        FileNotFoundError: if there is no such folder.
        FileExistsError: if `path` is a folder or a device.
    """
    target = Path(path).resolve()  # a link stays a link, to the new file
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {target.parent} to write {target.name} to: create it first")
    if target.exists() and not target.is_file():
        raise FileExistsError(f"{target} is not a file that can be replaced: name another")
    unfinished = target.with_name(f".{secrets.token_hex(8)}.unfinished{target.suffix}")
    unfinished.touch(exist_ok=False)
    try:
        yield unfinished
        with open(unfinished, "rb+") as file:
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, unfinished)
        os.replace(unfinished, target)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
    if os.name == "posix":  # the name, too; on other systems a folder cannot be opened
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
