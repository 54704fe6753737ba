"""The inputs of a job: images, folders of images, a list on standard input, or a table."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.sources import is_url, join_root
from resmem_plugin.jobs.tables import Table, is_table, read_table

IMAGE_SUFFIXES = frozenset((
    ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg",
    ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
))  # fmt: skip
"""Suffixes of images in a folder; a file that is named itself is read whatever its suffix."""


def read_inputs(
    inputs: Sequence[str], *, path_column: str, root: str | None, recursive: bool, null: bool
) -> tuple[Table, list[object]]:
    """The table to score, and its images: the table named, or one of all the paths that the inputs name.

    Args:
        inputs: image files and URLs, folders, "-" for a list of paths on standard input, or one table alone.
        path_column: the table's column of paths, or the name to give to it.
        root: folder or URL that the relative paths of a table or of the list start from; None: the current folder.
        recursive: search the folders' subfolders too.
        null: the list on standard input is separated by NUL, not by line ends.

    Raises:
        OptionError: for inputs that cannot be read, or that hold no images.
    """
    tables = [path for path in inputs if is_table(path) and not is_url(path) and not os.path.isdir(path)]
    if not tables:
        paths = [path for given in inputs for path in _paths(given, root=root, recursive=recursive, null=null)]
        return Table([path_column], [paths], formula_prefixes={0: "./"}), list(paths)
    if len(inputs) > 1:
        raise OptionError(f"score {tables[0]} on its own: a table keeps its columns, and other inputs do not have them")
    if not os.path.isfile(tables[0]):
        raise OptionError(f"there is no table {tables[0]}: correct its path")
    table = read_table(tables[0])
    if table.names.count(path_column) != 1:
        raise OptionError(
            f"{tables[0]} has no single column {path_column!r}: with --path-column name one of "
            f"{', '.join(map(str, table.names))}"
        )
    return table, [_image(value, root) for value in table.columns[table.names.index(path_column)]]


def _image(value: object, root: str | None) -> object:
    if not isinstance(value, str):
        return value
    return (join_root(root, value) if root else value) if value else None


def _paths(given: str, *, root: str | None, recursive: bool, null: bool) -> Iterator[str]:
    if given == "-":
        if sys.stdin is None:
            raise OptionError("standard input is closed: name the images, or send a list of them")
        content = sys.stdin.buffer.read()
        lines = content.split(b"\0") if null else [line.removesuffix(b"\r") for line in content.split(b"\n")]
        paths = (os.fsdecode(line) for line in lines if line)
        yield from (join_root(root, path) if root else path for path in paths)
    elif not is_url(given) and os.path.isdir(given):
        found = _in_folder(given, recursive=recursive)
        if not found:
            hint = "" if recursive else " (--recursive looks into its subfolders too)"
            raise OptionError(f"no images in the folder {given}{hint}")
        yield from found
    else:
        yield given


def _in_folder(folder: str, *, recursive: bool) -> list[str]:
    found = []
    for where, subfolders, names in os.walk(folder, onerror=_refused):
        subfolders[:] = sorted(name for name in subfolders if recursive and not name.startswith("."))
        images = (name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."))
        found += [os.path.join(where, name) for name in sorted(images)]
    return found


def _refused(error: OSError) -> None:
    raise OptionError(f"the folder {error.filename} cannot be listed: {error.strerror}") from error
