"""The inputs of a job: images, folders, archives, prefixes, a list of paths, or a table."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from resmem_plugin.core.errors import OptionError, SkippedFilesWarning, warn
from resmem_plugin.core.images.members import archive_protocol
from resmem_plugin.core.images.sources import is_url, join_root
from resmem_plugin.core.sanitize import without_secrets
from resmem_plugin.jobs.formats import check_format, format_of, is_list, may_describe_an_image
from resmem_plugin.jobs.listing import Listing
from resmem_plugin.jobs.locations import Locations
from resmem_plugin.jobs.path_list import read_path_list
from resmem_plugin.jobs.tables import Table, is_table, read_table


def read_inputs(
    inputs: Sequence[str],
    *,
    path_column: str,
    root: str | None,
    recursive: bool,
    null: bool,
    exclude: Sequence[str] = (),
    base64: bool = False,
    sheet: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> tuple[Table, list[object]]:
    """The table to score, and its images: the table named, or one of all the paths that the inputs name.

    Args:
        inputs: images, folders, archives, prefixes and patterns, "-" for a list of paths on standard input; or one
            table alone, which may be a folder of parquet files; or one list of paths alone, a .txt or .lst file.
        path_column: the table's column of paths, or the name to give to it.
        root: folder or URL that the relative paths of a table or of the list start from; None: the current folder.
        recursive: search the folders' subfolders too.
        null: the list is separated by NUL, not by line ends.
        exclude: patterns, as in `fnmatch`, of names or of paths in a folder to leave out.
        base64: the table or the list holds images in base64, not paths.
        sheet: of a workbook; None: the first.
        storage_options: for URLs, as `Scorer` takes them.

    Raises:
        OptionError: for inputs that cannot be read or listed, or if all the folders hold no images.

    Warns:
        SkippedFilesWarning: for a folder of which files were left out, or that holds no images while others do.
    """
    root = os.path.expanduser(root) if root else None  # a shell leaves the ~ of --root=~/photos
    alone = len(inputs) == 1
    # Beside images, as in `resmem score photos/*`, what may describe them is an image that fails.
    tables = [
        path for path in inputs if not is_url(path) and is_table(path) and (alone or not may_describe_an_image(path))
    ]
    is_one_file = alone and not tables and not is_url(inputs[0]) and not os.path.isdir(inputs[0])
    has_list = list(inputs) == ["-"] or (is_one_file and is_list(inputs[0]))
    if base64 and (root or not (tables or has_list)):
        raise OptionError("--base64 is for the column of a table, or a list of its own, without --root")
    if not tables:
        if sheet is not None:
            raise OptionError("--sheet chooses a sheet of an .xlsx workbook: name one")
        if is_one_file and archive_protocol(inputs[0]) is None:
            check_format(inputs[0])
        if has_list:
            paths = read_path_list(inputs[0], root, null=null)
        else:
            with contextlib.closing(Locations(storage_options, recursive=recursive, exclude=exclude)) as locations:
                paths = _all_paths(inputs, locations, root=root, null=null)
        return Table([path_column], [paths], formula_prefixes={0: "./"}), list(paths)
    if not alone:
        raise OptionError(f"{tables[0]} cannot be combined with other inputs, which lack its columns: score it alone")
    if not os.path.exists(tables[0]):
        raise OptionError(f"there is no table {tables[0]}: correct its path")
    table = read_table(tables[0], sheet=sheet)
    if not table.names:
        raise OptionError(f"{tables[0]} has neither columns nor rows: write the table again")
    if table.names.count(path_column) != 1:
        raise OptionError(
            f"{tables[0]} has no unique column {path_column!r}: choose one with --path-column from "
            f"{', '.join(map(str, table.names))}"
        )
    return table, [_image(value, root) for value in table.columns[table.names.index(path_column)]]


def _image(value: object, root: str | None) -> object:
    if isinstance(value, str) and not value:  # pandas' missing value is equal to nothing, nor unequal
        return None
    return join_root(root, value) if root else value


def _all_paths(inputs: Sequence[str], locations: Locations, *, root: str | None, null: bool) -> list[str]:
    paths: list[str] = []
    empty: list[str] = []
    others = False
    for given in locations.expand(inputs):
        listed = None if given == "-" else locations.list_images(given)
        if listed is None:
            others = True
            paths += read_path_list("-", root, null=null) if given == "-" else [given]
            continue
        paths += listed.found
        shown = without_secrets(given)
        left_out = listed.skipped.text()
        if not listed.found:
            hint = " (--recursive includes its subfolders)" if listed.is_flat else ""
            reason = f"no images in the {listed.kind} {shown}{hint}{left_out and f'; {left_out}'}"
            empty.append(reason + _cure(listed))
        elif listed.skipped.is_notable:
            warn(f"{shown}: {left_out}; name them themselves to score them", SkippedFilesWarning)
    if empty and not paths and not others:
        raise OptionError("; ".join(empty))
    for message in empty:
        warn(message, SkippedFilesWarning)
    return paths


def _cure(listed: Listing) -> str:
    """What to do about tables and archives, which are not looked into where they are not named themselves."""
    if not any(format_of(f"a.csv{suffix}") or archive_protocol(f"a{suffix}") for suffix in listed.skipped.suffixes):
        return ""
    named = "name the tables and archives in it to score them"
    return f": unpack it, and {named}" if listed.kind == "archive" else f": {named}"
