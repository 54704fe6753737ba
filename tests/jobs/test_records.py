"""Tables of JSON objects."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.records import read_array, read_lines

ROWS = [
    {"path": "é.png", "n": 2**70, "s": {"a": [1, None]}, "t": "007"},
    {"path": None, "n": 1, "s": None, "t": "NA"},
    {"other": 1.5},
]
FRAME = pd.DataFrame({"path": ["a.jpg"], "n": [1]})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_objects_are_kept_in_every_encoding(encoding: str) -> None:
    assert read_array(json.dumps(ROWS, ensure_ascii=False, indent=1).encode(encoding), "a.json") == ROWS
    lines = "".join(f"{json.dumps(row)}\n" for row in ROWS)
    assert read_array(lines.encode(encoding), "a.json") == ROWS
    assert read_lines(lines.encode()) == ROWS


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (FRAME.to_json(), "an object of objects, as pandas' orientations 'columns' and 'index'"),
        (FRAME.to_json(orient="index"), "an object of objects"),
        (FRAME.to_json(orient="split"), "orientation 'split'"),
        (FRAME.to_json(orient="table"), "orientation 'table'"),
        (FRAME.to_json(orient="values"), "an array, of which item 1 is an array"),
        ('[{"path": "a"}, null]', "an array, of which item 2 is the value null"),
        ('{"images": [], "annotations": []}', "one object, of the keys 'images', 'annotations'"),
        ("{}", "one object without keys"),
        ('"a.jpg"', 'the value "a.jpg"'),
    ],
)
def test_anything_else_than_an_array_of_objects_is_named_with_its_cure(content: str, found: str) -> None:
    with pytest.raises(OptionError, match=r"a\.json holds .*: write an array of objects, as .*'records'") as told:
        read_array(content.encode(), "a.json")
    assert found in str(told.value)


@pytest.mark.parametrize("content", ["", '[{"path": "a"}', '[{"path": "a"}] x', '{"path": "a"}\n[1]\n', "[1]\n[2]"])
def test_broken_json_loses_no_rows_in_silence(content: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_array(content.encode(), "a.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_lines_are_read_in_every_encoding(encoding: str) -> None:
    text = '{"path": "a\u2028\x85é"}\r\n\r\n{"path": "b"}'
    assert read_lines(text.encode(encoding)) == [{"path": "a\u2028\x85é"}, {"path": "b"}]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"path":', "Expecting value in line 3, character 9"),
        ('["a.jpg"]', "line 3 is an array, not a JSON object"),
        ("NaN", "line 3 is the value NaN, not a JSON object"),
    ],
)
def test_a_broken_line_is_named(line: str, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        read_lines(f'{{"path": "a"}}\n\n{line}\n'.encode())
