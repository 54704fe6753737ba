"""Remote files other than plain HTTP: archives, fsspec's caches and memory, broken and hostile ones too."""

from __future__ import annotations

import os
import stat
import struct
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import psutil
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import ImageNotFoundError, UnreadableImageError, UnsupportedImageError
from resmem_plugin.core.images import http as web_module
from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.images.remote import RemoteReader
from tests.http_server import IMAGE, WebServer
from tests.models import Red
from tests.sample_images import ENCODED

MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "_BACKOFF_BASE_S", 0.01)


def _reader(**limits: float) -> RemoteReader:
    return RemoteReader(None, Limits(**{"max_bytes": MEGABYTE, "timeout_s": 10.0, **limits}))  # type: ignore[arg-type]


def test_storage_options_set_http_headers(web: WebServer, red: Scorer) -> None:
    url = web.url("private/a.jpg")
    assert "403" in str(red.score([url], errors="coerce")[0].error)
    options = {"headers": {"Authorization": "Bearer key"}}
    assert Scorer(device="cpu", model=Red(), storage_options=options).score([url])[0].ok


def test_storage_options_go_where_they_belong(web: WebServer, tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe_file("/images/a.jpg", IMAGE)
    headers = {"headers": {"Authorization": web.private}}
    urls = ["memory://images/a.jpg", _archive(tmp_path / "x.zip"), web.url("private/a.jpg")]
    for options in (
        {**headers, "client_kwargs": {}, "anon": True, "key": "for s3"},
        {"http": headers, "s3": {"anon": True}},
        {"https": {}, "HTTP": 1, "http": headers},
    ):
        reader = RemoteReader(options)
        assert [reader.read(url) for url in urls] == [IMAGE] * 3
        reader.close()


def test_a_url_with_colons_is_no_chain(web: WebServer) -> None:
    for url in (web.url("a::b.jpg"), web.url("a.jpg?id=urn::5"), web.url("a.jpg").replace("http", "HTTP")):
        assert _reader().read(url) == IMAGE


def test_an_archive_and_its_member_may_have_colons(web: WebServer, tmp_path: Path) -> None:
    reader = _reader()
    assert reader.read(_archive(tmp_path / "o::1.zip", name="x::y.jpg")) == IMAGE
    assert reader.read(_archive(tmp_path / "o.zip", name="x::y.jpg").replace("zip:", "ZIP:")) == IMAGE
    assert reader.read(f"zip://a.jpg::{web.url('a.zip?id=urn::5')}") == IMAGE
    reader.close()


def test_a_zip_archive_is_opened_once(red: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(20):
            file.writestr(f"d/{number}.jpg", IMAGE)
    opened = []
    original = zipfile.ZipFile.__init__

    def count(self: zipfile.ZipFile, *arguments: Any, **options: Any) -> None:
        opened.append(arguments)
        original(self, *arguments, **options)

    monkeypatch.setattr(zipfile.ZipFile, "__init__", count)
    scorer = Scorer(device="cpu", model=Red(), num_workers=4)
    urls = [f"zip://d/{number}.jpg::{archive}" for number in range(20)]
    scores = scorer.score([*urls, f"zip://d/none.jpg::{archive}", f"zip://a.jpg::{tmp_path}/none.zip"], errors="coerce")
    assert all(score.ok for score in scores[:20])
    assert len(opened) == 1
    assert all("nothing at this URL" in str(score.error) for score in scores[20:])


def test_zip_archives_are_closed_and_reopened_on_the_next_run(red: Scorer, tmp_path: Path) -> None:
    archives = [tmp_path / f"{number}.zip" for number in range(30)]
    for archive in archives:
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("a.jpg", IMAGE)
    before = psutil.Process().num_fds()
    assert all(score.ok for score in red.score([f"zip://a.jpg::{archive}" for archive in archives]))
    assert psutil.Process().num_fds() <= before
    with zipfile.ZipFile(archives[0], "w") as file:
        file.writestr("a.jpg", ENCODED["wide.png"]())
    old, new = red.score([IMAGE, f"zip://a.jpg::{archives[0]}"])
    assert old.memorability != new.memorability


def test_memory_filesystem_and_chained_caches(red: Scorer) -> None:
    fsspec.filesystem("memory").pipe_file("/images/a.jpg", IMAGE)
    one, other = red.score(["memory://images/a.jpg", "simplecache::memory://images/a.jpg"])
    assert one.memorability == other.memorability


def test_a_zip_archive_over_http(web: WebServer) -> None:
    reader = _reader()
    assert reader.read(f"zip://a.jpg::{web.url('a.zip')}") == IMAGE
    with pytest.raises(ImageNotFoundError, match="nothing at this URL"):
        reader.read(f"zip://b.jpg::{web.url('a.zip')}")
    with pytest.raises(UnreadableImageError, match="500"):
        reader.read(f"zip://a.jpg::{web.url('always/500')}")
    whole = web.url("whole/a.zip")
    with pytest.raises(UnreadableImageError, match="sends no parts of files: put simplecache:: before its URL"):
        reader.read(f"zip://a.jpg::{whole}")
    assert reader.read(f"zip://a.jpg::simplecache::{whole}") == IMAGE
    reader.close()


@pytest.mark.parametrize("cache", ["simplecache", "filecache"])
def test_fsspec_caches_do_not_keep_partial_files(web: WebServer, cache: str, tmp_path: Path) -> None:
    reader = RemoteReader({"cache_storage": str(tmp_path)}, Limits(max_bytes=MEGABYTE))
    for path, message in (("truncated", "truncated"), ("endless", "larger than")):
        for _ in range(2):
            with pytest.raises(UnreadableImageError, match=message):
                reader.read(f"{cache}::{web.url(path)}")
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(reader.read, [f"{cache}::{web.url('a.jpg')}"] * 32)) == {IMAGE}
    assert cache == "filecache" or web.requests["GET /a.jpg"] == 2  # whether it is there, and the image


def _archive(path: Path, *, method: int = zipfile.ZIP_DEFLATED, content: bytes = IMAGE, name: str = "a.jpg") -> str:
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr(name, content)
    return f"zip://{name}::{path}"


def _patched(path: Path, central_offset: int, local_offset: int, value: bytes) -> None:
    """Change a field of the only member, in both of its headers."""
    content = bytearray(path.read_bytes())
    for start, offset in ((content.rindex(b"PK\1\2"), central_offset), (0, local_offset)):
        content[start + offset : start + offset + len(value)] = value
    path.write_bytes(content)


def _encrypted(path: Path) -> str:
    url = _archive(path)
    _patched(path, 8, 6, struct.pack("<H", 1))
    return url


def _understated(path: Path) -> str:
    """A member of 64 megabytes that says it has a hundred bytes."""
    url = _archive(path, content=bytes(64 * MEGABYTE))
    _patched(path, 24, 22, struct.pack("<I", 100))
    return url


def _pipe(path: Path) -> str:
    os.mkfifo(path)
    return f"zip://a.jpg::{path}"


def _text(path: Path) -> str:
    path.write_text("no archive")
    return f"zip://a.jpg::{path}"


def _cut(path: Path) -> str:
    url = _archive(path)
    path.write_bytes(path.read_bytes()[:-30])
    return url


def _damaged(path: Path) -> str:
    url = _archive(path, method=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    return url


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: _archive(path, content=bytes(64 * MEGABYTE)), "larger than 1,048,576 bytes"),
        (lambda path: _archive(path, content=bytes(64 * MEGABYTE), method=zipfile.ZIP_BZIP2), "larger than"),
        (lambda path: _archive(path, method=zipfile.ZIP_LZMA), "another method than deflate"),
        (lambda path: _archive(path).replace("a.jpg", "../../a.jpg"), "nothing at this URL"),
        (lambda path: _archive(path).replace("a.jpg", "/etc/passwd"), "nothing at this URL"),
        (lambda path: _archive(path, name="d/a.jpg").replace("d/a.jpg", "d"), "a folder in its archive"),
        (_understated, "archive is damaged"),
        (_encrypted, "encrypted in its archive"),
        (_pipe, "not a regular file"),
        (_text, "no zip"),
        (_cut, "no zip"),
        (_damaged, "archive is damaged"),
    ],
)
def test_broken_and_hostile_archives_are_errors(make: Callable[[Path], str], message: str, tmp_path: Path) -> None:
    reader = _reader()
    url = make(tmp_path / "x.zip")
    failures: list[BaseException] = []

    def read() -> None:
        try:
            reader.read(url)
        except (ImageNotFoundError, UnreadableImageError) as error:
            failures.append(error)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    reading.join(10)  # a pipe would never end
    assert [message in str(error) for error in failures] == [True]
    reader.close()


def test_an_archive_member_cannot_write_outside(tmp_path: Path) -> None:
    url = _archive(tmp_path / "x.zip", name="../../climbed.jpg")
    assert _reader().read(url) == IMAGE
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("url", ["reference://a::https://host/r.json", "simplecache::reference://a", "dask://h:1/a"])
def test_urls_that_run_code_or_reference_others_are_refused(url: str) -> None:
    with pytest.raises(UnsupportedImageError, match="unsupported URL scheme"):
        _reader().read(url)


def test_error_messages_hold_no_secrets(web: WebServer) -> None:
    host = f"127.0.0.1:{web.server_port}"
    secret = "0123456789abcdef0123"
    for path in ("always/404", "always/500", "truncated", "always/403"):
        for prefix in ("", "zip://a.jpg::", "simplecache::"):
            with pytest.raises((ImageNotFoundError, UnreadableImageError)) as caught:
                _reader().read(f"{prefix}http://me:hush@{host}/{path}?sig={secret}")
            assert "hush" not in str(caught.value)
            assert secret not in str(caught.value)
            assert "\n" not in str(caught.value)


def test_fsspec_cache_folder_is_private(web: WebServer) -> None:
    import fsspec

    filesystem, path = fsspec.url_to_fs(f"simplecache::{web.url('a.jpg')}")
    filesystem.cat_file(path)
    assert stat.S_IMODE(os.stat(filesystem.storage[-1]).st_mode) == 0o700


@pytest.mark.parametrize("name", ["header", "Headers", "client_kwarg"])
def test_a_misspelt_storage_option_is_named(web: WebServer, name: str) -> None:
    with pytest.raises(UnreadableImageError, match=f"storage_options has '{name}'.*did you mean '"):
        RemoteReader({name: {"Authorization": web.private}}).read(web.url("private/a.jpg"))
