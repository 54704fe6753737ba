"""Which files are tables, by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.formats import Format, check_format, format_of, is_list, require_format


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.csv", (".csv", "")),
        ("A.NDJSON.GZ", (".jsonl", ".gz")),
        ("a.json.bz2", (".json", ".bz2")),
        ("a.b.tsv.xz", (".tsv", ".xz")),
        ("a.PQ", (".parquet", "")),
        ("a.xlsm", (".xlsx", "")),
        ("table.parquet/", (".parquet", "")),
        ("a.parquet.gz", None),
        ("a.gz", None),
        ("csv.gz", None),
        (".csv", None),
        ("a.txt", None),
        ("a.jpg", None),
    ],
)
def test_the_format_of_a_name(name: str, found: tuple[str, str] | None) -> None:
    assert format_of(name) == (Format(*found) if found else None)


def test_lists_of_paths_are_txt_and_lst() -> None:
    assert [name for name in ("a.txt", "A.LST", "a.csv", "txt") if is_list(name)] == ["a.txt", "A.LST"]


def test_a_file_that_is_not_read_says_what_to_do_and_a_missing_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet.gz"
    check_format(str(path))
    path.touch()
    with pytest.raises(OptionError, match=r"a\.parquet\.gz is compressed, and not a table .*: unpack it"):
        check_format(str(path))
    with pytest.raises(OptionError, match=r"must end in one of \.csv, \.tsv"):
        require_format("a.jpg")
