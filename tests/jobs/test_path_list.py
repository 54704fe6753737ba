"""Lists of paths in files are read as those on standard input."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.path_list import read_path_list
from tests.jobs.photo_folder import Stdin


@pytest.mark.parametrize(
    ("content", "null", "paths"),
    [
        (b"a.jpg\r\nb c.jpg\n\n", False, ["a.jpg", "b c.jpg"]),
        (b"\xef\xbb\xbfa.jpg", False, ["a.jpg"]),
        ("é.jpg\r\nb.jpg\r\n".encode("utf-16"), False, ["é.jpg", "b.jpg"]),
        (b"a\nb.jpg\0c.jpg\0", True, ["a\nb.jpg", "c.jpg"]),
        (b"\xff\xe9.jpg\n", False, [os.fsdecode(b"\xff\xe9.jpg")]),
        (b"", False, []),
    ],
)
def test_a_file_is_read_as_standard_input_is(
    content: bytes, null: bool, paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    monkeypatch.setattr("sys.stdin", Stdin(content))
    assert read_path_list(str(tmp_path / "list.txt"), None, null=null) == paths == read_path_list("-", None, null=null)


def test_root_is_the_start_of_relative_paths(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.jpg\n/b.jpg\nhttps://x.org/c.jpg\n")
    assert read_path_list(str(tmp_path / "list.txt"), "data", null=False) == [
        os.path.join("data", "a.jpg"),
        "/b.jpg",
        "https://x.org/c.jpg",
    ]


def test_a_list_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"there is no list none\.txt: correct its path"):
        read_path_list("none.txt", None, null=False)
    (tmp_path / "list.txt").write_bytes(b"\xff\xfea\0\n")
    with pytest.raises(OptionError, match=r"list\.txt starts as UTF-16-LE, but is none: write it in UTF-8"):
        read_path_list(str(tmp_path / "list.txt"), None, null=False)


def test_a_list_separated_by_nul_without_the_option_says_so(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"a.jpg\0b.jpg")
    with pytest.raises(OptionError, match=r"list\.txt is separated by NUL, not by line ends: add -0"):
        read_path_list(str(tmp_path / "list.txt"), None, null=False)
