"""The inputs of a job: images, folders of images, a list on standard input, or a table."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from resmem_plugin.core.errors import OptionError, SkippedFilesWarning, warn
from resmem_plugin.core.images.members import archive_protocol
from resmem_plugin.core.images.sources import is_url, join_root
from resmem_plugin.core.sanitize import without_secrets
from resmem_plugin.jobs.locations import Locations
from resmem_plugin.jobs.tables import Table, check_format, is_table, read_table
from resmem_plugin.jobs.text import detect_encoding


def read_inputs(
    inputs: Sequence[str],
    *,
    path_column: str,
    root: str | None,
    recursive: bool,
    null: bool,
    exclude: Sequence[str] = (),
    base64: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> tuple[Table, list[object]]:
    """The table to score, and its images: the table named, or one of all the paths that the inputs name.

    Args:
        inputs: images, folders, archives, prefixes and patterns, "-" for a list of paths on standard input, or one
            table alone.
        path_column: the table's column of paths, or the name to give to it.
        root: folder or URL that the relative paths of a table or of the list start from; None: the current folder.
        recursive: search the folders' subfolders too.
        null: the list on standard input is separated by NUL, not by line ends.
        exclude: patterns, as in `fnmatch`, of names or of paths in a folder to leave out.
        base64: the table or the list holds images in base64, not paths.
        storage_options: for URLs, as `Scorer` takes them.

    Raises:
        OptionError: for inputs that cannot be read or listed, or if all the folders hold no images.

    Warns:
        SkippedFilesWarning: for a folder of which files were left out, or that holds no images while others do.
    """
    root = os.path.expanduser(root) if root else None  # a shell leaves the ~ of --root=~/photos
    tables = [path for path in inputs if is_table(path) and not is_url(path) and not os.path.isdir(path)]
    if base64 and (root or not (tables or list(inputs) == ["-"])):
        raise OptionError("--base64 is for the column of a table, or a list on standard input, without --root")
    if not tables:
        if (
            len(inputs) == 1 and archive_protocol(inputs[0]) is None
        ):  # among others it is an image that fails, as in `resmem score photos/*`
            check_format(inputs[0])
        paths = _all_paths(
            inputs, root=root, recursive=recursive, null=null, exclude=exclude, storage_options=storage_options
        )
        return Table([path_column], [paths], formula_prefixes={0: "./"}), list(paths)
    if len(inputs) > 1:
        raise OptionError(f"{tables[0]} cannot be combined with other inputs, which lack its columns: score it alone")
    if not os.path.isfile(tables[0]):
        raise OptionError(f"there is no table {tables[0]}: correct its path")
    table = read_table(tables[0])
    if table.names.count(path_column) != 1:
        raise OptionError(
            f"{tables[0]} has no unique column {path_column!r}: choose one with --path-column from "
            f"{', '.join(map(str, table.names))}"
        )
    return table, [_image(value, root) for value in table.columns[table.names.index(path_column)]]


def _image(value: object, root: str | None) -> object:
    if value == "":
        return None
    return join_root(root, value) if root else value


def _all_paths(
    inputs: Sequence[str],
    *,
    root: str | None,
    recursive: bool,
    null: bool,
    exclude: Sequence[str],
    storage_options: Mapping[str, Any] | None,
) -> list[str]:
    paths: list[str] = []
    empty: list[str] = []
    others = False
    with contextlib.closing(Locations(storage_options, recursive=recursive, exclude=exclude)) as locations:
        for given in locations.expand(inputs):
            listed = None if given == "-" else locations.list_images(given)
            if listed is None:
                others = True
                paths += _listed(root, null=null) if given == "-" else [given]
                continue
            paths += listed.found
            shown = without_secrets(given)
            left_out = listed.skipped.text()
            if not listed.found:
                hint = " (--recursive includes its subfolders)" if listed.is_flat else ""
                empty.append(f"no images in the {listed.kind} {shown}{hint}{left_out and f'; {left_out}'}")
            elif listed.skipped.is_notable:
                warn(f"{shown}: {left_out}; name them themselves to score them", SkippedFilesWarning)
    if empty and not paths and not others:
        raise OptionError("; ".join(empty))
    for message in empty:
        warn(message, SkippedFilesWarning)
    return paths


def _listed(root: str | None, *, null: bool) -> Iterator[str]:
    """The paths of the list on standard input."""
    if sys.stdin is None:
        raise OptionError("standard input is closed: name the images, or pipe a list of paths")
    content = _as_utf8(sys.stdin.buffer.read(), null=null)
    lines = content.split(b"\0") if null else [line.removesuffix(b"\r") for line in content.split(b"\n")]
    paths = (os.fsdecode(line) for line in lines if line)
    yield from (str(join_root(root, path)) if root else path for path in paths)


def _as_utf8(content: bytes, *, null: bool) -> bytes:
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
            f"the list on standard input starts as {encoding.upper()}, but is none: write it in UTF-8, in PowerShell "
            "with `| Out-File -Encoding utf8 list.txt`"
        ) from error
