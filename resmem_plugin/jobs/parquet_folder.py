"""A folder of parquet files that are one table, as Spark, Dask and pyarrow write it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from resmem_plugin.core.errors import OptionError, SkippedFilesWarning, warn
from resmem_plugin.jobs.arrow import require_pyarrow, to_frame, with_index

if TYPE_CHECKING:
    import pandas as pd

_SUFFIXES = (".parquet", ".pq")
_MAGIC = b"PAR1"
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def is_parquet_folder(path: str) -> bool:
    """Whether a folder is a table: its name ends in .parquet, or it holds parquet files and no image."""
    if not os.path.isdir(path):
        return False
    if Path(path).suffix.lower() in _SUFFIXES:
        return True
    from resmem_plugin.core.images.decoding import readable_suffixes

    images = readable_suffixes()
    holds_parts = False
    for name in _names(path):
        suffix = Path(name).suffix.lower()
        if suffix in images:
            return False
        holds_parts = holds_parts or suffix in _SUFFIXES
    return holds_parts


def parts_of(path: str) -> list[str] | None:
    """The parquet files of a table, in order, which can be read one after the other.

    None for anything else, such as a folder with partitions or other files: `tables.read_table` reads or refuses it.
    """
    if os.path.isfile(path):
        return [path] if Path(path).suffix.lower() in _SUFFIXES else None
    if not is_parquet_folder(path) or os.path.isdir(os.path.join(path, "_delta_log")):
        return None
    files = list(_files(path))
    is_plain = all(_is_part(file) and not _partition(os.path.relpath(file, path)) for file in files)
    return files if files and is_plain else None


def read_parquet_folder(folder: str) -> tuple[pd.DataFrame, dict[bytes, bytes]]:
    """The table of a folder's parquet files, in the order of their sorted paths, and the metadata of the first.

    Folders named `x=1` are a column `x`: of integers if all of its values are such, else of text. Hidden files and
    those that start with an underscore are not parts.

    Raises:
        OptionError: if there is no part, one has other columns than the first or cannot be read, or for a Delta table.
        MissingPackageError: if pyarrow is not installed.

    Warns:
        SkippedFilesWarning: for files that are not parquet.
    """
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    if os.path.isdir(os.path.join(folder, "_delta_log")):
        raise OptionError(f"{folder} is a Delta table, whose files may hold deleted rows: write it as plain parquet")
    files = list(_files(folder))
    parts = [file for file in files if _is_part(file)]
    if not parts:
        raise OptionError(f"the folder {folder} holds no parquet files: name the folder or file that does")
    if len(parts) < len(files):
        others = [os.path.relpath(file, folder) for file in files if file not in set(parts)]
        warn(f"{folder}: files that are not parquet are left out: {_some(others)}", SkippedFilesWarning)
    tables = []
    for part in parts:
        try:
            tables.append(with_index(pq.read_table(part, partitioning=None)))
        except (ValueError, OSError) as error:
            raise OptionError(f"{part} is not a parquet file that can be read: {error}") from error
        tables[-1] = _with_columns_of(tables[0], tables[-1], part)
    partitions = [_partition(os.path.relpath(part, folder)) for part in parts]
    for part, partition in zip(parts, partitions, strict=True):
        if partition.keys() != partitions[0].keys():
            raise OptionError(f"{part} is in other partitions than {parts[0]}: read one of their folders")
    for name in partitions[0]:
        if name not in tables[0].column_names:
            column_type, values = _column([partition[name] for partition in partitions])
            for number, value in enumerate(values):
                column = pa.array([value] * len(tables[number]), column_type)
                tables[number] = tables[number].append_column(name, column)
    return to_frame(pa.concat_tables(tables, promote_options="default"))  # a column of nulls has the type of the others


def _names(folder: str) -> Iterator[str]:
    """The names of the files in a folder and its subfolders, unsorted: the first of a million images is enough."""
    subfolders = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # listing it reports the error
        for entry in entries:
            if not _is_hidden(entry.name):
                if entry.is_dir(follow_symlinks=False):
                    subfolders.append(entry.path)
                else:
                    yield entry.name
    for subfolder in subfolders:
        yield from _names(subfolder)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _files(folder: str) -> Iterator[str]:
    """The files in a folder and its subfolders, sorted, without those that are hidden or start with an underscore."""
    for entry in sorted(_entries(folder), key=lambda entry: entry.name):
        if _is_hidden(entry.name) or (entry.is_symlink() and entry.is_dir()):
            continue
        if entry.is_dir():
            yield from _files(entry.path)
        else:
            yield entry.path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise OptionError(f"the folder {error.filename} cannot be listed: {error.strerror}") from error


def _is_part(file: str) -> bool:
    if Path(file).suffix.lower() in _SUFFIXES:
        return True
    try:
        with open(file, "rb") as opened:  # Hive's parts have no suffix
            return opened.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _with_columns_of(first: Any, table: Any, part: str) -> Any:
    """A part, with its columns in the order of the first.

    Raises:
        OptionError: if they have other names or types.
    """
    import pyarrow as pa

    if sorted(first.column_names) != sorted(table.column_names):
        differing = sorted(set(first.column_names) ^ set(table.column_names)) or ["their number"]
        raise OptionError(f"{part} has other columns than the first part ({_some(differing)}): write them all alike")
    if first.column_names != table.column_names:
        table = table.select(first.column_names)
    for known, field in zip(first.schema, table.schema, strict=True):
        if known.type != field.type and pa.null() not in (known.type, field.type):
            raise OptionError(
                f"the column {field.name!r} of {part} is {field.type}, and {known.type} in the first part: write them "
                "all alike"
            )
    return table


def _partition(path: str) -> dict[str, str | None]:
    """Column -> value of the folders named `column=value` on a path."""
    pairs = (name.partition("=") for name in Path(path).parts[:-1] if "=" in name)
    return {unquote(name): None if value == _NO_VALUE else unquote(value) for name, _, value in pairs}


def _column(values: list[str | None]) -> tuple[Any, list[int] | list[int | None] | list[str | None]]:
    import pyarrow as pa

    given = [value for value in values if value is not None]
    try:
        if given and all(str(int(value)) == value and abs(int(value)) < 2**63 for value in given):
            return pa.int64(), [None if value is None else int(value) for value in values]
    except ValueError:
        pass
    return pa.string(), values


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
