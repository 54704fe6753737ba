"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a new, empty file beside `path` to write to; at the end of the context it takes the place of `path`.

    After an error it is removed and `path` is as it was.
    """
    target = Path(path)
    unfinished = target.with_name(f".{secrets.token_hex(8)}.unfinished{target.suffix}")
    unfinished.touch(exist_ok=False)
    try:
        yield unfinished
        os.replace(unfinished, target)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
