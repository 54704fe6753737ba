"""Tables of JSON objects: an array of them, or one per line."""

from __future__ import annotations

import io
import json
from typing import Any

from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.text import detect_encoding

_CURE = "write an array of objects, as frame.to_json(path, orient='records') does"
_MAX_KEYS = 5  # named in a message


def read_lines(content: bytes) -> list[dict[str, Any]]:
    """The objects of a file of one per line.

    Raises:
        ValueError: if a line is something else, with its number.
    """
    text = io.StringIO(_decoded(content), newline=None)
    return [_record(line, number) for number, line in enumerate(text, 1) if line.strip()]


def read_array(content: bytes, name: str) -> list[dict[str, Any]]:
    """The objects of a file that holds an array of them; one per line are read too.

    Args:
        content: of the file.
        name: of the file, for messages.

    Raises:
        OptionError: if it holds something else.
        ValueError: if it is not JSON.

    Examples:
        >>> from resmem_plugin.jobs.records import read_array
        >>> read_array(b'[{"path": "a.jpg"}, {"path": null}]', "table.json")
        [{'path': 'a.jpg'}, {'path': None}]
    """
    text = _decoded(content)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
        return read_lines(text.encode("utf-8", "surrogateescape"))
    if not isinstance(value, list):
        raise OptionError(f"{name} holds {_described(value)}: {_CURE}")
    for number, row in enumerate(value, 1):
        if not isinstance(row, dict):
            raise OptionError(f"{name} holds an array, of which item {number} is {_described(row)}: {_CURE}")
    return value


def _decoded(content: bytes) -> str:
    encoding, mark_bytes = detect_encoding(content)
    return content[mark_bytes:].decode(encoding, "surrogateescape" if encoding == "utf-8" else "strict")


def _record(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line.rstrip())
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} in line {number}, character {error.colno}") from error
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is {_described(row)}, not a JSON object")
    return row


def _described(value: object) -> str:
    if isinstance(value, list):
        return "an array"
    if not isinstance(value, dict):
        return f"the value {json.dumps(value):.40}"
    if {"columns", "data"} <= value.keys():
        return "a table of pandas' orientation 'split'"
    if {"schema", "data"} <= value.keys():
        return "a table of pandas' orientation 'table'"
    if value and all(isinstance(column, dict) for column in value.values()):
        return "an object of objects, as pandas' orientations 'columns' and 'index' are"
    keys = ", ".join(map(repr, list(value)[:_MAX_KEYS])) + (", ..." if len(value) > _MAX_KEYS else "")
    return f"one object, of the keys {keys}" if value else "one object without keys"
