"""The inputs of a job: images, folders of images, a list of paths, or a table."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence

from resmem_plugin.core.errors import OptionError, SkippedFilesWarning, warn
from resmem_plugin.core.images.sources import is_url, join_root
from resmem_plugin.jobs.formats import check_format, is_list
from resmem_plugin.jobs.listing import list_folder, matches
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
    sheet: str | None = None,
) -> tuple[Table, list[object]]:
    """The table to score, and its images: the table named, or one of all the paths that the inputs name.

    Args:
        inputs: image files and URLs, folders, "-" for a list of paths on standard input; or one table alone, which may
            be a folder of parquet files; or one list of paths alone, a .txt or .lst file.
        path_column: the table's column of paths, or the name to give to it.
        root: folder or URL that the relative paths of a table or of the list start from; None: the current folder.
        recursive: search the folders' subfolders too.
        null: the list is separated by NUL, not by line ends.
        exclude: patterns, as in `fnmatch`, of names or of paths in a folder to leave out.
        sheet: of a workbook; None: the first.

    Raises:
        OptionError: for inputs that cannot be read, or if all the folders hold no images.

    Warns:
        SkippedFilesWarning: for a folder of which files were left out, or that holds no images while others do.
    """
    root = os.path.expanduser(root) if root else None  # a shell leaves the ~ of --root=~/photos
    tables = [path for path in inputs if not is_url(path) and is_table(path)]
    if not tables:
        if sheet is not None:
            raise OptionError("--sheet chooses a sheet of an .xlsx workbook: name one")
        is_one_file = len(inputs) == 1 and not is_url(inputs[0]) and not os.path.isdir(inputs[0])
        if is_one_file:  # among others it is an image that fails, as in `resmem score photos/*`
            check_format(inputs[0])
        if is_one_file and is_list(inputs[0]):
            paths = read_path_list(inputs[0], root, null=null)
        else:
            paths = _all_paths(inputs, root=root, recursive=recursive, null=null, exclude=exclude)
        return Table([path_column], [paths], formula_prefixes={0: "./"}), list(paths)
    if len(inputs) > 1:
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


def _all_paths(
    inputs: Sequence[str], *, root: str | None, recursive: bool, null: bool, exclude: Sequence[str]
) -> list[str]:
    paths: list[str] = []
    empty: list[str] = []
    others = False
    for given in inputs:
        if given != "-" and not is_url(given) and os.path.isdir(given):
            listing = list_folder(given, recursive, exclude)
            paths += listing.found
            left_out = listing.skipped.text()
            if not listing.found:
                hint = "" if recursive else " (--recursive includes its subfolders)"
                empty.append(f"no images in the folder {given}{hint}{left_out and f'; {left_out}'}")
            elif listing.skipped.is_notable:
                warn(f"{given}: {left_out}; name them themselves to score them", SkippedFilesWarning)
        else:
            others = True
            paths += read_path_list("-", root, null=null) if given == "-" else _named(given, exclude)
    if empty and not paths and not others:
        raise OptionError("; ".join(empty))
    for message in empty:
        warn(message, SkippedFilesWarning)
    return paths


def _named(given: str, exclude: Sequence[str]) -> list[str]:
    """The image that is named, or the files that match a pattern that the shell was not given to expand.

    What has brackets alone and matches nothing is the name of a missing image.
    """
    if is_url(given) or os.path.lexists(given):
        return [given]
    if given.endswith(("/", os.sep)):
        raise OptionError(f"there is no folder {given}: correct its path")
    found = sorted(path for path in glob.glob(given, recursive=True) if os.path.isfile(path))
    if not found and not {"*", "?"} & set(given):
        return [given]
    found = [path for path in found if not matches(path, exclude)]
    if not found:
        raise OptionError(f"no file matches {given}{' that --exclude leaves' if exclude else ''}: correct the pattern")
    return found
