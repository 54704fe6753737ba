"""Lists of paths, one per line or separated by NUL, on standard input or in a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.sources import join_root
from resmem_plugin.jobs.text import detect_encoding


def read_path_list(source: str, root: str | None, *, null: bool) -> list[str]:
    """The paths of a list.

    Args:
        source: a file, or "-" for standard input.
        root: folder or URL that relative paths start from; None: the current folder.
        null: the paths are separated by NUL, not by line ends.

    Raises:
        OptionError: if there is no list, it cannot be decoded, or holds NUL without `null`.
    """
    name = "the list on standard input" if source == "-" else source
    content = _as_utf8(_content(source), name, null=null)
    if not null and b"\0" in content:  # no path has one
        raise OptionError(f"{name} is separated by NUL, not by line ends: add -0")
    lines = content.split(b"\0") if null else [line.removesuffix(b"\r") for line in content.split(b"\n")]
    paths = (os.fsdecode(line) for line in lines if line)
    return [str(join_root(root, path)) if root else path for path in paths]


def _content(source: str) -> bytes:
    if source != "-":
        try:
            return Path(source).read_bytes()
        except FileNotFoundError as error:
            raise OptionError(f"there is no list {source}: correct its path") from error
        except OSError as error:
            raise OptionError(f"{source} cannot be read: {error.strerror or error}") from error
    if sys.stdin is None:
        raise OptionError("standard input is closed: name the images, or pipe a list of paths")
    return sys.stdin.buffer.read()


def _as_utf8(content: bytes, name: str, *, null: bool) -> bytes:
    """A list without its byte-order mark, and UTF-16 and UTF-32 as UTF-8; other bytes are names of files as they are.

    Without a mark, zeros are separators if the list is separated by NUL, not a sign of UTF-16.
    """
    encoding, mark = detect_encoding(content)
    if encoding == "utf-8" or (null and not mark):
        return content[mark:]
    try:
        return content[mark:].decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise OptionError(
            f"{name} starts as {encoding.upper()}, but is none: write it in UTF-8, in PowerShell "
            "with `| Out-File -Encoding utf8 list.txt`"
        ) from error
