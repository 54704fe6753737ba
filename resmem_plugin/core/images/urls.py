"""The parts of URLs: chains of filesystems, files, and data; nothing is read here."""

from __future__ import annotations

import binascii
import functools
import os
import re
from urllib.parse import unquote, unquote_to_bytes

from resmem_plugin.core.errors import UnreadableImageError
from resmem_plugin.core.images.limits import Limits

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # two letters or more: `C:\a` and `C://a` are local
_BARE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)::")
_FILE = re.compile(r"(?:file:(?=/)|local:(?=//))(?://(?:localhost(?=/))?)?", re.IGNORECASE)
_DATA = re.compile(r"data:(?:[\w.+-]+/[\w.+-]+)?\s*[;,]", re.IGNORECASE)  # `data:a/b.jpg` is a local path
_CHAINING = frozenset(
    ("zip", "tar", "libarchive", "dir", "simplecache", "filecache", "blockcache", "cached", "reference", "dask")
)
_IMAGES_IN_BASE64 = (
    "/9j/",
    "iVBORw0KGgo",
    "R0lGOD",
    "UklGR",
    "Qk",
    "SUkq",
    "TU0AK",
)  # of JPEG, PNG, GIF, WebP, BMP, TIFF
_MIN_BASE64 = 64
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]*")


def scheme(url: str) -> str | None:
    """The scheme before `://` in lower case, or None."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else None


def is_data(text: str) -> bool:
    """Whether this is a URL that holds its content, as in `data:image/png;base64,...`."""
    return text[:5].lower() == "data:" and _DATA.match(text) is not None


def is_file(text: str) -> bool:
    """Whether this is the URL of a local file: `file:///x`, `file:/x`, `file://localhost/x` or `local://x`."""
    return text[:6].lower() in ("file:/", "local:") and _FILE.match(text) is not None


def is_chained(text: str) -> bool:
    """Whether this starts with `protocol::` of a filesystem that reads another, and is no local file."""
    found = _BARE.match(text)
    return found is not None and _chains(found[1].lower()) and not os.path.lexists(text)


def file_path(url: str) -> str:
    """The local path of a file URL: as it is written if there is such a file, else with `%20` and the like decoded."""
    found = _FILE.match(url)
    path = url[found.end() :] if found else url
    if os.name == "nt" and re.match(r"/[A-Za-z]:", path):
        path = path[1:]
    path = os.path.expanduser(path)
    return path if "%" not in path or os.path.lexists(path) else unquote(path, errors="surrogateescape")


def chain(url: str) -> list[str]:
    """The URLs of a chain, from the outermost to the innermost, their schemes in lower case; of most URLs only itself.

    Only filesystems that read another one have a `::` after them: elsewhere it belongs to the name.

    Examples:
        >>> from resmem_plugin.core.images.urls import chain
        >>> chain("zip://a.jpg::https://host/b.zip")
        ['zip://a.jpg', 'https://host/b.zip']
        >>> chain("HTTP://host/image?id=urn::5")
        ['http://host/image?id=urn::5']
        >>> chain("simplecache::s3://bucket/a.jpg")
        ['simplecache', 's3://bucket/a.jpg']
    """
    bare = _BARE.match(url)
    if bare and _chains(bare[1].lower()):
        return [bare[1].lower(), *chain(url[bare.end() :])]
    protocol = scheme(url)
    if protocol is None:
        return [url]
    url = protocol + url[len(protocol) :]
    if "::" not in url or not _chains(protocol):
        return [url]
    pieces = url.split("::")
    start = _start_of_target(pieces)
    return ["::".join(pieces[:start]), *chain("::".join(pieces[start:]))]


def _start_of_target(pieces: list[str]) -> int:
    """The piece at which the inner URL starts: the first URL, else a local file of this name, else the last piece."""
    for start, piece in enumerate(pieces[1:], 1):
        last = start == len(pieces) - 1
        if scheme(piece) or is_file(piece) or (not last and _chains(piece.lower())):
            return start
    there = (start for start in range(1, len(pieces)) if os.path.lexists("::".join(pieces[start:])))
    return next(there, len(pieces) - 1)


@functools.lru_cache(maxsize=256)
def _chains(protocol: str) -> bool:
    """Whether fsspec knows this filesystem, and it reads another one."""
    if protocol in _CHAINING:
        return True
    import inspect

    from fsspec.registry import available_protocols, get_filesystem_class

    if protocol not in available_protocols():
        return False
    try:
        parameters = inspect.signature(get_filesystem_class(protocol).__init__).parameters
    except Exception:  # its package is not installed
        return False
    return "target_protocol" in parameters


def data_content(url: str, limits: Limits) -> bytes:
    """The content of a data URL.

    Raises:
        UnreadableImageError: if it is malformed, empty or too large.
    """
    kind, comma, text = url.partition(",")
    if not comma:
        raise UnreadableImageError("a data URL without a comma: its content comes after data:image/png;base64,")
    if len(text) // 4 > limits.max_bytes:  # also if all of it is %XX or base64
        raise limits.exceeded()
    encoded = unquote_to_bytes(text.encode("utf-8", "replace"))
    is_base64 = kind.rstrip().lower().endswith(";base64")
    content = _from_base64(encoded, "a data URL") if is_base64 else encoded
    if not content:
        raise UnreadableImageError("an empty data URL (0 bytes): its content comes after the comma")
    if len(content) > limits.max_bytes:
        raise limits.exceeded()
    return content


def base64_content(text: str, limits: Limits) -> bytes:
    """The content of base64 text, of the standard or the URL-safe alphabet, with or without padding and line ends.

    Raises:
        UnreadableImageError: if it is malformed, empty or too large.
    """
    if len(text) // 2 > limits.max_bytes:  # with line ends it is less than twice as long
        raise limits.exceeded()
    content = _from_base64(text.encode("utf-8", "replace"), "text")
    if not content:
        raise UnreadableImageError("empty text instead of base64 (0 bytes): fill it in, or leave it out")
    if len(content) > limits.max_bytes:
        raise limits.exceeded()
    return content


def looks_like_base64(text: object) -> bool:
    """Whether a text that is no path is likely to be an image in base64."""
    return isinstance(text, str) and len(text) >= _MIN_BASE64 and text.startswith(_IMAGES_IN_BASE64)


def _from_base64(text: bytes, kind: str) -> bytes:
    text = b"".join(text.split()).rstrip(b"=")
    valid = _BASE64.match(text)
    end = valid.end() if valid else 0
    if end < len(text):
        raise UnreadableImageError(
            f"{kind} with {text[end : end + 1]!r} at character {end + 1:,} of its base64, which cannot be there: "
            "copy it again"
        )
    if len(text) % 4 == 1:
        raise UnreadableImageError(f"{kind} whose base64 is cut off after {len(text):,} characters: copy it again")
    return binascii.a2b_base64(text.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (-len(text) % 4))
