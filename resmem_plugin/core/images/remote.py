"""Reads fsspec URLs within limits of time and size, with an error for each kind of failure."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from resmem_plugin.core.errors import (
    ImageError,
    ImageNotFoundError,
    UnreadableImageError,
    UnsupportedImageError,
)
from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.sanitize import printable, without_secrets

MAX_CONNECTIONS = 16
"""Images that a reader fetches at once over http(s), whatever the number of threads: servers block more."""

_MAX_OPEN_ARCHIVES = 8
_HTTP = re.compile(r"(?:^|::)(https?)://")
_REFUSED = re.compile(r"(?:^|::)(reference|dask)(?:://|::)")  # they follow instructions in a file, or from a scheduler
_ENCRYPTED = 0x1


@dataclass(frozen=True)
class RemoteReader:
    """Reads the bytes behind URLs; safe to share between threads.

    Args:
        storage_options: passed to the fsspec filesystem, as in pandas: headers for http(s), credentials for s3.
        limits: maximum size and time.
    """

    storage_options: Mapping[str, Any] | None = None
    limits: Limits = field(default_factory=Limits.from_environment)
    _archives: OrderedDict[str, Any] = field(default_factory=OrderedDict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _slots: threading.Semaphore = field(
        default_factory=lambda: threading.Semaphore(MAX_CONNECTIONS), repr=False, compare=False
    )
    _downloads: tuple[threading.Lock, ...] = field(
        default_factory=lambda: tuple(threading.Lock() for _ in range(64)), repr=False, compare=False
    )

    def read(self, url: str) -> bytes:
        """The bytes behind a URL.

        Raises:
            ImageError: if there is nothing at the URL, or it cannot be read, or is too large.
        """
        refused = _REFUSED.search(url)
        if refused:
            raise UnsupportedImageError(f"unsupported URL scheme {refused[1]}://: give the URL of the image itself")
        try:
            content = self._read_http(url) if _HTTP.search(url) else self._read(url)
        except ImageError:
            raise
        except (FileNotFoundError, KeyError) as error:  # a zip without the member raises KeyError
            raise ImageNotFoundError(
                f"nothing at this URL: check its spelling, and that it is reachable ({_first_line(error)})"
            ) from error
        except ImportError as error:
            raise UnreadableImageError(f"this kind of URL needs another package: {_first_line(error)}") from error
        except zipfile.BadZipFile as error:
            raise UnreadableImageError(
                f"its archive is damaged, or no zip ({_first_line(error)}): replace it with an intact copy"
            ) from error
        except Exception as error:  # each filesystem raises its own package's errors
            raise UnreadableImageError(
                f"could not be fetched ({type(error).__name__}: {_first_line(error)}): check the URL, and try again"
            ) from error
        if len(content) > self.limits.max_bytes:
            raise self.limits.exceeded()
        return content

    def _read_http(self, url: str) -> bytes:
        from resmem_plugin.core.images import http  # here: it needs aiohttp

        try:
            return http.retry(lambda: self._with_slot(url))
        except ImageError:
            raise
        except Exception as error:
            image_error = http.to_image_error(error, self.limits)
            if image_error is None:
                raise
            raise image_error from error

    def _with_slot(self, url: str) -> bytes:
        with self._slots:
            return self._read(url)

    def _read(self, url: str) -> bytes:
        if "::" in url:
            return self._read_chained(url)
        filesystem, path = self._open(url)
        if not filesystem.async_impl:
            return self._read_capped(filesystem, path)
        content: bytes = filesystem.cat_file(
            path
        )  # http is limited by its session; s3 needs a second request for the size
        return content

    def _read_chained(self, url: str) -> bytes:
        """Read `zip://member::archive`, opening each archive once: fsspec would open it for every member."""
        target, _, archive = url.partition("::")
        protocol, separator, member = target.partition("://")
        _check_archive(archive.rpartition("::")[2])
        if not separator:  # `simplecache::https://...`: nothing to open once
            return self._read_cached(url)
        key = f"{protocol}::{archive}"
        with self._lock:  # one at a time: archives are not safe to read from several threads
            if key not in self._archives:
                self._archives[key] = self._open(url)[0]
            self._archives.move_to_end(key)
            while len(self._archives) > _MAX_OPEN_ARCHIVES:
                _close(self._archives.popitem(last=False)[1])
            if protocol == "zip":
                self._check_member(self._archives[key].info(member))
            return self._read_capped(self._archives[key], member)

    def _read_cached(self, url: str) -> bytes:
        """Read through one of fsspec's caches, and remove a partial download, which it would reuse as if complete."""
        filesystem, path = self._open(url)
        with self._downloads[hash(url) % len(self._downloads)]:
            try:
                return self._read_capped(filesystem, path)
            except BaseException:
                _evict_partial(filesystem, path)
                raise

    def _open(self, url: str) -> tuple[Any, str]:
        import fsspec  # here: local files do not need it, and FiftyOne does not install it

        filesystem, path = fsspec.url_to_fs(url, **self._options(url))
        return filesystem, path

    def _options(self, url: str) -> dict[str, Any]:
        """The caller's options over the limits for http(s); in a chain each filesystem has its own, under its name."""
        given = {
            name: dict(value) if isinstance(value, Mapping) else value  # copied: fsspec adds to them
            for name, value in (self.storage_options or {}).items()
        }
        found = _HTTP.search(url)
        if found is None:
            return given
        from resmem_plugin.core.images import http

        is_image = "://" not in url[: found.start()]  # and not an archive, which is read in part or cached
        limits = http.options(self.limits if is_image else replace(self.limits, max_bytes=sys.maxsize))
        if found.start() == 0:
            return {**limits, **given}
        return {**given, found[1]: {**limits, **given.get(found[1], {})}}

    def _read_capped(self, filesystem: Any, path: str) -> bytes:
        """At most one byte more of a file than allowed."""
        return bytes(filesystem.cat_file(path, start=0, end=self.limits.max_bytes + 1))

    def _check_member(self, member: Mapping[str, Any]) -> None:
        """Refuse a member of an archive that cannot be read within the limits."""
        if member["type"] != "file":
            raise UnreadableImageError("a folder in its archive, not an image: name the files in it")
        if member["size"] > self.limits.max_bytes:
            raise self.limits.exceeded()
        if member.get("flag_bits", 0) & _ENCRYPTED:
            raise UnreadableImageError("encrypted in its archive: unpack it with its password, and score the file")
        if member.get("compress_type", zipfile.ZIP_STORED) not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnreadableImageError(
                "compressed in its archive by another method than deflate, which cannot be limited: unpack it first"
            )

    def close(self) -> None:
        """Close the archives; they are opened again when they are needed."""
        with self._lock:
            while self._archives:
                _close(self._archives.popitem()[1])


def _check_archive(archive: str) -> None:
    """Refuse a local archive that is a pipe or a device: opening it would block."""
    path = archive.removeprefix("file://").removeprefix("local://")
    if "://" not in path and os.path.exists(path) and not os.path.isfile(path):
        raise UnreadableImageError("its archive is not a regular file: name the archive's file")


def _evict_partial(filesystem: Any, path: str) -> None:
    """Remove a failed download from one of fsspec's caches."""
    with contextlib.suppress(Exception):  # there may be nothing
        filesystem.pop_from_cache(path)
    with contextlib.suppress(Exception):
        os.unlink(filesystem._check_file(path))  # simplecache, which has no index


def _close(filesystem: Any) -> None:
    filesystem.clear_instance_cache()  # otherwise fsspec returns the closed one again
    if hasattr(filesystem, "close"):
        filesystem.close()


def _first_line(error: BaseException) -> str:
    return printable(without_secrets(str(error).partition("\n")[0])) or type(error).__name__
