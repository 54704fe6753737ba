"""Members of zip archives: names, links and duplicates; `test_remote.py` has broken and hostile ones."""

from __future__ import annotations

import stat
import warnings
import zipfile
from pathlib import Path

import pytest

from resmem_plugin.core.errors import ImageNotFoundError, UnreadableImageError
from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.images.zip_archive import ZipArchive
from tests.archive_files import zip_file


def _opened(path: str) -> ZipArchive:
    return ZipArchive(open(path, "rb"))


def test_members_are_found_by_the_name_that_the_archive_has(tmp_path: Path) -> None:
    names = ["a.png", "./b.png", "/c.png", "../d.png", "e::f#?%20 é 猫.png", "g//h.png"]
    archive = _opened(zip_file(tmp_path / "a.zip", [*((name, name.encode()) for name in names), ("folder/", b"")]))
    assert list(archive.names) == names
    assert [archive.read(name, Limits()) for name in names] == [name.encode() for name in names]
    assert archive.read("/a.png", Limits()) == b"a.png"  # as fsspec may write it
    assert archive.start("a.png", 3) == b"a.p"
    archive.close()


def test_names_of_other_encodings_are_cp437(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    zip_file(path, [("caf_.png", b"content")])
    path.write_bytes(path.read_bytes().replace(b"caf_", b"caf\x82"))
    archive = _opened(str(path))
    assert list(archive.names) == ["café.png"]
    assert archive.read("café.png", Limits()) == b"content"
    archive.close()


def test_the_last_of_a_name_is_read(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own
        archive = _opened(zip_file(tmp_path / "a.zip", [("a.png", b"old"), ("a.png", b"new")]))
    assert list(archive.names) == ["a.png", "a.png"]
    assert archive.read("a.png", Limits()) == b"new"
    archive.close()


def test_symbolic_links_are_followed_within_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("d/a.png", b"content")
        for name, target in {
            "link.png": "d/a.png",
            "d/up.png": "../d/a.png",
            "out.png": "../x",
            "gone.png": "b",
        }.items():
            link = zipfile.ZipInfo(name)
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            written.writestr(link, target)
    archive = _opened(str(path))
    assert archive.read("link.png", Limits()) == archive.read("d/up.png", Limits()) == b"content"
    with pytest.raises(UnreadableImageError, match="a link out of its archive"):
        archive.read("out.png", Limits())
    with pytest.raises(ImageNotFoundError):
        archive.read("gone.png", Limits())
    archive.close()
