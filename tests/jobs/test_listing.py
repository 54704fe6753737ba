"""The images in folders, and what is told of the files that were left out."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from resmem_plugin.core.errors import OptionError, SkippedFilesWarning
from resmem_plugin.jobs import listing
from resmem_plugin.jobs.inputs import read_inputs
from resmem_plugin.jobs.listing import list_folder
from tests.conftest import flat


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which photos/ is empty."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def make(folder: Path, *names: str) -> None:
    """Make files of no matter what content."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"content")


def read(*inputs: str, exclude: tuple[str, ...] = (), recursive: bool = False, root: str | None = None) -> list[object]:
    return read_inputs(inputs, path_column="path", root=root, recursive=recursive, null=False, exclude=exclude)[1]


def test_all_that_pillow_and_other_packages_read_is_listed(folder: Path) -> None:
    names = ["a.JPG", "b.mpo", "c.apng", "d.psd", "e.ico", "f.heic", "g.HEIF", "h.jxl", "i.avif", "j.tga", "k.jfif"]
    make(folder, *names, "l.mpg", "m.pdf", "n.eps", "o.txt", "p.mov")
    listed = list_folder("photos", recursive=False)
    assert [Path(path).name for path in listed.found] == names
    assert sorted(listed.skipped.suffixes) == [".eps", ".mov", ".mpg", ".pdf", ".txt"]


def test_images_without_a_suffix_are_known_by_their_first_bytes(folder: Path) -> None:
    for name, form in {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "tiff": "TIFF"}.items():
        Image.fromarray(flat(1)).save(folder / name, form)
    (folder / "heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    make(folder, "README")
    (folder / "empty").touch()
    (folder / "broken link").symlink_to("nowhere")
    listed = list_folder("photos", recursive=False)
    assert [Path(path).name for path in listed.found] == ["heic", "jpeg", "png", "tiff", "webp"]
    assert listed.skipped.text() == "3 files left out: 3 without a suffix"


def test_what_is_left_out_is_told_with_counts_by_suffix(folder: Path) -> None:
    make(folder, "a.png", "b.txt", "c.TXT", "d.mov", "e", ".hidden.png", "@eaDir/a.png/SYNO.jpg", "sub/__MACOSX/b.png")
    make(folder, "._a.png", "Thumbs.db")
    with pytest.warns(SkippedFilesWarning) as caught:
        assert read("photos", recursive=True) == ["photos/a.png"]
    assert [str(warning.message) for warning in caught] == [
        "photos: 4 files left out: 2 .txt, 1 .mov, 1 without a suffix; 2 in @eaDir, __MACOSX; 1 ._*, 1 Thumbs.db; "
        "1 hidden; name them themselves to score them"
    ]


def test_what_is_told_is_bounded_and_printable(folder: Path) -> None:
    make(folder, "a.\x1b[2J", f"b.b{'x' * 200}", *(f"c.c{number}" for number in range(50)))
    text = list_folder("photos", recursive=False).skipped.text()
    assert text.startswith(r"52 files left out: 1 .\x1b[2j, 1 .bxxxxxxxxxxxxxx..., 1 .c0")
    assert text.endswith("44 others")
    assert len(text) < 200


def test_a_file_that_every_file_manager_leaves_causes_no_warning(folder: Path) -> None:
    make(folder, "a.png", ".DS_Store", "Thumbs.db", "desktop.ini")
    assert read("photos") == ["photos/a.png"]


def test_leftovers_that_are_named_themselves_are_listed(folder: Path) -> None:
    make(folder, "@eaDir/a.png")
    assert read("photos/@eaDir") == ["photos/@eaDir/a.png"]


def test_excluded_names_and_paths_are_left_out_and_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(folder, "a.png", "b_thumb.png", "sub/c.png", "sub/d.png", "cache/e.png")
    walked: list[str] = []
    monkeypatch.setattr(listing, "_starts_like_image", walked.append)
    make(folder, "cache/no suffix")
    with pytest.warns(SkippedFilesWarning, match="^photos: left out: 3 excluded;"):
        found = read("photos", recursive=True, exclude=("*_thumb.*", "sub/c.png", "cache/"))
    assert found == ["photos/a.png", "photos/sub/d.png"]
    assert walked == []  # cache/ is not entered


def test_an_empty_folder_among_others_is_a_warning(folder: Path) -> None:
    make(folder, "a.png")
    (folder / "empty").mkdir()
    with pytest.warns(SkippedFilesWarning, match="^no images in the folder photos/empty"):
        assert read("photos", "photos/empty") == ["photos/a.png"]
    with pytest.raises(OptionError, match=r"no images in the folder photos/empty \(--recursive"):
        read("photos/empty", "photos/empty")


def test_a_folder_without_images_says_what_it_holds(folder: Path) -> None:
    make(folder, "a.txt", "sub/a.png")
    with pytest.raises(OptionError, match=r"photos \(--recursive .*subfolders\); 1 file left out: 1 .txt$"):
        read("photos")


@pytest.mark.parametrize(
    ("pattern", "expected"), [("*.png", ["a", "b"]), ("[b]*", ["b"]), ("**/*.png", ["a", "b", "sub/c"])]
)
def test_a_quoted_pattern_is_expanded_to_files(folder: Path, pattern: str, expected: list[str]) -> None:
    make(folder, "b.png", "a.png", "sub/c.png")
    (folder / "b folder").mkdir()
    assert read(f"photos/{pattern}") == [f"photos/{name}.png" for name in expected]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder: Path) -> None:
    make(folder, "a[1].png", "a1.png")
    assert read("photos/a[1].png") == ["photos/a[1].png"]


def test_a_pattern_that_matches_nothing_and_a_missing_folder_are_wrong_usage(folder: Path) -> None:
    with pytest.raises(OptionError, match=r"no file matches photos/\*.png"):
        read("photos/*.png")
    with pytest.raises(OptionError, match="there is no folder nothere/: correct its path"):
        read("nothere/")
    assert read("photos/none[1].png") == ["photos/none[1].png"]  # a missing image: its row fails
    assert read("nothere", "https://host/a/?b=*") == ["nothere", "https://host/a/?b=*"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_list_on_stdin_in_any_encoding_keeps_its_first_row(
    folder: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "é.png\r\nb.png\r\n".encode(encoding)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert read("-") == ["é.png", "b.png"]


def test_a_list_in_broken_utf_16_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfea\0\n\0b")))
    with pytest.raises(OptionError, match="starts as UTF-16-LE, but is none: write it in UTF-8"):
        read("-")


def test_names_on_stdin_are_bytes_and_with_null_may_have_one_letter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xe9.png\n\na.png")))
    assert read("-") == [os.fsdecode(b"\xe9.png"), "a.png"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\0b\0c\0d\0")))
    assert read_inputs(["-"], path_column="path", root=None, recursive=False, null=True)[1] == ["a", "b", "c", "d"]


def test_home_in_root_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a.png\n")))
    assert read("-", root="~/p") == [f"{folder}/p/a.png"]


def test_exclude_applies_to_patterns(folder: Path) -> None:
    make(folder, "a.png", "thumb.png")
    assert read("photos/*.png", exclude=("thumb*",)) == ["photos/a.png"]
    with pytest.raises(OptionError, match=r"no file matches photos/t.* that --exclude leaves"):
        read("photos/t*.png", exclude=("thumb*",))
