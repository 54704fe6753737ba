"""Reads fsspec URLs within limits of time and size, with an error for each kind of failure."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any, TypeVar

from resmem_plugin.core.errors import (
    ImageError,
    ImageNotFoundError,
    UnreadableImageError,
    UnsupportedImageError,
)
from resmem_plugin.core.images import urls
from resmem_plugin.core.images.fair_lock import FairLock
from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.images.members import check_archive
from resmem_plugin.core.images.storage_options import for_filesystem
from resmem_plugin.core.sanitize import printable, shortened, without_secrets

if TYPE_CHECKING:
    from resmem_plugin.core.images.members import Archive

MAX_CONNECTIONS = 16
"""Images that a reader fetches at once over http(s), whatever the number of threads: servers block more."""

_MAX_OPEN_ARCHIVES = 8
_HTTP = ("http", "https")
_REFUSED = re.compile(r"(?:^|::)(reference|dask)(?:://|::)")  # they follow instructions in a file, or from a scheduler
_ARCHIVES = ("zip", "tar")

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class RemoteReader:
    """Reads the bytes behind URLs; safe to share between threads.

    Args:
        storage_options: passed to the fsspec filesystems that they belong to: see `storage_options.for_filesystem`.
        limits: maximum size and time.
    """

    storage_options: Mapping[str, Any] | None = None
    limits: Limits = field(default_factory=Limits.from_environment)
    _archives: OrderedDict[str, Any] = field(default_factory=OrderedDict, repr=False, compare=False)
    _lock: FairLock = field(default_factory=FairLock, repr=False, compare=False)
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
        if urls.is_data(url):
            return urls.data_content(url, self.limits)
        chain = urls.chain(url)
        content = self._attempt(chain, lambda: self._read(chain))
        if len(content) > self.limits.max_bytes:
            raise self.limits.exceeded()
        return content

    def open_archive(self, protocol: str, url: str) -> Archive:
        """The archive of kind "zip" or "tar" at a path or URL, to be closed by the caller.

        Raises:
            ImageError: if it cannot be read, or is damaged.
        """
        chain = [f"{protocol}://", *urls.chain(url)]
        return self._attempt(chain, lambda: self._open_archive(chain))

    def list_with(self, url: str, listed: Callable[[Any, str], _Result]) -> _Result:
        """What a function finds with the filesystem of a URL and the path in it.

        Raises:
            ImageError: if it fails.
        """
        chain = urls.chain(url)
        return self._attempt(chain, lambda: listed(*self._open(chain)))

    def _attempt(self, chain: list[str], work: Callable[[], _Result]) -> _Result:
        """The result of reading from a URL; over http(s) it is tried again. All that fails becomes an `ImageError`."""
        refused = _REFUSED.search("::".join(chain)) if len(chain) > 1 else _REFUSED.match(chain[0])
        if refused:
            raise UnsupportedImageError(f"unsupported URL scheme {refused[1]}://: give the URL of the image itself")
        try:
            return self._retried(work) if urls.scheme(chain[-1]) in _HTTP else work()
        except ImageError:
            raise
        except (FileNotFoundError, KeyError) as error:  # fsspec's zip without the member raises KeyError
            raise ImageNotFoundError(
                f"nothing at this URL: check its spelling, and that it is reachable ({_first_line(error)})"
            ) from error
        except ImportError as error:
            raise UnreadableImageError(f"this kind of URL needs another package: {_first_line(error)}") from error
        except Exception as error:  # each filesystem raises its own package's errors
            raise UnreadableImageError(
                f"could not be fetched ({type(error).__name__}: {_first_line(error)}): check the URL, and try again"
            ) from error

    def _retried(self, work: Callable[[], _Result]) -> _Result:
        from resmem_plugin.core.images import http  # here: it needs aiohttp

        def attempt() -> _Result:
            with self._slots:
                return work()

        try:
            return http.retry(attempt)
        except ImageError:
            raise
        except Exception as error:
            image_error = http.to_image_error(error, self.limits)
            if image_error is None:
                raise
            raise image_error from error

    def _read(self, chain: list[str]) -> bytes:
        if len(chain) > 1:
            return self._read_chained(chain)
        filesystem, path = self._open(chain)
        if not filesystem.async_impl:
            return self._read_capped(filesystem, path)
        content: bytes = filesystem.cat_file(
            path
        )  # http is limited by its session; s3 needs a second request for the size
        return content

    def _read_chained(self, chain: list[str]) -> bytes:
        """Read `zip://member::archive`, opening each archive once: fsspec would open it for every member."""
        protocol, separator, member = chain[0].partition("://")
        check_archive(chain[-1])
        if not separator:  # `simplecache::https://...`: nothing to open once
            return self._read_cached(chain)
        archive = [f"{protocol}://", *chain[1:]]
        key = "::".join(archive)
        with self._lock:  # one at a time, in turn: archives are not safe for threads, and best read in order
            if key not in self._archives:
                is_own = protocol in _ARCHIVES
                self._archives[key] = self._open_archive(archive) if is_own else self._open(archive)[0]
            self._archives.move_to_end(key)
            while len(self._archives) > _MAX_OPEN_ARCHIVES:
                _close(self._archives.popitem(last=False)[1])
            if protocol in _ARCHIVES:
                content: bytes = self._archives[key].read(member, self.limits)
                return content
            return self._read_capped(self._archives[key], member)

    def _open_archive(self, chain: list[str]) -> Archive:
        """The archive of `zip://::archive`."""
        from resmem_plugin.core.images.tar_archive import TarArchive
        from resmem_plugin.core.images.zip_archive import ZipArchive

        check_archive(chain[-1])
        file: IO[bytes]
        if len(chain) == 2 and (urls.scheme(chain[1]) or "file") == "file":
            file = open(urls.file_path(chain[1]), "rb")  # noqa: SIM115 (the archive closes it)
        else:
            filesystem, path = self._open(chain, 1)
            file = filesystem.open(path)
        try:
            return ZipArchive(file) if chain[0].startswith("zip:") else TarArchive(file)
        except BaseException:
            file.close()
            raise

    def _read_cached(self, chain: list[str]) -> bytes:
        """Read through one of fsspec's caches, and remove a partial download, which it would reuse as if complete."""
        filesystem, path = self._open(chain)
        with self._downloads[hash(path) % len(self._downloads)]:
            try:
                return self._read_capped(filesystem, path)
            except BaseException:
                _evict_partial(filesystem, path)
                raise

    def _open(self, chain: list[str], start: int = 0) -> tuple[Any, str]:
        """The filesystem at a position of a chain, and the path in it, as from `fsspec.url_to_fs`.

        A path that has a `::` itself is handed on as an open file: fsspec splits at any `::`.
        """
        import fsspec  # here: local files do not need it, and FiftyOne does not install it

        path = ""
        target: dict[str, Any] = {}
        for position in reversed(range(start, len(chain))):
            url, inner = chain[position], path
            innermost = position == len(chain) - 1
            protocol = urls.scheme(url) or ("file" if innermost else url)
            kind = fsspec.get_filesystem_class(protocol)
            if innermost and protocol == "file":
                url = urls.file_path(url)
            elif "://" not in url:
                url = f"{url}://"
            path = kind._strip_protocol(url)
            if url == f"{protocol}://" and url != chain[position]:  # `simplecache::`
                path = inner
            options = {**self._options(chain, position, kind), **kind._get_kwargs_from_urls(url), **target}
            if "::" in path and position > start and chain[position - 1].startswith(("zip://", "tar://")):
                target = {"fo": fsspec.filesystem(protocol, **options).open(path)}
            else:
                target = {"target_options": options, "target_protocol": protocol, "fo": path}
        return fsspec.filesystem(protocol, **options), path

    def _options(self, chain: list[str], position: int, kind: Any) -> dict[str, Any]:
        """The caller's options for one filesystem of a chain, for http(s) over the limits."""
        url = chain[position]
        protocol = urls.scheme(url) or ("file" if position == len(chain) - 1 else url)
        given = for_filesystem(self.storage_options, kind, protocol, outermost=position == 0)
        if protocol not in _HTTP:
            return given
        from resmem_plugin.core.images import http

        is_image = all("://" not in outer for outer in chain[:position])  # not an archive, read in part or cached
        limits = self.limits if is_image else replace(self.limits, max_bytes=sys.maxsize)
        return {**http.options(limits, url), **given}

    def _read_capped(self, filesystem: Any, path: str) -> bytes:
        """At most one byte more of a file than allowed."""
        return bytes(filesystem.cat_file(path, start=0, end=self.limits.max_bytes + 1))

    def close(self) -> None:
        """Close the archives; they are opened again when they are needed."""
        with self._lock:
            while self._archives:
                _close(self._archives.popitem()[1])


def _evict_partial(filesystem: Any, path: str) -> None:
    """Remove a failed download from one of fsspec's caches."""
    with contextlib.suppress(Exception):  # there may be nothing
        filesystem.pop_from_cache(path)
    with contextlib.suppress(Exception):
        os.unlink(filesystem._check_file(path))  # simplecache, which has no index


def _close(filesystem: Any) -> None:
    if hasattr(filesystem, "clear_instance_cache"):
        filesystem.clear_instance_cache()  # otherwise fsspec returns the closed one again
    if hasattr(filesystem, "close"):
        filesystem.close()


def _first_line(error: BaseException) -> str:
    return shortened(printable(without_secrets(str(error).partition("\n")[0]))) or type(error).__name__
