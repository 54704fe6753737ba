"""http and https for fsspec: a session with limits, retries, and errors that say what to do."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp
import yarl
from multidict import CIMultiDict, CIMultiDictProxy

from resmem_plugin.core.errors import ImageError, ImageNotFoundError, UnreadableImageError
from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.provenance import package_version

MAX_ATTEMPTS = 4
"""Requests for one image, including the first."""

_BACKOFF_BASE_S = 0.5  # doubled at each attempt
_MAX_RETRY_AFTER_S = 30.0
_RETRYABLE = frozenset((408, 425, 429, 500, 502, 503, 504))
_RANGE_NOT_SATISFIABLE = 416
_VALID = r"(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
_LOCATION = re.compile(_VALID)
_ENCODED = re.compile(r"https?://[A-Za-z0-9.:@~_%!$&'()*+,;=\[\]-]+[/?]" + _VALID)

_Result = TypeVar("_Result")


def options(limits: Limits, url: str) -> dict[str, Any]:
    """Options for fsspec's HTTPFileSystem. A caller's `client_kwargs` take precedence over these limits."""
    return {"get_client": functools.partial(_session, limits), "encoded": is_encoded(url)}


def is_encoded(url: str) -> bool:
    """Whether a URL holds only what URLs may hold, and is sent as it is: its signature may be for `%2F` or `%27`."""
    return _ENCODED.fullmatch(url) is not None


def retry(read: Callable[[], _Result]) -> _Result:
    """Call `read`, and again after a transient failure: at most `MAX_ATTEMPTS` times, with exponential back-off.

    Transient are responses of 5xx, 408, 425 and 429, dropped connections and truncated bodies. A timeout is not
    retried: it has waited long enough.
    """
    for attempt in range(1, MAX_ATTEMPTS):
        try:
            return read()
        except Exception as error:
            delay_s = _delay_s(_cause(error), attempt)
            if delay_s is None:
                raise
        time.sleep(delay_s)
    return read()


def to_image_error(error: Exception, limits: Limits) -> ImageError | None:
    """The `ImageError` for a failure of http, without text from the server; None if it is of another kind."""
    cause = _cause(error)
    if isinstance(cause, asyncio.TimeoutError):
        return UnreadableImageError(
            f"no response within {limits.timeout_s:g} s, or not complete within {limits.total_s:g} s: try later, "
            "or set RESMEM_TIMEOUT_S to more seconds"
        )
    if isinstance(cause, aiohttp.TooManyRedirects):
        return UnreadableImageError("too many redirects: give the final URL")
    if isinstance(cause, aiohttp.ClientResponseError):
        return _status_error(cause.status)
    if isinstance(cause, aiohttp.ClientSSLError):
        return UnreadableImageError("the server's certificate is not trusted: fix it, or use another server")
    if isinstance(cause, aiohttp.ClientPayloadError):
        return UnreadableImageError("the response was truncated each time: try again later")
    if isinstance(cause, aiohttp.ClientConnectionError):
        return UnreadableImageError(
            "no connection to the server, or it was dropped each time: check the URL and the network, or try again "
            "later"
        )
    if cause is not None:
        return UnreadableImageError("not an http(s) URL, or redirected to one: check its spelling")
    return None


def _status_error(status: int) -> ImageError:
    known = status in HTTPStatus.__members__.values()
    answer = f"{status} {HTTPStatus(status).phrase}" if known else str(status)
    if status in (404, 410):
        return ImageNotFoundError(f"nothing at this URL ({answer}): check its spelling")
    if status in (401, 403, 407):
        return UnreadableImageError(
            f"access denied ({answer}): check the URL. Some servers want credentials or a browser's User-Agent: give "
            "storage_options={'headers': {...}}, or --header 'Name: value' on the command line"
        )
    if status == 429:
        return UnreadableImageError(f"too many requests ({answer}): try again later")
    if status in _RETRYABLE:
        return UnreadableImageError(f"server error ({answer}): try again later")
    return UnreadableImageError(f"unexpected response {answer}: check the URL")


def _delay_s(cause: BaseException | None, attempt: int) -> float | None:
    """Seconds to wait before the next attempt; None if there should be none."""
    if isinstance(cause, aiohttp.ClientResponseError) and cause.status in _RETRYABLE:
        retry_after_s = _retry_after_s(cause.headers or {})
        if retry_after_s is not None:
            return retry_after_s if retry_after_s <= _MAX_RETRY_AFTER_S else None
    elif not isinstance(cause, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)) or isinstance(
        cause, (asyncio.TimeoutError, aiohttp.ClientSSLError)
    ):
        return None
    delay_s: float = _BACKOFF_BASE_S * 2 ** (attempt - 1)
    return delay_s * random.uniform(0.5, 1.5)  # noqa: S311 (it only spreads the load)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The header Retry-After in seconds, given as a number or a date; None if there is no valid one."""
    given = headers.get("Retry-After", "")
    if given.isascii() and given.isdecimal():
        return float(given)
    try:
        return max(0.0, (parsedate_to_datetime(given) - datetime.now(timezone.utc)).total_seconds())
    except (TypeError, ValueError):
        return None


def _cause(error: BaseException) -> BaseException | None:
    """The http error in a chain of causes: fsspec wraps some."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, (aiohttp.ClientError, asyncio.TimeoutError)):
        found = found.__cause__
    return found


async def _session(limits: Limits, **given: Any) -> aiohttp.ClientSession:
    """The session that fsspec asks for, with its own options and the caller's."""
    timeout = aiohttp.ClientTimeout(total=limits.total_s, sock_connect=limits.timeout_s, sock_read=limits.timeout_s)
    defaults: dict[str, Any] = {
        "timeout": timeout,
        "raise_for_status": _raise_for_status,
        "response_class": _response_class(limits),
        "requote_redirect_url": False,  # the response has done it where it is needed
    }
    headers = CIMultiDict(given.pop("headers", None) or {})
    headers.setdefault("User-Agent", f"resmem-plugin/{package_version()}")
    return aiohttp.ClientSession(**{**defaults, **given, "headers": headers})


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    """Raise for an error status before the body is read."""
    if response.status != _RANGE_NOT_SATISFIABLE:  # which fsspec handles
        response.raise_for_status()


def _response_class(limits: Limits) -> type[aiohttp.ClientResponse]:
    """A response class whose body is limited, whether it declares its length or not, and whose redirects are quoted."""

    class Response(aiohttp.ClientResponse):
        @property
        def headers(self) -> CIMultiDictProxy[str]:
            return _with_quoted_location(self._headers)

        async def start(self, connection: Any) -> aiohttp.ClientResponse:
            await super().start(connection)
            self.content = _LimitedStream(self.content, limits)  # type: ignore[assignment]
            return self

        async def read(self) -> bytes:
            if (self.content_length or 0) > limits.max_bytes:
                self.close()
                raise limits.exceeded()
            return await super().read()

    return Response


def _with_quoted_location(headers: CIMultiDictProxy[str]) -> CIMultiDictProxy[str]:
    """The headers of a response whose Location is a valid URL: quoted if it is not, else as the server wrote it."""
    location = headers.get("Location")
    if location is None or _LOCATION.fullmatch(location):
        return headers
    quoted = CIMultiDict(headers)
    with contextlib.suppress(ValueError):  # what is no URL at all has its error where it is followed
        quoted["Location"] = str(yarl.URL(location))
    return CIMultiDictProxy(quoted)


class _LimitedStream:
    """A response's stream that raises when it exceeds the limit."""

    def __init__(self, stream: aiohttp.StreamReader, limits: Limits) -> None:
        self._stream, self._limits = stream, limits
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def read(self, n: int = -1) -> bytes:
        if n >= 0:
            return await self._counted(self._stream.read(n))
        chunks = []
        while chunk := await self._counted(self._stream.readany()):
            chunks.append(chunk)
        return b"".join(chunks)

    async def _counted(self, reading: Awaitable[bytes]) -> bytes:
        chunk = await reading
        self._bytes += len(chunk)
        if self._bytes > self._limits.max_bytes:
            raise self._limits.exceeded()
        return chunk
