"""Tables in files, read and written by their suffix without changing their cells."""

from __future__ import annotations

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
from resmem_plugin.core.errors import MissingPackageError, OptionError
from resmem_plugin.core.images.reader import is_missing

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # as OWASP lists them


@dataclass(frozen=True)
class Table:
    """Columns of equal length. A list of paths needs no pandas, which takes longer to import than an image to score.

    Attributes:
        names: of the columns; a file may repeat a name.
        columns: their values: lists, arrays, or Series, which keep the types of a parquet file.
        formula_prefixes: number of a column -> prefix, in csv and tsv, of its cells that a spreadsheet would run as
            formulas. The columns of an input table have none: their cells are written unchanged.
    """

    names: Sequence[Any]
    columns: Sequence[Sequence[object] | np.ndarray[Any, Any] | pd.Series[Any]]
    formula_prefixes: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0


def is_table(path: str) -> bool:
    """Whether a file's suffix is that of a table."""
    return Path(path).suffix.lower() in SUFFIXES


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a table. Cells of csv and tsv files are kept as text: "007" and "NA" stay unchanged.

    Raises:
        OptionError: for another suffix, or a file that does not hold such a table.
        MissingPackageError: for parquet without pyarrow.
    """
    suffix = _suffix(path)
    try:
        frame = _read_frame(path, suffix)
    except ImportError as error:
        raise _no_parquet() from error
    except (ValueError, OSError, RecursionError) as error:  # as the parsers of pandas, pyarrow and json raise them
        raise OptionError(f"{os.fspath(path)} is not a {suffix[1:]} table that can be read: {error}") from error
    return Table(list(frame.columns), [frame.iloc[:, number] for number in range(frame.shape[1])])


def _read_frame(path: str | os.PathLike[str], suffix: str) -> pd.DataFrame:
    import pandas as pd

    if suffix == ".parquet":
        table = pd.read_parquet(path, dtype_backend="pyarrow")  # numpy has no nullable integers
        return table if isinstance(table.index, pd.RangeIndex) else table.reset_index()
    if suffix == ".jsonl":
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = [json.loads(line) for line in file if line.strip()]
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError("a line is not a JSON object")
        return pd.DataFrame(rows, dtype=object)  # pandas' reader would convert integers to floats
    cells = pd.read_csv(
        path,
        sep="," if suffix == ".csv" else "\t",
        header=None,  # pandas would rename columns of the same name
        dtype=object,
        keep_default_na=False,
        skip_blank_lines=False,
        encoding="utf-8-sig",
        encoding_errors="surrogateescape",
    )
    empty = (cells.isna() | (cells == "")).all(axis=1).to_numpy()
    cells = cells.iloc[: len(cells) - int(np.argmin(empty[::-1]))]  # blank lines at the end are not rows
    return cells.iloc[1:].reset_index(drop=True).set_axis(list(cells.iloc[0]), axis=1)


def write_table(table: Table, path: str | os.PathLike[str] | None, attributes: Mapping[str, Any]) -> None:
    """Write a table to a file, whole or not at all, or as csv in UTF-8 to standard output.

    Args:
        table: the table.
        path: the file; None: standard output.
        attributes: metadata for a parquet file, in pandas' `attrs`.

    Raises:
        OptionError: for another suffix.
        MissingPackageError: for parquet without pyarrow.
    """
    if path is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(_csv(table, ","))
        sys.stdout.flush()
        return
    suffix = _suffix(path)
    with replacing(path) as unfinished:
        if suffix == ".parquet":
            import pandas as pd

            frame = pd.DataFrame(dict(enumerate(table.columns))).set_axis(list(table.names), axis=1)
            frame.attrs.update(attributes)
            frame.to_parquet(unfinished, index=False)
        elif suffix == ".jsonl":
            with open(unfinished, "w", encoding="utf-8") as file:
                for row in _rows(table):
                    cells = zip(map(str, table.names), row, strict=True)
                    file.write(f"{json.dumps(dict(cells), default=_plain)}\n")
        else:
            unfinished.write_bytes(_csv(table, "," if suffix == ".csv" else "\t"))


def escape_formula(text: str, formula_prefix: str) -> str:
    """The text, prefixed with `formula_prefix` if a spreadsheet would evaluate it as a formula."""
    return formula_prefix + text if text.startswith(_FORMULA_STARTS) else text


def _csv(table: Table, separator: str) -> bytes:
    rows = list(_rows(table))
    for number, formula_prefix in table.formula_prefixes.items():
        for row in rows:
            cell = row[number]
            row[number] = escape_formula(cell, formula_prefix) if isinstance(cell, str) else cell
    returns = any("\r" in cell for row in rows for cell in row if isinstance(cell, str))
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=separator,
        lineterminator="\n",
        quoting=csv.QUOTE_NONNUMERIC
        if returns
        else csv.QUOTE_MINIMAL,  # which does not quote a lone \r: that would break the row
    )
    writer.writerow(table.names)
    writer.writerows(rows)
    try:
        return text.getvalue().encode("utf-8", "surrogateescape")  # file names are bytes, and written unchanged
    except UnicodeEncodeError:
        return text.getvalue().encode("utf-8", "backslashreplace")


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check before any work that a table can be written there.

    Raises:
        OptionError: for another suffix, or a folder that does not exist or cannot be written to.
        MissingPackageError: for parquet without pyarrow.
    """
    if _suffix(path) == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ModuleNotFoundError as error:
            raise _no_parquet() from error
    check_file(path)


def check_file(path: str | os.PathLike[str]) -> None:
    """Check before any work that a file can be written there.

    Raises:
        OptionError: if its folder does not exist or cannot be written to, or if it is itself a folder.
    """
    if Path(path).is_dir():
        raise OptionError(f"{os.fspath(path)} is a folder: name a file in it")
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise OptionError(f"there is no folder {folder} to write {Path(path).name} to: make it first")
    if not os.access(folder, os.W_OK):
        raise OptionError(f"the folder {folder} cannot be written to: name another, or change its permissions")


def _rows(table: Table) -> Iterator[list[object]]:
    for row in zip(*table.columns, strict=True):
        yield [None if is_missing(cell) else cell for cell in row]


def _plain(cell: object) -> object:
    return cell.item() if isinstance(cell, np.generic) else str(cell)


def _suffix(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(f"{os.fspath(path)} must end in one of {', '.join(SUFFIXES)}")
    return suffix


def _no_parquet() -> MissingPackageError:
    return MissingPackageError(
        'parquet files need pyarrow: pip install "resmem-plugin[parquet]", or use .csv or .jsonl'
    )
