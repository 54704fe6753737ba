"""A sheet of an Excel workbook as a table: its rows, and its cells as they show."""

from __future__ import annotations

import datetime
import os
import re
import warnings
from typing import Any, NamedTuple

from resmem_plugin.core.errors import MissingPackageError, OptionError, SkippedFilesWarning, warn

_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PADDED = re.compile("0{2,}")


class Sheet(NamedTuple):
    """The names of a sheet's columns, and their cells."""

    names: list[object]
    columns: list[list[object]]


def read_workbook(path: str | os.PathLike[str], sheet: str | None = None) -> Sheet:
    """Read a sheet; its first row has the names of the columns, "" for one without.

    Text and numbers keep their types, dates are ISO 8601, numbers that are shown with zeros in front are text with
    them, formulas are the values that Excel stored. Empty rows are rows, except at the end; hidden rows are read too.

    Args:
        path: an .xlsx or .xlsm file.
        sheet: its name; None is the first that is not hidden.

    Raises:
        OptionError: if there is no such sheet, a formula has no stored value, or the file is
            not a workbook, or an encrypted one.
        MissingPackageError: if openpyxl is not installed.

    Warns:
        SkippedFilesWarning: if no sheet is named, for the others.
    """
    name = os.fspath(path)
    try:
        import openpyxl  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            'Excel workbooks need openpyxl: pip install "resmem-plugin[excel]", or save the sheet as .csv'
        ) from error
    with open(path, "rb") as file:
        if file.read(len(_OLE_MAGIC)) == _OLE_MAGIC:
            raise OptionError(
                f"{name} is encrypted or of Excel's old format: save it as .xlsx without a password, or as .csv"
            )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of openpyxl, about styles and extensions that it leaves out
            title, others, rows = _read_rows(name, sheet)
    except (OptionError, OSError):
        raise
    except Exception as error:  # zipfile's, XML's, and whatever a damaged part leads openpyxl to
        raise OptionError(f"{name} is not a workbook that can be read ({error}): save it again, or as .csv") from error
    if others:
        warn(
            f"{name}: the sheet {title!r} is read, and not {', '.join(map(repr, others))}: choose one with --sheet",
            SkippedFilesWarning,
        )
    return _to_table(rows, f"the sheet {title!r} of {name}")


def _read_rows(path: str, sheet: str | None) -> tuple[str, list[str], list[list[object]]]:
    """The title of the sheet that is read, those of the others if none is named, and its rows."""
    import openpyxl

    workbook = openpyxl.load_workbook(path, read_only=True)
    try:
        shown = [found.title for found in workbook.worksheets if found.sheet_state == "visible"]
        titles = [found.title for found in workbook.worksheets]
        if sheet is not None and sheet not in titles:
            raise OptionError(f"{path} has no sheet {sheet!r}: choose one of {', '.join(map(repr, titles))}")
        if sheet is None and not shown:
            raise OptionError(f"{path} has no sheet of cells that is not hidden: name one with --sheet")
        title = shown[0] if sheet is None else sheet
        rows, formulas = _cells(workbook[title])
    finally:
        workbook.close()
    if formulas:
        workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            rows = _stored(workbook[title], formulas, path)
        finally:
            workbook.close()
    return title, [] if sheet is not None else shown[1:], rows


def _cells(sheet: Any) -> tuple[list[list[object]], set[tuple[int, int]]]:
    """The rows without those that are empty at the end, and the places of formulas."""
    sheet.reset_dimensions()  # which some programs write wrongly: rows would be lost
    rows: list[list[object]] = []
    formulas: set[tuple[int, int]] = set()
    for number, row in enumerate(sheet.iter_rows()):
        rows.append([_value(cell) for cell in row])
        formulas.update((number, column) for column, cell in enumerate(row) if cell.data_type == "f")
    while rows and all(value is None for value in rows[-1]):
        rows.pop()
    return rows, formulas


def _stored(sheet: Any, formulas: set[tuple[int, int]], path: str) -> list[list[object]]:
    """The rows, with the values that were stored for their formulas."""
    sheet.reset_dimensions()
    rows = []
    for number, row in enumerate(sheet.iter_rows()):
        rows.append([_value(cell) for cell in row])
        for column, cell in enumerate(row):
            if (number, column) in formulas and cell.value is None and cell.data_type != "str":  # a stored empty text
                raise OptionError(
                    f"{path} has a formula without a value in {cell.coordinate} of the sheet {sheet.title!r}: open it "
                    "in Excel or LibreOffice and save it, or save the sheet as .csv"
                )
    while rows and all(value is None for value in rows[-1]):
        rows.pop()
    return rows


def _value(cell: Any) -> object:
    value = cell.value
    if value is None or value == "":
        return None
    if isinstance(value, datetime.datetime):
        is_day = value.time() == datetime.time() and "h" not in cell.number_format.lower()
        return value.date().isoformat() if is_day else value.isoformat()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return str(value)
    if type(value) is int and value >= 0 and _PADDED.fullmatch(cell.number_format):
        return f"{value:0{len(cell.number_format)}}"
    return value


def _to_table(rows: list[list[object]], name: str) -> Sheet:
    if not rows or all(value is None for value in rows[0]):
        raise OptionError(f"{name} does not begin with the names of its columns: add them as its first row")
    width = 1 + max(column for row in rows for column, value in enumerate(row) if value is not None)
    rows = [row[:width] + [None] * (width - len(row)) for row in rows]
    used = [column for column in range(width) if any(row[column] is not None for row in rows)]
    names = ["" if rows[0][column] is None else rows[0][column] for column in used]  # pandas' index has none
    return Sheet(names, [[row[column] for row in rows[1:]] for column in used])
