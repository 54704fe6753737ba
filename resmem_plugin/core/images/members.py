"""What zip and tar archives have in common: names, links of members, what is refused. Nothing is unpacked."""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from resmem_plugin.core.errors import ImageError, ImageNotFoundError, UnreadableImageError
from resmem_plugin.core.images import urls
from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.sanitize import printable, shortened, without_secrets

START_BYTES = 512
"""Bytes at the start of a file by which `archive_advice` knows an archive."""

_ZIP = re.compile(r"\.zip$", re.IGNORECASE)
_TAR = re.compile(r"\.(?:tar|tar\.(?:gz|bz2|xz)|tgz|tbz2?|txz)$", re.IGNORECASE)
_MAX_LINKS = 16
_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"


@dataclass(frozen=True)
class Link:
    """A member of an archive that is another name of another one.

    Attributes:
        target: as the archive has it.
        symbolic: it starts at the link's own folder, not at the top of the archive.
    """

    target: str
    symbolic: bool


class Archive(Protocol):
    """An open archive; to be used by one thread at a time."""

    @property
    def names(self) -> Sequence[str]:
        """The names of all members but folders, in the archive's order; a name may be there more than once."""

    def start(self, name: str, length: int) -> bytes:
        """The first bytes of a member; fewer if they are not known."""

    def read(self, name: str, limits: Limits) -> bytes:
        """The content of the last member of this name, or a byte more than the limits allow.

        Raises:
            ImageError: if there is none, it is damaged, or it cannot be read within the limits.
        """

    def close(self) -> None:
        """Close the archive, and the file it is read from."""


def archive_protocol(reference: str) -> Literal["zip", "tar"] | None:
    """Which kind of archive a path or URL is, by its suffix; None for anything else, such as a member of an archive.

    Examples:
        >>> from resmem_plugin.core.images.members import archive_protocol
        >>> archive_protocol("shard-000000.TAR"), archive_protocol("https://host/photos.zip?download=1")
        ('tar', 'zip')
        >>> archive_protocol("zip://a.jpg::photos.zip") is None
        True
    """
    if not _ends_like_archive(reference):
        return None
    chain = urls.chain(reference)
    if ("://" in chain[0] and len(chain) > 1) or urls.is_data(reference):
        return None
    name = chain[-1]
    if urls.scheme(name) in ("http", "https"):
        name = re.split("[?#]", name, maxsplit=1)[0]
    return "zip" if _ZIP.search(name) else "tar" if _TAR.search(name) else None


def _ends_like_archive(reference: str) -> bool:
    """A quick look before the URL is taken apart."""
    lowered = reference.lower()
    return any(suffix in lowered for suffix in (".zip", ".tar", ".tgz", ".tbz", ".txz"))


def reference(protocol: str, name: str, archive: str) -> str | None:
    """The reference to a member, or None if it would be read as another one: a name may look like a URL itself."""
    found = f"{protocol}://{name}::{archive}"
    return found if name and urls.chain(found) == [f"{protocol}://{name}", *urls.chain(archive)] else None


def check_archive(archive: str) -> None:
    """Refuse a local archive that is a pipe or a device: opening it would block."""
    path = urls.file_path(archive) if urls.is_file(archive) else archive
    if urls.scheme(path) is None and os.path.exists(path) and not os.path.isfile(path):
        raise UnreadableImageError("its archive is not a regular file: name the archive's file")


def archive_advice(start: bytes) -> str | None:
    """What to do about a file that starts with these `START_BYTES`, if it is an archive, which is no image."""
    protocol = "zip" if start[:4] in (b"PK\3\4", b"PK\5\6") else "tar" if _is_tar(_decompressed(start)) else None
    return None if protocol is None else advice_for(protocol)


def advice_for(protocol: str) -> str:
    """What to do about an archive in the place of an image."""
    return (
        f"a {protocol} archive, not an image: name an image in it, as in {protocol}://a.jpg::ARCHIVE, or score all of "
        "them with `resmem score ARCHIVE`"
    )


def compression(start: bytes) -> Literal["gz", "bz2", "xz"] | None:
    """How a file that starts like this is compressed."""
    return "gz" if start.startswith(_GZIP) else "bz2" if start[:3] == _BZIP2 else "xz" if start[:6] == _XZ else None


def _is_tar(start: bytes) -> bool:
    return start[257:262] == b"ustar"


def _decompressed(start: bytes) -> bytes:
    """The first bytes of what is compressed, as far as these bytes go; others unchanged."""
    import bz2
    import lzma
    import zlib

    decompressors: dict[str | None, Callable[[], Any]] = {
        "gz": lambda: zlib.decompressobj(31),
        "bz2": bz2.BZ2Decompressor,
        "xz": lambda: lzma.LZMADecompressor(memlimit=1 << 27),
    }
    kind = compression(start)
    if kind is None:
        return start
    try:
        content: bytes = decompressors[kind]().decompress(start, START_BYTES)
    except Exception:
        return b""
    return content


def follow(name: str, links: Callable[[str], Link | None]) -> str:
    """The name that a member's links lead to, within the archive.

    Args:
        name: of the member.
        links: the link of that name, None if it is none.

    Raises:
        UnreadableImageError: if they lead out of the archive, or never end.
    """
    for _ in range(_MAX_LINKS):
        link = links(name)
        if link is None:
            return name
        folder = posixpath.dirname(name) if link.symbolic else ""
        name = posixpath.normpath(posixpath.join(folder, link.target)) if link.symbolic else link.target
        if link.symbolic and (name.startswith(("/", "../")) or name == ".."):
            raise UnreadableImageError("a link out of its archive, which is not followed: score the file it means")
    raise UnreadableImageError("a link in its archive that leads back to itself: replace it with the image")


def not_found(*, is_folder: bool) -> ImageError:
    """The error for a name that no file in an archive has."""
    if is_folder:
        return UnreadableImageError("a folder in its archive, not an image: name the files in it")
    return ImageNotFoundError("nothing at this URL: there is no such file in its archive; check the spelling")


def folders_of(names: Sequence[str]) -> set[str]:
    """All folders that these names are in."""
    found: set[str] = set()
    for name in names:
        while (name := name.rpartition("/")[0]) and name not in found:
            found.add(name)
    return found


@contextlib.contextmanager
def damage_errors(kind: Literal["zip", "tar"]) -> Iterator[None]:
    """Turn what the packages for archives raise for a damaged one into an `ImageError`."""
    import lzma
    import tarfile
    import zipfile
    import zlib

    try:
        yield
    except ImageError:
        raise
    except NotImplementedError as error:
        raise UnreadableImageError(f"of a kind of zip that Python cannot read ({error}): unpack it first") from error
    except (
        *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tarfile.TarError, EOFError),
        *(ValueError, IndexError, OverflowError, RecursionError),  # of nonsense in headers
    ) as error:
        raise _damaged(kind, error) from error
    except OSError as error:
        if error.errno is not None or isinstance(error, FileNotFoundError):  # not from gzip and bz2
            raise
        raise _damaged(kind, error) from error


def _damaged(kind: str, error: Exception) -> UnreadableImageError:
    if isinstance(error, ValueError) and ("range requests" in str(error) or "streaming HTTP" in str(error)):  # fsspec's
        return UnreadableImageError(
            "its archive comes from a server that sends no parts of files: put simplecache:: before its URL, or "
            "download it"
        )
    reason = shortened(printable(without_secrets(str(error).partition("\n")[0]))) or type(error).__name__
    return UnreadableImageError(f"its archive is damaged, or no {kind} ({reason}): replace it with an intact copy")
