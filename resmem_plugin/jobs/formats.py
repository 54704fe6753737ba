"""Which files are tables or lists of paths, by their suffix, and what to do about those that are not read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from resmem_plugin.core.errors import OptionError

_READ = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".feather", ".arrow", ".orc", ".xlsx")
_ALIASES = {".ndjson": ".jsonl", ".pq": ".parquet", ".xlsm": ".xlsx"}
_COMPRESSIONS = (".gz", ".bz2", ".xz")
_COMPRESSED = (".csv", ".tsv", ".jsonl", ".json")
_LISTS = (".txt", ".lst")
_UNPACK = "compressed, and not a table that is read so (.csv.gz, .tsv.gz, .jsonl.gz or .json.gz): unpack it first"
_UNREAD = {
    ".xls": "an Excel workbook of the old format: save it as .xlsx or the sheet as .csv",
    ".xlsb": "a binary Excel workbook: save it as .xlsx or the sheet as .csv",
    ".ods": "an OpenDocument spreadsheet: save it as .xlsx or the sheet as .csv",
    ".pkl": "a pickle, which could run code: save the table as .parquet",
    ".pickle": "a pickle, which could run code: save the table as .parquet",
    ".zst": "compressed with Zstandard: unpack it first, as zstd -d does, or compress it with gzip",
    **dict.fromkeys(_COMPRESSIONS, _UNPACK),
}
"""Suffixes of files that are neither images nor tables that are read, and what to do."""


class Format(NamedTuple):
    """What a file's name says of its content.

    Attributes:
        suffix: of the table in it, in lower case and by its usual name: `.jsonl` for `.NDJSON.gz`.
        compression: `.gz`, `.bz2`, `.xz`, or "" for none.
    """

    suffix: str
    compression: str


def format_of(path: str | os.PathLike[str]) -> Format | None:
    """The format of a table, by its name; None for what is not the name of a table that is read.

    Examples:
        >>> from resmem_plugin.jobs.formats import format_of
        >>> format_of("TABLE.CSV.GZ"), format_of("photo.jpg")
        (Format(suffix='.csv', compression='.gz'), None)
    """
    suffix, inner = Path(path).suffix.lower(), Path(Path(path).stem).suffix.lower()
    if suffix in _COMPRESSIONS:
        inner = _ALIASES.get(inner, inner)
        return Format(inner, suffix) if inner in _COMPRESSED else None
    suffix = _ALIASES.get(suffix, suffix)
    return Format(suffix, "") if suffix in _READ else None


def require_format(path: str | os.PathLike[str]) -> Format:
    """The format of a table, by its name.

    Raises:
        OptionError: if it is not the name of a table that is read.
    """
    found = format_of(path)
    if found is None:
        check_format(os.fspath(path))
        raise OptionError(f"{os.fspath(path)} must end in one of {', '.join(_READ)}")
    return found


def is_list(path: str) -> bool:
    """Whether a file's suffix is that of a list of paths."""
    return Path(path).suffix.lower() in _LISTS


def may_describe_an_image(path: str) -> bool:
    """Whether a file's suffix is that of a table which often lies beside an image and describes it."""
    return Path(path).suffix.lower() == ".json"


def check_format(path: str) -> None:
    """Check that a file is not a table of a format that is not read.

    Raises:
        OptionError: with what to do.
    """
    reason = _UNREAD.get(Path(path).suffix.lower())
    if reason is not None and format_of(path) is None and os.path.isfile(path):
        raise OptionError(f"{path} is {reason}")
