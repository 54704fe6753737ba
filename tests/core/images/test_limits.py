"""Limits of time and size for images behind URLs."""

from __future__ import annotations

import time

import aiohttp
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import ImageNotFoundError, OptionError, UnreadableImageError
from resmem_plugin.core.images import http as web_module
from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.images.remote import RemoteReader
from resmem_plugin.reports.gallery import Card, Gallery
from tests.http_server import IMAGE, WebServer
from tests.models import Red

MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "_BACKOFF_BASE_S", 0.01)


def _reader(**limits: float) -> RemoteReader:
    return RemoteReader(None, Limits(**{"max_bytes": MEGABYTE, "timeout_s": 10.0, **limits}))  # type: ignore[arg-type]


def test_scorer_and_gallery_keep_the_limits(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESMEM_TIMEOUT_S", "1")
    monkeypatch.setenv("RESMEM_MAX_BYTES", str(MEGABYTE))
    urls = [web.url(path) for path in ("stalled", "endless", "always/404", "always/500", "truncated", "a.jpg")]
    began = time.monotonic()
    *failed, good = Scorer(device="cpu", model=Red()).score(urls, errors="coerce")
    shown = Gallery([Card(url, 0.5) for url in urls])._repr_html_()
    assert time.monotonic() - began < 20
    assert good.ok
    message = ["no response within", "larger than", "nothing at this URL", "server error", "truncated"]
    for score, words in zip(failed, message, strict=True):
        assert words in str(score.error)
        assert words in shown
    assert shown.count("data:image/jpeg") == 1


@pytest.mark.parametrize("name", ["RESMEM_TIMEOUT_S", "RESMEM_MAX_BYTES"])
@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf"])
def test_limits_from_the_environment_must_be_numbers(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(OptionError, match=f"{name} must be a number above 0"):
        Scorer(device="cpu", model=Red())


def test_storage_options_override_the_timeout(web: WebServer) -> None:
    patient = {"client_kwargs": {"timeout": aiohttp.ClientTimeout(total=0.2)}}
    began = time.monotonic()
    with pytest.raises(UnreadableImageError, match="no response"):
        RemoteReader(patient, Limits(timeout_s=60)).read(web.url("silent"))
    assert time.monotonic() - began < 20
    key = {"headers": {"Authorization": web.private}}
    chained = RemoteReader({"http": key}, Limits(max_bytes=MEGABYTE))
    for _ in range(2):  # fsspec would add to the options it is given
        assert chained.read(f"zip://a.jpg::{web.url('private/a.zip')}") == IMAGE
        assert chained.read(f"simplecache::{web.url('private/a.jpg')}") == IMAGE
    with pytest.raises(ImageNotFoundError, match="that it is reachable"):
        _reader().read(f"simplecache::{web.url('private/b.jpg')}")


def test_an_archive_may_be_larger_than_an_image(web: WebServer) -> None:
    size = len(IMAGE) // 2
    assert Limits(max_bytes=size).max_bytes < len(IMAGE)
    with pytest.raises(UnreadableImageError, match="larger than"):
        _reader(max_bytes=size).read(f"simplecache::{web.url('a.jpg')}")
    reader = _reader(max_bytes=len(IMAGE) + 10)  # the archive has some more
    assert reader.read(f"zip://a.jpg::simplecache::{web.url('a.zip')}") == IMAGE
    reader.close()
