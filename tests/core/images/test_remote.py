"""Servers and archives that are slow, broken, endless or hostile: each costs its own image, and a bounded time."""

from __future__ import annotations

import os
import stat
import struct
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import aiohttp
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import ImageNotFoundError, OptionError, UnreadableImageError, UnsupportedImageError
from resmem_plugin.core.images import http as web_module
from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.images.remote import CONNECTIONS, RemoteReader
from resmem_plugin.reports.gallery import Card, Gallery
from tests.http_server import CROWD, PICTURE, WebServer
from tests.models import Red

MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "_BACKOFF_BASE_S", 0.01)


def _reader(**limits: float) -> RemoteReader:
    return RemoteReader(None, Limits(**{"max_bytes": MEGABYTE, "timeout_s": 10.0, **limits}))  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["500-then-ok/3", "503-then-ok/1", "429-then-ok/2", "drop/3"])
def test_what_passes_is_tried_again(web: WebServer, path: str) -> None:
    assert _reader().read(web.url(path)) == PICTURE
    assert web.requests[f"GET /{path}"] == int(path[-1]) + 1


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("always/500", "500 Internal Server Error"),
        ("always/503", "503 Service Unavailable"),
        ("always/429", "too many requests"),
        ("drop/99", "dropped each time"),
        ("truncated", "truncated"),
        ("truncated-chunks", "truncated"),
    ],
)
def test_it_is_tried_a_few_times_only(web: WebServer, path: str, told: str) -> None:
    with pytest.raises(UnreadableImageError, match=f"{told}.*try again later"):
        _reader().read(web.url(path))
    asked = web.requests[f"GET /{path}"]
    assert asked in ((4, 8) if path.startswith("drop") else (4,))  # aiohttp knocks twice where nobody answers


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("always/404", "nothing at this URL"),
        ("always/410", "nothing at this URL"),
        ("always/401", "storage_options"),
        ("always/403", "storage_options"),
        ("always/501", "501 Not Implemented"),
        ("always/599", "unexpected response 599"),
        ("always/503?after=3600", "try again later"),
        ("redirect-to-file", r"not an http\(s\) URL, or redirected to one"),
        ("huge", "larger than 1,048,576 bytes"),
        ("endless", "RESMEM_MAX_BYTES"),
        ("inflated", "RESMEM_MAX_BYTES"),
    ],
)
def test_what_does_not_pass_is_asked_for_once(web: WebServer, path: str, told: str) -> None:
    expected = ImageNotFoundError if path in ("always/404", "always/410") else UnreadableImageError
    with pytest.raises(expected, match=told):
        _reader().read(web.url(path))
    assert web.requests == {f"GET /{path}": 1}


def test_redirects_are_followed_a_few_times(web: WebServer) -> None:
    assert _reader().read(web.url("redirect")) == PICTURE
    with pytest.raises(UnreadableImageError, match="too many redirects"):
        _reader().read(web.url("redirect-loop"))
    assert web.requests["GET /redirect-loop"] <= 11


@pytest.mark.parametrize("path", ["silent", "stalled", "dripping"])
def test_waiting_ends(web: WebServer, path: str) -> None:
    timeout_s = 0.3
    began = time.monotonic()
    with pytest.raises(UnreadableImageError, match=r"within 0.3 s, or not complete within 3 s.*RESMEM_TIMEOUT_S"):
        _reader(timeout_s=timeout_s).read(web.url(path))
    longest = 3 if path == "dripping" else timeout_s
    assert longest <= time.monotonic() - began < longest + 5  # a time-out is not tried again
    assert sum(web.requests.values()) == 1


def test_a_closed_port(web: WebServer) -> None:
    with pytest.raises(UnreadableImageError, match="no connection to the server"):
        _reader().read("http://127.0.0.1:1/a.jpg")


def test_a_server_may_ask_for_its_pause(web: WebServer) -> None:
    pauses = web_module._retry_after_s
    assert pauses({"Retry-After": "7"}) == 7
    assert pauses({"Retry-After": "x"}) is pauses({"Retry-After": "-1"}) is pauses({}) is None
    soon = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=60), usegmt=True)
    assert pauses({"Retry-After": soon}) == pytest.approx(60, abs=3)
    began = time.monotonic()
    assert _reader().read(web.url("429-then-ok/1?after=1")) == PICTURE
    assert time.monotonic() - began >= 1


def test_pauses_grow_and_differ() -> None:
    failure = aiohttp.ServerDisconnectedError()
    pauses = [[web_module._delay_s(failure, attempt) or 0 for _ in range(50)] for attempt in (1, 2, 3)]
    for attempt, found in enumerate(pauses):
        assert all(0.005 * 2**attempt <= pause <= 0.015 * 2**attempt for pause in found)
        assert len(set(found)) > 1


def test_every_door_is_bounded(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESMEM_TIMEOUT_S", "1")
    monkeypatch.setenv("RESMEM_MAX_BYTES", str(MEGABYTE))
    urls = [web.url(path) for path in ("stalled", "endless", "always/404", "always/500", "truncated", "a.jpg")]
    began = time.monotonic()
    *failed, good = Scorer(device="cpu", model=Red()).score(urls, errors="coerce")
    shown = Gallery([Card(url, 0.5) for url in urls])._repr_html_()
    assert time.monotonic() - began < 20
    assert good.ok
    told = ["no response within", "larger than", "nothing at this URL", "server error", "truncated"]
    for score, words in zip(failed, told, strict=True):
        assert words in str(score.error)
        assert words in shown
    assert shown.count("data:image/jpeg") == 1


@pytest.mark.parametrize("name", ["RESMEM_TIMEOUT_S", "RESMEM_MAX_BYTES"])
@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf"])
def test_limits_are_numbers(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(OptionError, match=f"{name} must be a number above 0"):
        Scorer(device="cpu", model=Red())


def test_storage_options_go_before_the_limits(web: WebServer) -> None:
    patient = {"client_kwargs": {"timeout": aiohttp.ClientTimeout(total=0.2)}}
    began = time.monotonic()
    with pytest.raises(UnreadableImageError, match="no response"):
        RemoteReader(patient, Limits(timeout_s=60)).read(web.url("silent"))
    assert time.monotonic() - began < 20
    key = {"headers": {"Authorization": web.private}}
    chained = RemoteReader({"http": key}, Limits(max_bytes=MEGABYTE))
    for _ in range(2):  # fsspec would add to the options it is given
        assert chained.read(f"zip://a.jpg::{web.url('private/a.zip')}") == PICTURE
        assert chained.read(f"simplecache::{web.url('private/a.jpg')}") == PICTURE
    with pytest.raises(ImageNotFoundError, match="that it is reachable"):
        _reader().read(f"simplecache::{web.url('private/b.jpg')}")


def test_no_more_connections_than_may_be(web: WebServer) -> None:
    reader = _reader()
    with ThreadPoolExecutor(3 * CROWD) as threads:
        assert list(threads.map(reader.read, [web.url("busy")] * 3 * CROWD)) == [PICTURE] * 3 * CROWD
    assert web.crowd == CROWD == CONNECTIONS


def test_the_pipeline_uses_them_all(web: WebServer, red: Scorer) -> None:
    assert all(score.ok for score in red.score([web.url("busy")] * 2 * CROWD))
    assert web.crowd == CROWD


def test_an_archive_behind_http(web: WebServer) -> None:
    reader = _reader()
    assert reader.read(f"zip://a.jpg::{web.url('a.zip')}") == PICTURE
    with pytest.raises(ImageNotFoundError, match="nothing at this URL"):
        reader.read(f"zip://b.jpg::{web.url('a.zip')}")
    with pytest.raises(UnreadableImageError, match="500"):
        reader.read(f"zip://a.jpg::{web.url('always/500')}")
    reader.close()


@pytest.mark.parametrize("cache", ["simplecache", "filecache"])
def test_a_cache_does_not_keep_half_a_picture(web: WebServer, cache: str, tmp_path: Path) -> None:
    reader = RemoteReader({"cache_storage": str(tmp_path)}, Limits(max_bytes=MEGABYTE))
    for path, told in (("truncated", "truncated"), ("endless", "larger than")):
        for _ in range(2):
            with pytest.raises(UnreadableImageError, match=told):
                reader.read(f"{cache}::{web.url(path)}")
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(reader.read, [f"{cache}::{web.url('a.jpg')}"] * 32)) == {PICTURE}
    assert cache == "filecache" or web.requests["GET /a.jpg"] == 2  # whether it is there, and the picture


def test_an_archive_may_be_larger_than_an_image(web: WebServer) -> None:
    size = len(PICTURE) // 2
    assert Limits(max_bytes=size).max_bytes < len(PICTURE)
    with pytest.raises(UnreadableImageError, match="larger than"):
        _reader(max_bytes=size).read(f"simplecache::{web.url('a.jpg')}")
    reader = _reader(max_bytes=len(PICTURE) + 10)  # the archive has some more
    assert reader.read(f"zip://a.jpg::simplecache::{web.url('a.zip')}") == PICTURE
    reader.close()


def _archive(path: Path, *, method: int = zipfile.ZIP_DEFLATED, content: bytes = PICTURE, name: str = "a.jpg") -> str:
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
    ("make", "told"),
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
def test_archives_that_are_broken_or_hostile(make: Callable[[Path], str], told: str, tmp_path: Path) -> None:
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
    assert [told in str(error) for error in failures] == [True]
    reader.close()


def test_a_member_with_a_name_that_climbs_is_only_read(tmp_path: Path) -> None:
    url = _archive(tmp_path / "x.zip", name="../../climbed.jpg")
    assert _reader().read(url) == PICTURE
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("url", ["reference://a::https://host/r.json", "simplecache::reference://a", "dask://h:1/a"])
def test_urls_that_give_orders(url: str) -> None:
    with pytest.raises(UnsupportedImageError, match="unsupported URL scheme"):
        _reader().read(url)


def test_reasons_keep_secrets(web: WebServer) -> None:
    host = f"127.0.0.1:{web.server_port}"
    secret = "0123456789abcdef0123"
    for path in ("always/404", "always/500", "truncated", "always/403"):
        for prefix in ("", "zip://a.jpg::", "simplecache::"):
            with pytest.raises((ImageNotFoundError, UnreadableImageError)) as caught:
                _reader().read(f"{prefix}http://me:hush@{host}/{path}?sig={secret}")
            assert "hush" not in str(caught.value)
            assert secret not in str(caught.value)
            assert "\n" not in str(caught.value)


def test_caches_of_urls_are_private(web: WebServer) -> None:
    import fsspec

    filesystem, path = fsspec.url_to_fs(f"simplecache::{web.url('a.jpg')}")
    filesystem.cat_file(path)
    assert stat.S_IMODE(os.stat(filesystem.storage[-1]).st_mode) == 0o700
