"""Reads the bytes of an image from a local file or an fsspec URL."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from resmem_plugin.core.errors import ImageNotFoundError, UnreadableImageError
from resmem_plugin.core.images import urls
from resmem_plugin.core.images.members import advice_for, archive_protocol
from resmem_plugin.core.images.near_names import NearNames
from resmem_plugin.core.images.remote import RemoteReader
from resmem_plugin.core.sanitize import printable, shortened, without_secrets

MAX_FILE_BYTES = 1 << 30
"""Bytes of the largest file that is read: about the size of the largest image that Pillow decodes, uncompressed."""


def is_url(reference: object) -> bool:
    """Whether a reference is a URL (`https://`, `s3://`, `zip://a.jpg::b.zip`, `data:`, ...) and not a local path."""
    return isinstance(reference, str) and (
        urls.scheme(reference) is not None
        or urls.is_data(reference)
        or urls.is_file(reference)
        or ("::" in reference and urls.is_chained(reference))
    )


def path_text(reference: object) -> object:
    """The text of a path object; anything else, and one whose `__fspath__` fails, is unchanged."""
    if isinstance(reference, os.PathLike):
        with contextlib.suppress(Exception):  # its own row gets the error
            return os.fsdecode(reference)
    return reference


def join_root(root: str | os.PathLike[str], reference: object) -> object:
    """A reference whose relative path, itself or in a struct without bytes, is joined to `root`, a folder or a URL.

    So is the relative path of the archive that `zip://a.jpg::photos.zip` is in. Path objects become text. URLs,
    absolute paths, empty text and everything else are unchanged.
    """
    reference = path_text(reference)
    if isinstance(reference, str) and reference:
        return _join(os.fspath(root), reference)
    if isinstance(reference, Mapping) and isinstance(reference.get("path"), str) and reference.get("bytes") is None:
        return {**reference, "path": _join(os.fspath(root), reference["path"])}
    return reference


def _join(start: str, path: str) -> str:
    if os.path.isabs(path):
        return path
    if is_url(path) and not _is_file_under(start, path):
        archive = urls.chain(path)[-1]
        is_relative = path.startswith(("zip://", "tar://")) and path.endswith(f"::{archive}") and not is_url(archive)
        return f"{path.removesuffix(archive)}{_join(start, archive)}" if is_relative else path
    return f"{start.rstrip('/')}/{path}" if is_url(start) else os.path.join(start, path)


def _is_file_under(root: str, path: str) -> bool:
    """Whether `zip::a.jpg` is the name of a file in a folder."""
    return "::" in path and urls.scheme(path) is None and os.path.lexists(os.path.join(root, path))


@dataclass(frozen=True)
class Sources:
    """Reads the bytes behind paths and URLs; safe to share between threads.

    Args:
        storage_options: for URLs, passed to the fsspec filesystem, as in pandas: headers for http(s), credentials for
            s3; or by protocol, as in `{"http": {...}, "s3": {...}}`.
        base64: text that is no URL is an image in base64, not a path.
    """

    storage_options: Mapping[str, Any] | None = None
    base64: bool = False
    _remote: RemoteReader = field(init=False, repr=False, compare=False)
    _near: NearNames = field(default_factory=NearNames, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_remote", RemoteReader(self.storage_options))

    def read(self, reference: str | bytes | os.PathLike[Any]) -> bytes:
        """The bytes behind a path or URL.

        Raises:
            ImageError: if there is nothing there, or it cannot be read.
        """
        path = os.fspath(reference)
        if self.base64 and isinstance(reference, str) and not is_url(reference):
            return urls.base64_content(reference, self._remote.limits)
        if isinstance(path, str) and is_url(path):
            if not urls.is_file(path):
                return self._remote.read(path)
            path = urls.file_path(path)
        return _read_file(path, self._near)

    def close(self) -> None:
        """Close the archives; they are opened again when they are needed."""
        self._remote.close()


def _read_file(path: str | bytes, near: NearNames) -> bytes:
    try:
        _check_file(os.stat(path), path)  # first: opening some devices has side effects
        with open(path, "rb", opener=_open_nonblocking) as file:
            _check_file(os.fstat(file.fileno()), path)  # again: it may have been replaced
            content = file.read()
    except UnreadableImageError:
        raise
    except FileNotFoundError as error:
        _check_base64(path)
        meant = near.find(path) if isinstance(path, str) else None
        advice = "check the path, and the folder that relative paths start from"
        if meant is not None:
            advice = f"did you mean '{shortened(printable(without_secrets(meant)))}'? {advice.capitalize()}"
        raise ImageNotFoundError(f"no such file: {advice}") from error
    except PermissionError as error:
        raise UnreadableImageError("permission denied: make the file and its folders readable to this user") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        _check_base64(path)
        raise UnreadableImageError(f"cannot be opened ({_first_line(error)}): check its name and folder") from error
    except MemoryError as error:
        raise UnreadableImageError("larger than the free memory: scale it down") from error
    if not content:  # None: a kernel file without content
        raise UnreadableImageError("empty file (0 bytes): copy or download it again")
    return content


def _check_base64(path: str | bytes) -> None:
    if urls.looks_like_base64(path):
        raise ImageNotFoundError("no such file, but it looks like base64: set base64=True, or --base64")


def _open_nonblocking(path: str | bytes, flags: int) -> int:
    """Open a file without blocking on a FIFO that has no writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_file(status: os.stat_result, path: str | bytes) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableImageError("a folder, not an image: give the files in it")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImageError("not a regular file (a pipe or a device): copy its content to a file")
    if status.st_size > MAX_FILE_BYTES and isinstance(path, str) and (protocol := archive_protocol(path)):
        raise UnreadableImageError(advice_for(protocol))
    if status.st_size > MAX_FILE_BYTES:
        raise UnreadableImageError(
            f"a file of {status.st_size:,} bytes, more than the limit of {MAX_FILE_BYTES:,}: scale it down"
        )


def _first_line(error: BaseException) -> str:
    return shortened(printable(str(error).partition("\n")[0])) or type(error).__name__
