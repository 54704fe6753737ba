"""http and https for fsspec: a session with limits, which failures are tried again, and what they mean to people."""

from __future__ import annotations

import asyncio
import functools
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp

from resmem_plugin.core.errors import ImageError, ImageNotFoundError, UnreadableImageError
from resmem_plugin.core.images.limits import Limits

ATTEMPTS = 4
"""For one image, the first included."""

_BACKOFF_BASE_S = 0.5
_MAX_RETRY_AFTER_S = 30.0
_RETRYABLE = frozenset((408, 425, 429, 500, 502, 503, 504))
_RANGE_IS_OUTSIDE = 416


def options(limits: Limits) -> dict[str, Any]:
    """What fsspec's HTTPFileSystem is built with. A caller's `client_kwargs` go before these limits."""
    return {"get_client": functools.partial(_session, limits)}


def retry(read: Callable[[], bytes]) -> bytes:
    """Call `read` until it succeeds: at most `ATTEMPTS` times, with pauses, and only if the failure is one that passes.

    These are answers of 5xx and 429, dropped connections and bodies cut short. A time-out is not tried again: it has
    waited long enough.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return read()
        except Exception as error:
            pause_s = _delay_s(_cause(error), attempt)
            if pause_s is None:
                raise
        time.sleep(pause_s)
    return read()


def to_image_error(error: Exception, limits: Limits) -> ImageError | None:
    """What a failure of http means; None if it is another kind. The text holds nothing that a server has sent."""
    cause = _cause(error)
    if isinstance(cause, asyncio.TimeoutError):
        return UnreadableImageError(
            f"no answer within {limits.timeout_s:g} s, or not all of it within {limits.total_s:g} s: try again later, "
            "or set RESMEM_TIMEOUT_S to more seconds"
        )
    if isinstance(cause, aiohttp.TooManyRedirects):
        return UnreadableImageError("redirected again and again: give the URL that it should lead to")
    if isinstance(cause, aiohttp.ClientResponseError):
        return _status_error(cause.status)
    if isinstance(cause, aiohttp.ClientSSLError):
        return UnreadableImageError("the server's certificate is not trusted: mend that, or take another server")
    if isinstance(cause, aiohttp.ClientPayloadError):
        return UnreadableImageError("cut short on its way, each time: try again later")
    if isinstance(cause, aiohttp.ClientConnectionError):
        return UnreadableImageError(
            "no connection to the server, or it is dropped each time: check the URL and the network, or try again later"
        )
    if cause is not None:
        return UnreadableImageError("no URL of http(s), or redirected to one of another kind: check its spelling")
    return None


def _status_error(status: int) -> ImageError:
    known = status in HTTPStatus.__members__.values()
    told = f"{status} {HTTPStatus(status).phrase}" if known else str(status)
    if status in (404, 410):
        return ImageNotFoundError(f"nothing at this URL ({told}): check its spelling")
    if status in (401, 403, 407):
        return UnreadableImageError(f"the server refuses it ({told}): check the URL, or give a key as storage_options")
    if status == 429:
        return UnreadableImageError(f"the server asks for fewer requests ({told}): try again later")
    if status in _RETRYABLE:
        return UnreadableImageError(f"the server fails ({told}): try again later")
    return UnreadableImageError(f"the server answers {told}: check the URL")


def _delay_s(cause: BaseException | None, attempt: int) -> float | None:
    """How long to wait before the next attempt; None: another one would be no use, or too early."""
    if isinstance(cause, aiohttp.ClientResponseError) and cause.status in _RETRYABLE:
        asked_s = _retry_after_s(cause.headers or {})
        if asked_s is not None:
            return asked_s if asked_s <= _MAX_RETRY_AFTER_S else None
    elif not isinstance(cause, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)) or isinstance(
        cause, (asyncio.TimeoutError, aiohttp.ClientSSLError)
    ):
        return None
    pause_s: float = _BACKOFF_BASE_S * 2 ** (attempt - 1)
    return pause_s * random.uniform(0.5, 1.5)  # noqa: S311 (it only spreads the load)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """What the header Retry-After asks for, seconds or a date; None if there is none that can be read."""
    given = headers.get("Retry-After", "")
    if given.isascii() and given.isdecimal():
        return float(given)
    try:
        return max(0.0, (parsedate_to_datetime(given) - datetime.now(timezone.utc)).total_seconds())
    except (TypeError, ValueError):
        return None


def _cause(error: BaseException) -> BaseException | None:
    """The failure of http in a chain of causes: fsspec wraps some in errors of its own."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, (aiohttp.ClientError, asyncio.TimeoutError)):
        found = found.__cause__
    return found


async def _session(limits: Limits, **given: Any) -> aiohttp.ClientSession:
    """The session that fsspec asks for, with its own options and those of the caller."""
    timeout = aiohttp.ClientTimeout(total=limits.total_s, sock_connect=limits.timeout_s, sock_read=limits.timeout_s)
    defaults: dict[str, Any] = {
        "timeout": timeout,
        "raise_for_status": _raise_for_status,
        "response_class": _size_limited(limits),
    }
    return aiohttp.ClientSession(**{**defaults, **given})


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    """Refuse an error's answer before its body is read."""
    if response.status != _RANGE_IS_OUTSIDE:  # which fsspec understands
        response.raise_for_status()


def _size_limited(limits: Limits) -> type[aiohttp.ClientResponse]:
    """A response whose body is at most so long, whether it tells its length or not."""

    class Response(aiohttp.ClientResponse):
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


class _LimitedStream:
    """A response's stream that ends with an error when more comes than may."""

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
