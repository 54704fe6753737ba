"""Paths and URLs: which is which, and local files that change between listing and reading."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resmem_plugin.core.errors import ImageNotFoundError, UnreadableImageError
from resmem_plugin.core.images.sources import MAX_FILE_BYTES, Sources, is_url, join_root
from tests.http_server import IMAGE


def test_local_files_ignore_storage_options(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(IMAGE)
    sources = Sources({"headers": {"X-Key": "value"}, "key": "value"})
    assert sources.read(tmp_path / "a.jpg") == sources.read((tmp_path / "a.jpg").as_uri()) == IMAGE


@pytest.mark.parametrize("form", ["file://{}", "file:{}", "file://localhost{}", "local://{}", "FILE://{}", "File:{}"])
@pytest.mark.parametrize("name", ["a.jpg", "a b é 猫.jpg", "50%.jpg", "a%20b.jpg", "a#b?c.jpg"])
def test_file_urls_in_every_form(tmp_path: Path, form: str, name: str) -> None:
    (tmp_path / name).write_bytes(IMAGE)
    for path in (str(tmp_path / name), (tmp_path / name).as_uri().removeprefix("file://")):
        assert is_url(form.format(path))
        assert Sources().read(form.format(path)) == IMAGE


def test_a_file_url_is_taken_literally_first(tmp_path: Path) -> None:
    (tmp_path / "a%20b.jpg").write_bytes(b"literal")
    (tmp_path / "a b.jpg").write_bytes(b"decoded")
    assert Sources().read(f"file://{tmp_path}/a%20b.jpg") == b"literal"
    assert Sources().read(f"file://{tmp_path}/a%20b%2Ejpg") == b"decoded"


def test_a_file_url_of_other_bytes_than_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9 \xff.jpg"))
    path.write_bytes(IMAGE)
    assert Sources().read(path.as_uri()) == IMAGE


@pytest.mark.parametrize(
    "name", ["foo::1.jpg", "zip::a.jpg", "simplecache::a.jpg", "data.jpg", "file.jpg", "data:1.jpg", "data:a/b.jpg"]
)
def test_an_existing_local_file_goes_before_a_url(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(IMAGE)
    assert not is_url(name)
    assert Sources().read(name) == IMAGE
    monkeypatch.chdir("/")
    assert join_root(tmp_path, name) == str(tmp_path / name)


def test_colons_make_a_url_only_after_a_filesystem_that_reads_another() -> None:
    assert is_url("simplecache::s3://bucket/a.jpg")
    assert is_url("ZIP::a.jpg")
    assert not is_url("foo::1.jpg")
    assert not is_url("a/zip::b.jpg")


def test_a_missing_file_with_colons_is_no_such_file() -> None:
    with pytest.raises(ImageNotFoundError, match="no such file"):
        Sources().read("foo::1.jpg")


@pytest.mark.parametrize("url", ["data:image/png;base64,AA==", "DATA:,a", "data:;base64,AA==", "data:image/png;base64"])
def test_data_urls_are_urls(url: str) -> None:
    assert is_url(url)


def test_messages_of_the_system_are_short() -> None:
    with pytest.raises(UnreadableImageError) as caught:
        Sources().read("a" * 1_000_000)
    assert len(str(caught.value)) < 300
    assert "File name too long" in str(caught.value)


@pytest.mark.parametrize("path", [r"C:\a.jpg", "C://a.jpg", "a.jpg", "a:b.jpg", "/a://b.jpg", "./http://a"])
def test_local_paths_are_not_urls(path: str) -> None:
    assert not is_url(path)


def test_join_root() -> None:
    assert join_root("/data", "a.jpg") == "/data/a.jpg"
    assert join_root("/data", "/b/a.jpg") == "/b/a.jpg"
    assert join_root("s3://bucket/x/", "a.jpg") == "s3://bucket/x/a.jpg"
    assert join_root("/data", "https://host/a.jpg") == "https://host/a.jpg"
    assert join_root(Path("data"), "a.jpg") == "data/a.jpg"
    assert join_root("/data", Path("b/a.jpg")) == "/data/b/a.jpg"
    assert join_root("/data", {"bytes": None, "path": "a.jpg"}) == {"bytes": None, "path": "/data/a.jpg"}
    for unchanged in ({"bytes": b"", "path": "a.jpg"}, {"path": None}, b"a.jpg", "", None):
        assert join_root("/data", unchanged) == unchanged


def test_join_root_of_an_archive() -> None:
    for member in ("zip://x/a.jpg", "tar://a.jpg", "zip://b::c.jpg"):
        assert join_root("/data", f"{member}::b.zip") == f"{member}::/data/b.zip"
        assert join_root("s3://bucket", f"{member}::x/b.zip") == f"{member}::s3://bucket/x/b.zip"
        for archive in ("/b.zip", "https://host/b.zip", "file:///b.zip", "simplecache::s3://bucket/b.zip"):
            assert join_root("/data", f"{member}::{archive}") == f"{member}::{archive}"
    assert join_root("/data", "zip://a.jpg") == "zip://a.jpg"


@pytest.fixture
def stat_as_regular_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every path is a small file when it is looked at; what it has become by then shows when it is opened."""
    (tmp_path / "regular").write_bytes(b"abc")
    regular = os.stat(tmp_path / "regular")
    monkeypatch.setattr("resmem_plugin.core.images.sources.os.stat", lambda path: regular)


@pytest.mark.usefixtures("stat_as_regular_file")
def test_a_file_replaced_by_a_fifo_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        Sources().read(tmp_path / "fifo")


@pytest.mark.usefixtures("stat_as_regular_file")
def test_a_file_replaced_by_a_device_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        Sources().read("/dev/zero")


@pytest.mark.usefixtures("stat_as_regular_file")
def test_a_file_that_grew_beyond_the_size_limit_is_an_error(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(UnreadableImageError, match="1,073,741,825 bytes, more than the limit of 1,073,741,824"):
        Sources().read(tmp_path / "large")
