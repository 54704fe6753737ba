"""Lists the images under a URL that names a folder, and the files that a URL with a pattern matches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from resmem_plugin.core.errors import ImageError, OptionError
from resmem_plugin.core.images import urls
from resmem_plugin.core.images.decoding import readable_suffixes
from resmem_plugin.core.images.remote import RemoteReader
from resmem_plugin.core.images.sources import is_url
from resmem_plugin.core.sanitize import without_secrets
from resmem_plugin.jobs.listing import Listing, Selection, matches

_MAGIC = re.compile(r"[*?[]")
_UNLISTED = ("http", "https")  # what a server lists, if anything, is a page for people


def is_prefix(url: str, reader: RemoteReader) -> bool:
    """Whether a URL names a folder: by a `/` at its end, or, if it has no image's suffix, because it is one."""
    if not _is_listed(url):
        return False
    if url.endswith("/"):
        return True
    if PurePosixPath(url).suffix.lower() in readable_suffixes():
        return False
    try:
        return bool(reader.list_with(url, lambda filesystem, path: filesystem.isdir(path)))
    except ImageError:  # reading it will fail for the same reason, which its row will say
        return False


def list_prefix(url: str, reader: RemoteReader, recursive: bool, exclude: Sequence[str] = ()) -> Listing:
    """The images under a URL, sorted, by the rules of `list_folder`.

    Args:
        url: of a folder or a prefix of an object store; the images' URLs start with it.
        reader: lists it.
        recursive: list its subfolders too.
        exclude: patterns, as in `fnmatch`, of names or of paths under it to leave out.

    Raises:
        OptionError: if it cannot be listed.
    """
    selection = Selection(exclude)

    def listed(filesystem: Any, path: str) -> list[str]:
        entries = filesystem.find(path, detail=True).values() if recursive else filesystem.ls(path, detail=True)
        files = sorted(entry["name"] for entry in entries if entry["type"] == "file")
        inside = {_inside(path, name): name for name in files if not name.endswith("/")}
        return [name for name, full in inside.items() if selection.takes(name, _start_of(filesystem, full))]

    try:
        found = reader.list_with(url, listed)
    except ImageError as error:
        raise OptionError(f"the folder {without_secrets(url)} cannot be listed: {error}") from error
    return Listing([_join(url, name) for name in found], selection.skipped, is_flat=not recursive)


def match_urls(url: str, reader: RemoteReader, exclude: Sequence[str] = ()) -> list[str] | None:
    """The files that a URL with a pattern matches, sorted; None if it is no pattern, or an object has that very name.

    Raises:
        OptionError: if the filesystem cannot be listed.
    """
    protocol, separator, rest = url.rpartition("://")
    magic = _MAGIC.search(rest)
    if not _is_listed(url) or magic is None or not separator:
        return None
    literal = rest[: magic.start()].rpartition("/")[0]
    root, pattern = f"{protocol}://{literal}", rest[len(literal) :]

    def listed(filesystem: Any, path: str) -> list[str] | None:
        if filesystem.exists(path):
            return None
        entries = filesystem.glob(path, detail=True)
        return [
            _inside(path.removesuffix(pattern), name) for name in sorted(entries) if entries[name]["type"] == "file"
        ]

    try:
        found = reader.list_with(url, listed)
    except ImageError as error:
        raise OptionError(f"{without_secrets(url)} cannot be listed: {error}") from error
    if found is None:
        return None
    shows_hidden = rest.startswith(".") or "/." in rest
    kept = [name for name in found if shows_hidden or not any(part.startswith(".") for part in name.split("/"))]
    return [_join(root, name) for name in kept if not matches(name, exclude)]


def _is_listed(url: str) -> bool:
    if not is_url(url) or urls.is_data(url) or urls.is_file(url):
        return False
    chain = urls.chain(url)
    return chain[0].partition("://")[0] not in ("zip", "tar") and urls.scheme(chain[-1]) not in _UNLISTED


def _inside(folder: str, name: str) -> str:
    folder = folder.rstrip("/")
    return name.removeprefix(f"{folder}/") if folder else name.lstrip("/")


def _join(url: str, name: str) -> str:
    return f"{url}{name}" if url.endswith("/") else f"{url}/{name}"


def _start_of(filesystem: Any, path: str) -> Any:
    return lambda length: filesystem.cat_file(path, start=0, end=length)
