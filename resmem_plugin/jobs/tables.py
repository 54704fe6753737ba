"""Tables in files, read and written by their suffix without changing their cells."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.reader import is_missing
from resmem_plugin.jobs.arrow import read_frame, readable_metadata, require_pyarrow
from resmem_plugin.jobs.compression import read_content
from resmem_plugin.jobs.delimited import read_delimited
from resmem_plugin.jobs.formats import format_of, require_format
from resmem_plugin.jobs.parquet_folder import is_parquet_folder, read_parquet_folder
from resmem_plugin.jobs.records import read_array, read_lines
from resmem_plugin.jobs.workbook import read_workbook

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
"""Of the tables that are written; `jobs.formats` has those that are read."""

_ALIASES = {".ndjson": ".jsonl", ".pq": ".parquet"}
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # as OWASP lists them


@dataclass(frozen=True)
class Table:
    """Columns of equal length. A list of paths needs no pandas, which takes longer to import than an image to score.

    Attributes:
        names: of the columns; a file may repeat a name.
        columns: their values: lists, arrays, or Series, which keep the types of a parquet file.
        formula_prefixes: number of a column -> prefix, in csv and tsv, of its cells that a spreadsheet would run as
            formulas. The columns of an input table have none: their cells are written unchanged.
        byte_order_mark: whether csv and tsv files are written with one, as the input was.
        metadata: of the schema of a parquet or Arrow file, such as Hugging Face's features; parquet outputs have it.
    """

    names: Sequence[Any]
    columns: Sequence[Sequence[object] | np.ndarray[Any, Any] | pd.Series[Any]]
    formula_prefixes: Mapping[int, str] = field(default_factory=dict)
    byte_order_mark: bool = False
    metadata: Mapping[bytes, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0


def is_table(path: str) -> bool:
    """Whether a path is one of a table: by its suffix, or a folder of parquet files."""
    return is_parquet_folder(path) if os.path.isdir(path) else format_of(path) is not None


def read_table(path: str | os.PathLike[str], *, own: bool = False, sheet: str | None = None) -> Table:
    """Read a table. Cells of csv and tsv files are kept as text: "007" and "NA" stay unchanged.

    Args:
        path: the file, or a folder of parquet files.
        own: `write_table` wrote it, so that a csv or tsv file is read back exactly, and never without its quotes.
        sheet: of a workbook; None: the first.

    Raises:
        OptionError: if the suffix is not one of a table, or the file cannot be parsed.
        MissingPackageError: if a package that the format needs is not installed.

    Warns:
        SkippedFilesWarning: for the other sheets of a workbook, and files in a folder that are not parquet.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        suffix, compression = ".parquet", ""
    else:
        suffix, compression = require_format(name)
    if sheet is not None and suffix != ".xlsx":
        raise OptionError(f"{name} has no sheets, as --sheet needs: leave it out")
    try:
        if os.path.isdir(name):
            return _of_frame(*read_parquet_folder(name))
        if suffix in _SEPARATORS:
            cells = read_delimited(read_content(name, compression), name, _SEPARATORS[suffix], own=own)
            return Table(cells.names, cells.columns, byte_order_mark=cells.byte_order_mark)
        if suffix == ".xlsx":
            return Table(*read_workbook(name, sheet))
        if suffix in (".json", ".jsonl"):
            content = read_content(name, compression)
            return _of_records(read_lines(content) if suffix == ".jsonl" else read_array(content, name))
        return _of_frame(*read_frame(name, suffix))
    except OptionError:
        raise
    except MemoryError as error:
        raise OptionError(f"{name} is larger than memory can hold: split it") from error
    except (ValueError, OSError, RecursionError) as error:  # from pandas, pyarrow and json
        kind = f"{'an' if suffix in ('.arrow', '.orc') else 'a'} {suffix[1:]}"
        raise OptionError(f"{name} is not {kind} table that can be read: {error}") from error


def _of_records(rows: list[dict[str, Any]]) -> Table:
    import pandas as pd

    return _of_frame(pd.DataFrame(rows, dtype=object))  # pandas' reader would convert integers to floats


def _of_frame(frame: pd.DataFrame, metadata: Mapping[bytes, bytes] | None = None) -> Table:
    columns = [frame.iloc[:, number] for number in range(frame.shape[1])]
    return Table(list(frame.columns), columns, metadata=metadata or {})


def write_table(table: Table, path: str | os.PathLike[str] | None, attributes: Mapping[str, Any]) -> None:
    """Write a table to a file, atomically, or as UTF-8 csv to standard output.

    Args:
        table: the table.
        path: the file; None is standard output.
        attributes: metadata for a parquet file, in pandas' `attrs`.

    Raises:
        OptionError: if the suffix is not one of a table.
        MissingPackageError: if parquet is needed and pyarrow is not installed.

    Examples:
        >>> from resmem_plugin.jobs.tables import Table, read_table, write_table
        >>> write_table(Table(["path", "id"], [["coffee.png"], ["007"]]), "table.csv", {})
        >>> table = read_table("table.csv")
        >>> table.names, list(table.columns[1])
        (['path', 'id'], ['007'])
    """
    if path is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(_csv(table, ","))
        sys.stdout.flush()
        return
    suffix = _suffix(path)
    with replacing(path) as unfinished:
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            pq.write_table(to_arrow(table, attributes), unfinished)
        elif suffix == ".jsonl":
            with open(unfinished, "w", encoding="utf-8") as file:
                for row in _rows(table):
                    cells = zip(map(str, table.names), row, strict=True)
                    file.write(f"{json.dumps(dict(cells), default=_plain)}\n")
        else:
            mark = codecs.BOM_UTF8 if table.byte_order_mark else b""
            unfinished.write_bytes(mark + _csv(table, _SEPARATORS[suffix]))


def to_arrow(table: Table, attributes: Mapping[str, Any] | None = None) -> pa.Table:
    """The table as Arrow's, whose metadata hold the attributes as pandas' `attrs`."""
    import pandas as pd
    import pyarrow as pa

    frame = pd.DataFrame(dict(enumerate(table.columns))).set_axis(list(table.names), axis=1)
    frame.attrs.update(attributes or {})
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    return arrow.replace_schema_metadata({**table.metadata, **readable_metadata(arrow.schema.metadata)})


def to_frame(table: Table) -> pd.DataFrame:
    """The table as a DataFrame, empty cells as missing, with the attributes that `write_table` stored in parquet.

    Examples:
        >>> from resmem_plugin.jobs.tables import Table, to_frame
        >>> to_frame(Table(["path", "kind"], [["a.png", "b.png"], ["cat", ""]]))["kind"].isna().tolist()
        [False, True]
    """
    import pandas as pd

    frame = pd.DataFrame(dict(enumerate(table.columns)))
    for number, column in frame.items():
        if pd.api.types.is_string_dtype(column.dtype) or column.dtype == object:  # of others, == may be an array
            frame[number] = column.mask(np.array([isinstance(cell, str) and not cell for cell in column], bool))
    frame.columns = pd.Index(table.names)
    try:
        attributes = json.loads(table.metadata.get(b"PANDAS_ATTRS", b"{}"))
    except ValueError:  # another tool's
        attributes = {}
    frame.attrs = attributes if isinstance(attributes, dict) else {}
    return frame


def escape_formula(text: str, formula_prefix: str) -> str:
    """The text, prefixed with `formula_prefix` if a spreadsheet would evaluate it as a formula."""
    return formula_prefix + text if text.startswith(_FORMULA_STARTS) else text


def _csv(table: Table, separator: str) -> bytes:
    rows = list(_rows(table))
    for number, formula_prefix in table.formula_prefixes.items():
        for row in rows:
            cell = row[number]
            row[number] = escape_formula(cell, formula_prefix) if isinstance(cell, str) else cell
    has_returns = any("\r" in cell for row in [table.names, *rows] for cell in row if isinstance(cell, str))
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=separator,
        lineterminator="\n",
        quoting=csv.QUOTE_NONNUMERIC
        if has_returns
        else csv.QUOTE_MINIMAL,  # which does not quote a lone \r: that would break the row
    )
    writer.writerow(table.names)
    writer.writerows(rows)
    try:
        return text.getvalue().encode("utf-8", "surrogateescape")  # file names are bytes, and written unchanged
    except UnicodeEncodeError:
        return text.getvalue().encode("utf-8", "backslashreplace")


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check before any image is scored that a table can be written there.

    Raises:
        OptionError: if the suffix is not one of a table, or its folder does not exist or is not writable.
        MissingPackageError: if parquet is needed and pyarrow is not installed.
    """
    if _suffix(path) == ".parquet":
        require_pyarrow()
    check_file(path)


def check_file(path: str | os.PathLike[str]) -> None:
    """Check before any image is scored that a file can be written there.

    Raises:
        OptionError: if its folder does not exist or is not writable, or if the path is a folder.
    """
    if Path(path).is_dir():
        raise OptionError(f"{os.fspath(path)} is a folder: name a file in it")
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise OptionError(f"there is no folder {folder} to write {Path(path).name} to: create it first")
    if not os.access(folder, os.W_OK):
        raise OptionError(f"the folder {folder} cannot be written to: name another, or change its permissions")


def _rows(table: Table) -> Iterator[list[object]]:
    for row in zip(*table.columns, strict=True):
        yield [None if is_missing(cell) else without_bytes(cell) for cell in row]


def without_bytes(cell: object) -> object:
    """A cell as text formats hold it: the bytes in it, an image's say, are named by their number."""
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return f"<{len(cell)} bytes>"
    if isinstance(cell, dict):
        return {key: without_bytes(value) for key, value in cell.items()}
    if isinstance(cell, np.ndarray) and cell.dtype == object:
        cell = cell.tolist()
    return [without_bytes(value) for value in cell] if isinstance(cell, (list, tuple)) else cell


def _plain(cell: object) -> object:
    return cell.item() if isinstance(cell, np.generic) else str(cell)


def _suffix(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix.lower()
    suffix = _ALIASES.get(suffix, suffix)
    if suffix not in SUFFIXES:
        raise OptionError(f"{os.fspath(path)} must end in one of {', '.join(SUFFIXES)}")
    return suffix
