"""Tables in csv and tsv, as programs write them: every row comes out once and unchanged, or the table is refused."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.delimited import read_delimited

EXAMPLES = 300
MARKS = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
CELLS = st.one_of(
    st.text(st.sampled_from('"\r\n,;\t| =-é漢ax1'), max_size=6),
    st.sampled_from(["a.png", '"Dusk', 'a "b" c', "x\r\ny", "", '"', "NA", '"x\ny"', "\na", ',"', "7"]),
)


class Written(NamedTuple):
    """A table, and how it is written; without quotes if `quoting` is "none"."""

    rows: list[list[str]]
    quoting: str
    separator: str
    suffix_separator: str
    content: bytes

    @property
    def header(self) -> list[str]:
        return [f"column {number}" for number in range(len(self.rows[0]))]


def quoted(cell: str, quoting: str, separator: str) -> str:
    number = cell.isdecimal() and quoting == "nonnumeric"
    if quoting == "none" or number or (quoting == "minimal" and not set(cell) & {separator, '"', "\r", "\n"}):
        return cell
    return '"{}"'.format(cell.replace('"', '""'))


@st.composite
def tables(draw: st.DrawFn) -> Written:
    quoting = draw(st.sampled_from(["minimal", "all", "nonnumeric", "none"]))
    separator, of_suffix = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(",\t"))
    cells = CELLS
    if quoting == "none":  # what can be written so: a quote around a whole cell means quoting to every reader
        cells = CELLS.map(lambda cell: "".join(char for char in cell if char not in {separator, "\r", "\n"}))
        cells = cells.filter(lambda cell: not (cell.startswith('"') and cell.endswith('"')))
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=8))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    lines = [[f"column {number}" for number in range(width)], *rows]
    text = end.join(separator.join(quoted(cell, quoting, separator) for cell in line) for line in lines)
    text = draw(st.sampled_from(["", f"sep={separator}{end}"])) + text + draw(st.sampled_from(["", end]))
    encoding = draw(st.sampled_from([*MARKS, "utf-32"]))
    mark = draw(st.sampled_from([b"", MARKS.get(encoding, b"")]))
    return Written(rows, quoting, separator, of_suffix, mark + text.encode(encoding))


def may_differ(table: Written) -> bool:
    """What is not promised: a cell that is cut at its line ends into lines that are rows of a tsv without quotes."""
    return table.separator == "\t" and any(
        "\t" in cell and set(cell) & set("\r\n") for row in table.rows for cell in row
    )


def expected(table: Written) -> list[list[str]]:
    rows = list(table.rows)
    while table.quoting in ("minimal", "none") and rows and rows[-1] == [""]:  # blank lines at the end
        rows.pop()
    return rows


def test_every_row_comes_out_unchanged_or_the_table_is_refused(record_property: Callable[[str, object], None]) -> None:
    counts: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(tables())
    def check(table: Written) -> None:
        try:
            read = read_delimited(table.content, "table.csv", table.suffix_separator)
        except OptionError:
            counts["refused"] += 1
            return
        rows = [list(row) for row in zip(*read.columns, strict=True)]
        if may_differ(table):
            counts["not promised"] += 1
            assert len(rows) >= len(expected(table))
            return
        assert read.names == table.header
        assert rows == expected(table)
        counts["equal"] += 1

    check()
    assert counts["equal"] > counts["refused"]
    record_property("csv and tsv tables", ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))


def read(content: str | bytes, separator: str = ",") -> list[list[str]]:
    """The header and the rows."""
    names, columns, _ = read_delimited(
        content if isinstance(content, bytes) else content.encode(), "table.csv", separator
    )
    return [names, *(list(row) for row in zip(*columns, strict=True))]


@pytest.mark.parametrize("later", ['he said "hi" once', "plain", 'a quote at its end"'])
def test_five_rows_of_a_tsv_without_quoting_of_which_one_begins_with_a_quote(later: str) -> None:
    rows = [["path", "caption"], ["a", "x"], ["b", '"Dusk'], ["c", "y"], ["d", later], ["e", "z"]]
    assert read("".join("\t".join(row) + "\n" for row in rows), "\t") == rows


def test_a_quote_that_is_not_closed_is_refused_by_its_line() -> None:
    with pytest.raises(OptionError, match=r"table\.csv cannot be told apart from the quote on line 3 on: close that"):
        read('path,caption\na,x\nb,"Dusk, red\nc,z\n')
    with pytest.raises(OptionError, match="the quote on line 4 on"):
        read('path,caption\na,x\n"b\nb","Dusk, red\nc,z\n')


def test_rows_that_are_a_table_with_quotes_and_without_are_refused() -> None:
    with pytest.raises(OptionError, match="the quote on line 2 on"):
        read('path,caption\na,"Dusk\nb,y"\nc,z\n')


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_tables_of_excel_in_every_encoding_with_semicolons_and_a_line_that_states_them(encoding: str) -> None:
    rows = [["path", "Ort"], ["é.png", "Köln, Dom"], ["", ""], ["b.png", ""]]
    text = "path;Ort\r\né.png;Köln, Dom\r\n\r\nb.png\r\n\r\n"
    assert read(text.encode(encoding)) == rows == read(f"sep=;\r\n{text}".encode(encoding))


def test_a_row_of_too_many_cells_is_refused_by_its_line() -> None:
    with pytest.raises(OptionError, match="has 3 cells on line 3, and 2 columns: quote the cells that hold separators"):
        read("path,n\na,1\nb,2,\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,Ort\na,x\nb,Köln\n".encode("cp1252"), "is not UTF-8 text, which it seemed to be, on line 3: save it as"),
        (b"\xff\xfep\0a\0t", "is not UTF-16-LE text"),
        (b"path\na\0\n", "holds a NUL character on line 2"),
        (b"", "does not begin with the names of its columns"),
    ],
)
def test_content_that_is_no_text_is_refused_by_name(content: bytes, message: str) -> None:
    with pytest.raises(OptionError, match=rf"table\.csv {message}"):
        read(content)


def test_cells_may_be_larger_than_python_s_limit() -> None:
    assert read(f"path,n\na,{'x' * 200_000}\n")[1] == ["a", "x" * 200_000]


def test_a_table_of_this_package_is_read_with_its_quotes_and_names_of_other_bytes() -> None:
    content = b'path\tcaption\n\xe9.png\t"x\ny\tz"\n'
    assert read_delimited(content, "out.tsv", "\t", own=True).columns == [["\udce9.png"], ["x\ny\tz"]]
