"""Sheets of Excel workbooks: their rows, and their cells as they show."""

from __future__ import annotations

import datetime
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from resmem_plugin.core.errors import MissingPackageError, OptionError, SkippedFilesWarning
from resmem_plugin.jobs.workbook import read_workbook


def write(path: Path, *rows: list[Any]) -> Any:
    workbook = openpyxl.Workbook()
    for row in rows:
        workbook.active.append(row)
    workbook.save(path)
    return workbook


def test_cells_are_kept_as_they_show(tmp_path: Path) -> None:
    cells = {
        "007": "007",
        5: 5,
        2.5: 2.5,
        "NA": "NA",
        datetime.date(2024, 1, 2): "2024-01-02",
        datetime.datetime(2024, 1, 2, 3, 4, 5): "2024-01-02T03:04:05",
        datetime.datetime(2024, 1, 2): "2024-01-02T00:00:00",
        datetime.time(3, 4): "03:04:00",
    }
    workbook = write(tmp_path / "a.xlsx", ["path"], *([cell] for cell in cells), [7], [True], [None], ["end"])
    workbook.active["A10"].number_format = "000"
    workbook.save(tmp_path / "a.xlsx")
    names, columns = read_workbook(tmp_path / "a.xlsx")
    assert names == ["path"]
    assert columns == [[*cells.values(), "007", True, None, "end"]]
    assert columns[0][-3] is True


def test_empty_rows_are_rows_except_at_the_end_and_columns_without_cells_are_none(tmp_path: Path) -> None:
    workbook = write(tmp_path / "a.xlsx", ["path", None, "n", "path"], ["a.jpg"], [], [None, None, 3], [None], [None])
    workbook.active["J400"].number_format = "000"
    workbook.active["A300"] = ""
    workbook.save(tmp_path / "a.xlsx")
    names, columns = read_workbook(tmp_path / "a.xlsx")
    assert names == ["path", "n", "path"]
    assert columns == [["a.jpg", None, None], [None, None, 3], [None, None, None]]


def test_a_workbook_that_pandas_wrote(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a.jpg", None], "n": [1, 2**40]}).to_excel(tmp_path / "a.xlsx", index=False)
    assert read_workbook(tmp_path / "a.xlsx") == (["path", "n"], [["a.jpg", None], [1, 2**40]])


def test_a_wrong_dimension_loses_no_rows(tmp_path: Path) -> None:
    write(tmp_path / "a.xlsx", ["path", "n"], ["a", 1], ["b", 2])
    edit(tmp_path / "a.xlsx", r'<dimension ref="[^"]*"', '<dimension ref="A1"')
    assert read_workbook(tmp_path / "a.xlsx").columns == [["a", "b"], [1, 2]]


def edit(path: Path, pattern: str, replacement: str) -> None:
    """Edit the XML of the first sheet, as other programs write it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    text, count = re.subn(pattern, replacement, parts[sheet].decode())
    assert count
    parts[sheet] = text.encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def test_formulas_are_the_stored_values_and_one_without_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write(path, ["path", "n"], ["=A9", "=1+1"], ["b", "x"])
    with pytest.raises(OptionError, match=r"a formula without a value in A2 of the sheet 'Sheet': open it in Excel"):
        read_workbook(path)
    edit(path, r'<c r="B2"[^>]*><f>1\+1</f><v ?/>(</v>)?</c>', '<c r="B2"><f>1+1</f><v>2</v></c>')
    edit(path, r'<c r="A2"[^>]*><f>A9</f><v ?/>(</v>)?</c>', '<c r="A2" t="str"><f>A9</f><v></v></c>')
    assert read_workbook(path) == (["path", "n"], [[None, "b"], [2, "x"]])


def test_the_first_sheet_that_shows_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    workbook = write(tmp_path / "a.xlsx", ["path"], ["hidden.jpg"])
    for title in ("one", "two"):
        workbook.create_sheet(title).append(["path"])
        workbook[title].append([f"{title}.jpg"])
    workbook["Sheet"].sheet_state = "hidden"
    workbook.active = 1
    workbook.save(tmp_path / "a.xlsx")
    with pytest.warns(SkippedFilesWarning, match="the sheet 'one' is read, and not 'two': choose one with --sheet"):
        assert read_workbook(tmp_path / "a.xlsx").columns == [["one.jpg"]]
    assert read_workbook(tmp_path / "a.xlsx", "two").columns == [["two.jpg"]]
    assert read_workbook(tmp_path / "a.xlsx", "Sheet").columns == [["hidden.jpg"]]
    with pytest.raises(OptionError, match="has no sheet 'three': choose one of 'Sheet', 'one', 'two'"):
        read_workbook(tmp_path / "a.xlsx", "three")


def test_a_column_without_a_name_is_kept_without_one(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a.jpg", "b.jpg"]}).to_excel(tmp_path / "a.xlsx")
    assert read_workbook(tmp_path / "a.xlsx") == (["", "path"], [[0, 1], ["a.jpg", "b.jpg"]])


def test_a_sheet_without_names_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "b.xlsx", [], ["path"], ["a.jpg"])
    with pytest.raises(OptionError, match="does not begin with the names of its columns"):
        read_workbook(tmp_path / "b.xlsx")


def test_encrypted_and_damaged_workbooks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512))
    with pytest.raises(OptionError, match=r"a\.xlsx is encrypted or of Excel's old format: save it as \.xlsx without"):
        read_workbook(path)
    write(path, ["path"], *([f"{number}.jpg"] for number in range(1000)))
    whole = path.read_bytes()
    for content in (b"path\na.jpg\n", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(OptionError, match=r"a\.xlsx is not a workbook that can be read"):
            read_workbook(path)
    path.write_bytes(whole)
    edit(path, "<row ", "<row <")
    with pytest.raises(OptionError, match=r"a\.xlsx is not a workbook that can be read"):
        read_workbook(path)


def test_without_openpyxl_its_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.xlsx", ["path"])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingPackageError, match=r'pip install "resmem-plugin\[excel\]"'):
        read_workbook(tmp_path / "a.xlsx")
