"""Tables of cells between separators, csv and tsv: no row is dropped, merged or shifted in silence."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.text import detect_encoding

_SEPARATORS = ("\t", ";", ",", "|")
_SAMPLE_ROWS = 20
_LARGEST_CELL = 2**31 - 1  # of what `csv` accepts on every system

_Row = tuple[int, list[str]]  # the number of the line on which it begins, and its cells


class Cells(NamedTuple):
    """The cells of a table, as text.

    Attributes:
        names: of the columns.
        columns: their cells, all of the same number.
        byte_order_mark: whether the content began with one.
    """

    names: list[str]
    columns: list[list[str]]
    byte_order_mark: bool


def read_delimited(content: bytes, name: str, separator: str, *, own: bool = False) -> Cells:
    """Read a csv or tsv table. Blank lines at its end are not rows; those inside are.

    Args:
        content: of the file.
        name: of the file, for messages.
        separator: that its suffix stands for; a line `sep=;` or the first rows may show another.
        own: the content was written by this package: UTF-8 or other bytes, with this separator and quotes.

    Raises:
        OptionError: if the content cannot be decoded, or its rows not be told apart; it names the line.
    """
    text, has_mark = _decode(content, name, own=own)
    lines = list(io.StringIO(text, newline=""))
    while lines and not lines[-1].strip("\r\n"):
        lines.pop()
    first = 1
    if not own:
        if "\0" in text:
            line = _line_of(text, text.index("\0"))
            raise OptionError(f"{name} holds a NUL character on line {line}: save the table again as UTF-8 text")
        stated = re.fullmatch(r'"?sep=([^"\r\n])"?', lines[0].rstrip("\r\n"), re.IGNORECASE) if lines else None
        if stated:
            separator, lines, first = stated[1], lines[1:], 2
        else:
            with _cells_of_any_size():
                separator = _sniff(lines, separator)
    if not lines or not lines[0].strip("\r\n"):
        raise OptionError(f"{name} does not begin with the names of its columns: add them as its first line")
    with _cells_of_any_size():
        rows = _parse(lines, name, separator, first, own=own)
    names = rows[0][1]
    for line, cells in rows:
        if len(cells) > len(names):
            raise OptionError(
                f"{name} has {len(cells)} cells on line {line}, and {len(names)} columns: quote the cells that hold "
                "separators, or name all columns in its first line"
            )
        cells += [""] * (len(names) - len(cells))
    columns = [list(column) for column in zip(*(cells for _, cells in rows[1:]), strict=True)]
    return Cells(names, columns or [[] for _ in names], has_mark)


def _decode(content: bytes, name: str, *, own: bool) -> tuple[str, bool]:
    encoding, mark_bytes = ("utf-8", 3 * content.startswith(b"\xef\xbb\xbf")) if own else detect_encoding(content)
    try:
        text = content[mark_bytes:].decode(encoding, "surrogateescape" if own else "strict")
    except UnicodeDecodeError as error:
        before = content[mark_bytes : mark_bytes + error.start].decode(encoding, "ignore")
        raise OptionError(
            f"{name} is not {encoding.upper()} text, which it seemed to be, on line {_line_of(before, len(before))}: "
            "save it as UTF-8"
        ) from error
    return text, mark_bytes > 0


def _sniff(lines: list[str], expected: str) -> str:
    """The separator: that which cuts the first rows into equally many cells, or the header into several."""
    in_header = []
    for separator in (expected, *(other for other in _SEPARATORS if other != expected)):
        sample = [len(row) for row in islice(csv.reader(lines, delimiter=separator), _SAMPLE_ROWS) if row]
        if sample and sample[0] > 1:
            if len(set(sample)) == 1:
                return separator
            in_header.append(separator)
    return in_header[0] if in_header else expected


def _parse(lines: list[str], name: str, separator: str, first: int, *, own: bool) -> list[_Row]:
    """The header and the rows, read with quotes, or without if only then they make a table."""
    rows, broken = _quoted(lines, separator)
    starts = [line for line, _ in rows]
    merged = {line for line, end in zip(starts, [*starts[1:], len(lines)], strict=True) if end - line > 1}
    width = len(rows[0][1]) if rows else 0
    is_table = broken is None and all(len(cells) in (0, width) for _, cells in rows)
    if not own and (merged or not is_table):
        plain = [(line, _split(text, separator)) for line, text in enumerate(lines)]
        width = len(plain[0][1])
        if width > 1 and all(len(cells) in (0, width) for _, cells in plain):
            if is_table and separator != "\t":  # both are: only in tsv are quotes rarer than their absence
                raise _unclear(name, _opening(lines, min(merged), separator) + first)
            return _numbered(plain, first)
    if broken is not None:
        raise _unclear(name, broken + first)
    for line, cells in rows:
        if line in merged and len(cells) != len(rows[0][1]):
            raise _unclear(name, _opening(lines, line, separator) + first)
    return _numbered(rows, first)


def _quoted(lines: list[str], separator: str) -> tuple[list[_Row], int | None]:
    """The rows read with quotes, and the line of the first quote that is not closed as it must be."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    rows: list[_Row] = []
    start = 0
    try:
        for cells in reader:
            rows.append((start, cells))
            start = reader.line_num
    except csv.Error:
        return rows, _opening(lines[: reader.line_num], start, separator)
    return rows, None


def _split(line: str, separator: str) -> list[str]:
    line = line.rstrip("\r\n")
    return line.split(separator) if line else []


def _opening(lines: list[str], start: int, separator: str) -> int:
    """The line of the last quote that opens a cell, in the row that begins on a line."""
    opened, is_open = start, False
    for number in range(start, len(lines)):
        line = lines[number]
        for quotes in re.finditer('"+', line):
            count = len(quotes[0])
            if not is_open:
                if quotes.start() and line[quotes.start() - 1] != separator:
                    continue  # inside a cell without quotes
                opened, count = number, count - 1
            is_open = count % 2 == 0
        if not is_open:
            break
    return opened


def _numbered(rows: list[_Row], first: int) -> list[_Row]:
    return [(line + first, cells) for line, cells in rows]


def _unclear(name: str, line: int) -> OptionError:
    return OptionError(
        f"the rows of {name} cannot be told apart from the quote on line {line} on: close that quote, and double those "
        "inside cells, or save the table as .jsonl or .parquet"
    )


def _line_of(text: str, position: int) -> int:
    return len(re.findall(r"\r\n?|\n", text[:position])) + 1


@contextmanager
def _cells_of_any_size() -> Iterator[None]:
    before = csv.field_size_limit(_LARGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)
