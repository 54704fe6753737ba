"""Images over HTTP: retries, redirects, timeouts, connections."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import ImageNotFoundError, UnreadableImageError
from resmem_plugin.core.images import http as web_module
from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.images.remote import MAX_CONNECTIONS, RemoteReader
from resmem_plugin.core.provenance import package_version
from tests.http_server import CROWD, IMAGE, WebServer

MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "_BACKOFF_BASE_S", 0.01)


def _reader(**limits: float) -> RemoteReader:
    return RemoteReader(None, Limits(**{"max_bytes": MEGABYTE, "timeout_s": 10.0, **limits}))  # type: ignore[arg-type]


def test_http_requests_each_image_once(web: WebServer, red: Scorer) -> None:
    expected = red.score([IMAGE])[0].memorability
    urls = [web.url(f"{name}.jpg?v={name}") for name in ("a", "b%20c", "d[1]", "e*")]
    assert [score.memorability for score in red.score(urls)] == pytest.approx([expected] * len(urls))
    assert all(request.startswith("GET") for request in web.requests)
    assert set(web.requests.values()) == {1}


def test_http_404_is_a_row_with_its_error(web: WebServer, red: Scorer) -> None:
    score, good = red.score([web.url("none"), web.url("a.jpg")], errors="coerce")
    assert score.error is not None
    assert "nothing at this URL" in score.error
    assert good.ok


@pytest.mark.parametrize("path", ["500-then-ok/3", "503-then-ok/1", "429-then-ok/2", "drop/3"])
def test_transient_http_errors_are_retried(web: WebServer, path: str) -> None:
    assert _reader().read(web.url(path)) == IMAGE
    assert web.requests[f"GET /{path}"] == int(path[-1]) + 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("always/500", "500 Internal Server Error"),
        ("always/503", "503 Service Unavailable"),
        ("always/429", "too many requests"),
        ("drop/99", "dropped each time"),
        ("truncated", "truncated"),
        ("truncated-chunks", "truncated"),
    ],
)
def test_retries_end_after_four_attempts(web: WebServer, path: str, message: str) -> None:
    with pytest.raises(UnreadableImageError, match=f"{message}.*try again later"):
        _reader().read(web.url(path))
    asked = web.requests[f"GET /{path}"]
    assert asked in ((4, 8) if path.startswith("drop") else (4,))  # aiohttp knocks twice where nobody answers


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("always/404", "nothing at this URL"),
        ("always/410", "nothing at this URL"),
        ("always/401", "storage_options"),
        ("always/403", r"a browser's User-Agent: give storage_options=\{'headers': .*--header"),
        ("always/501", "501 Not Implemented"),
        ("always/599", "unexpected response 599"),
        ("always/503?after=3600", "try again later"),
        ("redirect-to-file", r"not an http\(s\) URL, or redirected to one"),
        ("huge", "larger than 1,048,576 bytes"),
        ("endless", "RESMEM_MAX_BYTES"),
        ("inflated", "RESMEM_MAX_BYTES"),
    ],
)
def test_permanent_http_errors_are_not_retried(web: WebServer, path: str, message: str) -> None:
    expected = ImageNotFoundError if path in ("always/404", "always/410") else UnreadableImageError
    with pytest.raises(expected, match=message):
        _reader().read(web.url(path))
    assert web.requests == {f"GET /{path}": 1}


def test_redirects_are_followed_up_to_a_limit(web: WebServer) -> None:
    assert _reader().read(web.url("redirect")) == IMAGE
    with pytest.raises(UnreadableImageError, match="too many redirects"):
        _reader().read(web.url("redirect-loop"))
    assert web.requests["GET /redirect-loop"] <= 11


@pytest.mark.parametrize("path", ["silent", "stalled", "dripping"])
def test_timeouts_are_not_retried(web: WebServer, path: str) -> None:
    timeout_s = 0.3
    began = time.monotonic()
    with pytest.raises(UnreadableImageError, match=r"within 0.3 s, or not complete within 3 s.*RESMEM_TIMEOUT_S"):
        _reader(timeout_s=timeout_s).read(web.url(path))
    longest = 3 if path == "dripping" else timeout_s
    assert longest <= time.monotonic() - began < longest + 5  # a time-out is not tried again
    assert sum(web.requests.values()) == 1


def test_connection_refused_is_an_error(web: WebServer) -> None:
    with pytest.raises(UnreadableImageError, match="no connection to the server"):
        _reader().read("http://127.0.0.1:1/a.jpg")


def test_retry_after_header_is_respected(web: WebServer) -> None:
    pauses = web_module._retry_after_s
    assert pauses({"Retry-After": "7"}) == 7
    assert pauses({"Retry-After": "x"}) is pauses({"Retry-After": "-1"}) is pauses({}) is None
    soon = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=60), usegmt=True)
    assert pauses({"Retry-After": soon}) == pytest.approx(60, abs=3)
    began = time.monotonic()
    assert _reader().read(web.url("429-then-ok/1?after=1")) == IMAGE
    assert time.monotonic() - began >= 1


def test_backoff_grows_and_has_jitter() -> None:
    failure = aiohttp.ServerDisconnectedError()
    pauses = [[web_module._delay_s(failure, attempt) or 0 for _ in range(50)] for attempt in (1, 2, 3)]
    for attempt, found in enumerate(pauses):
        assert all(0.005 * 2**attempt <= pause <= 0.015 * 2**attempt for pause in found)
        assert len(set(found)) > 1


def test_connections_are_limited(web: WebServer) -> None:
    reader = _reader()
    with ThreadPoolExecutor(3 * CROWD) as threads:
        assert list(threads.map(reader.read, [web.url("busy")] * 3 * CROWD)) == [IMAGE] * 3 * CROWD
    assert web.crowd == CROWD == MAX_CONNECTIONS


def test_the_pipeline_uses_all_connections(web: WebServer, red: Scorer) -> None:
    assert all(score.ok for score in red.score([web.url("busy")] * 2 * CROWD))
    assert web.crowd == CROWD


def test_http_sends_who_it_is(web: WebServer) -> None:
    _reader().read(web.url("a.jpg"))
    assert web.user_agents == [f"resmem-plugin/{package_version()}"]


@pytest.mark.parametrize(
    "options", [{"headers": {"user-agent": "me"}}, {"client_kwargs": {"headers": {"User-agent": "me"}}}]
)
def test_a_user_agent_of_the_callers_is_sent(web: WebServer, options: dict[str, Any]) -> None:
    assert RemoteReader(options).read(web.url("a.jpg")) == IMAGE
    assert web.user_agents == ["me"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("a%2Fb%40c%27d%7E.jpg?sig=a%2Fb%2B%3D&at=%40%27~", "a%2Fb%40c%27d%7E.jpg?sig=a%2Fb%2B%3D&at=%40%27~"),
        ("a@b'c(d)!.jpg?x=a/b@c+d", "a@b'c(d)!.jpg?x=a/b@c+d"),
        ("a/../b.jpg", "a/../b.jpg"),
        ("a b.jpg", "a%20b.jpg"),
        ("é%2F.jpg", "%C3%A9%2F.jpg"),
        ("50%.jpg", "50%25.jpg"),
        ("a.jpg#part", "a.jpg"),
    ],
)
def test_a_validly_encoded_url_is_sent_as_it_is(web: WebServer, given: str, sent: str) -> None:
    assert _reader().read(web.url(given)) == IMAGE
    assert web.requests == {f"GET /{sent}": 1}


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("/a%2Fb%40c%27.jpg?sig=a%2Fb%27%40", "/a%2Fb%40c%27.jpg?sig=a%2Fb%27%40"),
        ("/a b.jpg?x=c d", "/a%20b.jpg?x=c+d"),
        ("a.jpg", "/a.jpg"),
    ],
)
def test_a_redirect_is_followed_as_the_server_wrote_it(web: WebServer, location: str, sent: str) -> None:
    web.location = location
    assert _reader().read(web.url("redirect")) == IMAGE
    assert web.requests == {"GET /redirect": 1, f"GET {sent}": 1}
