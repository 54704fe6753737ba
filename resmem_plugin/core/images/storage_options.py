"""Which of a caller's storage options each filesystem gets."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from resmem_plugin.core.errors import UnreadableImageError

_FOR_HTTP_ALONE = frozenset(
    (
        "allow_redirects",
        "client_kwargs",
        "cookies",
        "encoded",
        "get_client",
        "headers",
        "max_redirects",
        "proxy_auth",
        "same_scheme",
        "simple_links",
    )
)
_NEAR = 0.85  # of 1: one letter more or less
_LOCAL = frozenset(("file", "local"))


def for_filesystem(given: Mapping[str, Any] | None, kind: Any, protocol: str, *, outermost: bool) -> dict[str, Any]:
    """The options that belong to one filesystem of a URL.

    A mapping under the name of a protocol, as in `{"s3": {...}}`, is for that protocol in every URL. The others are
    for a URL's outermost filesystem, without those it does not know. Local files need none.

    Args:
        given: the caller's options.
        kind: the class of the filesystem.
        protocol: as the URL has it.
        outermost: whether it is the only filesystem of the URL, or the first of its chain.

    Raises:
        UnreadableImageError: for an option that http does not know, and whose name is nearly one of its own.
    """
    if not given or protocol in _LOCAL:
        return {}
    by_protocol = {name: value for name, value in given.items() if isinstance(value, Mapping) and _is_protocol(name)}
    own = dict(_of_protocol(by_protocol, kind, protocol))
    if outermost:
        flat = {name: value for name, value in given.items() if name not in by_protocol}
        known = {name: value for name, value in flat.items() if _knows(kind, name)}
        if "http" in kind.protocol:
            _check_spelling(flat.keys() - known.keys())
        own = {**known, **own}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in own.items()}  # fsspec adds


def _of_protocol(options: Mapping[str, Mapping[str, Any]], kind: Any, protocol: str) -> Mapping[str, Any]:
    """Those under the protocol itself, else under another name of its filesystem: what is for https stays off http."""
    if protocol in options:
        return options[protocol]
    others = (kind.protocol,) if isinstance(kind.protocol, str) else kind.protocol
    return next((options[other] for other in others if other in options and other != "https"), {})


def _is_protocol(name: str) -> bool:
    from fsspec.registry import available_protocols

    return name in available_protocols()


def _check_spelling(unknown: Iterable[str]) -> None:
    """Refuse what looks like a misspelt option of http; others may be for other protocols."""
    for name in unknown:
        near = difflib.get_close_matches(name, _http_names(), n=1, cutoff=_NEAR)
        if near:
            raise UnreadableImageError(
                f"storage_options has {name!r}, which http(s) does not know: did you mean {near[0]!r}?"
            )


def _knows(kind: Any, name: str) -> bool:
    if "http" in kind.protocol:
        return name in _http_names()
    return name not in _FOR_HTTP_ALONE or name in _names(kind)


@functools.lru_cache(maxsize=1)
def _http_names() -> frozenset[str]:
    import aiohttp
    from fsspec.implementations.http import HTTPFileSystem

    request = inspect.signature(aiohttp.ClientSession._request).parameters
    listing = ("use_listings_cache", "listings_expiry_time", "max_paths", "skip_instance_cache")
    return _names(HTTPFileSystem) | frozenset(request) - {"self", "method", "str_or_url"} | frozenset(listing)


@functools.lru_cache(maxsize=64)
def _names(kind: Any) -> frozenset[str]:
    """What the classes of a filesystem name as arguments."""
    return frozenset(name for base in kind.__mro__ for name in inspect.signature(base.__init__).parameters)
