"""Reads the members of tar archives, compressed too, within limits, and in time proportional to the archive.

A compressed archive is read from its start again to go back. Members that were read or passed are therefore kept for a
while: several threads read about in the archive's order, and it is decompressed once to index it and once to read it.
"""

from __future__ import annotations

import bisect
import functools
import tarfile
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import IO, NamedTuple

from resmem_plugin.core.errors import UnreadableImageError
from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.images.members import Link, compression, damage_errors, folders_of, follow, not_found

MAX_KEPT_BYTES = 64 << 20
"""Bytes of the members of a compressed archive that are kept: those read or passed last."""

_MAX_HEADER_BYTES = 1 << 20  # of a long name, or pax's records
_START_BYTES = 16
_SUMMARIES = frozenset((
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
))  # fmt: skip


class _Member(NamedTuple):
    """A member that is no folder.

    Attributes:
        offset: of its content, in the decompressed archive.
        size: of its content.
        link: what it leads to.
        start: its first bytes.
        refused: why it cannot be read.
    """

    offset: int
    size: int
    link: Link | None
    start: bytes
    refused: str | None


class TarArchive:
    """A tar archive, as it is or compressed by gzip, bzip2 or xz; its file is closed with it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        weakref.finalize(self, file.close)
        self._names: list[str] = []
        self._members: dict[str, _Member] = {}
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._next = 0  # the position in `_in_order` of the member after the one that was read last
        with damage_errors("tar"):
            self._stream = _decompressed(file)
            self._compressed = self._stream is not file
            self._index()
        self._in_order = sorted(self._members.values(), key=lambda member: member.offset)

    @property
    def names(self) -> Sequence[str]:
        """The names of all members but folders, in the archive's order."""
        return self._names

    def start(self, name: str, length: int) -> bytes:
        """The first bytes of a member, at most 16; none of a link that leads to nothing."""
        try:
            return self._member(name).start[:length]
        except (UnreadableImageError, FileNotFoundError):
            return b""

    def read(self, name: str, limits: Limits) -> bytes:
        """The content of the last member of this name."""
        member = self._member(name)
        if member.refused is not None:
            raise UnreadableImageError(member.refused)
        if member.size > limits.max_bytes:
            raise limits.exceeded()
        with damage_errors("tar"):
            return self._content(member) if not self._compressed else self._in_turn(member)

    def close(self) -> None:
        """Close the archive and its file."""
        self._kept.clear()
        self._stream.close()
        self._file.close()

    def _index(self) -> None:
        # Zeros are no end: after them is the next archive of several that were concatenated, or damage.
        with tarfile.TarFile(fileobj=self._stream, tarinfo=_Header, errorlevel=1, ignore_zeros=True) as archive:
            while (header := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # otherwise it keeps them all
                if header.isdir():
                    continue
                start = b""
                if header.isreg():
                    self._stream.seek(header.offset_data)
                    start = self._stream.read(min(_START_BYTES, header.size))
                self._names.append(header.name)
                self._members[header.name] = _member(header, start)  # the last of a name

    def _member(self, name: str) -> _Member:
        """What is under this name, and if nothing is, under it without slashes at its start, as fsspec writes it."""
        first = name if name in self._members else name.strip("/")
        found = self._find(follow(first, lambda name: found.link if (found := self._find(name)) else None))
        if found is None:
            raise not_found(is_folder=name.strip("/") in self._folders)
        return found

    def _find(self, name: str) -> _Member | None:
        return self._members.get(name) or self._members.get(f"./{name}")  # as `tar c .` writes it

    @functools.cached_property
    def _folders(self) -> set[str]:
        return {name.strip("/") for name in folders_of(self._names)}

    def _content(self, member: _Member) -> bytes:
        self._stream.seek(member.offset)
        content = self._stream.read(member.size)
        if len(content) < member.size:
            raise EOFError("it ends within this file")
        return content

    def _in_turn(self, member: _Member) -> bytes:
        """The content of a member of a compressed archive, and those that are passed on the way to it kept."""
        if member.offset in self._kept:
            self._kept.move_to_end(member.offset)
            return self._kept[member.offset]
        position = bisect.bisect_left(self._in_order, member.offset, key=lambda member: member.offset)
        first = self._next if self._next <= position else 0
        for passed in self._in_order[first:position]:
            if 0 < passed.size <= MAX_KEPT_BYTES and passed.refused is None and passed.link is None:
                self._keep(passed)
        self._next = position + 1
        return self._keep(member)

    def _keep(self, member: _Member) -> bytes:
        content = self._content(member)
        self._kept_bytes += len(content) - len(self._kept.pop(member.offset, b""))
        self._kept[member.offset] = content
        while self._kept_bytes > MAX_KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1])
        return content


def _member(header: tarfile.TarInfo, start: bytes) -> _Member:
    link = Link(header.linkname, header.issym()) if header.islnk() or header.issym() else None
    refused = None
    if header.issparse():
        refused = "a sparse file in its archive, which is mostly empty: unpack it first"
    elif link is None and not header.isreg():
        refused = "not a regular file (a pipe or a device) in its archive: leave it out"
    return _Member(header.offset_data, header.size, link, start, refused)


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    """What a compressed file holds, or the file itself; to go back it is read from its start again."""
    import bz2
    import gzip
    import lzma

    kind = compression(file.read(6))
    file.seek(0)
    if kind is None:
        return file
    if kind == "gz":
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    return bz2.BZ2File(file) if kind == "bz2" else lzma.LZMAFile(file)


class _Header(tarfile.TarInfo):
    """A header that ends the run where tarfile would silently take damage for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _SUMMARIES and header.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a name or header of {header.size:,} bytes")
        return header

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(archive)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"{error} at byte {archive.offset:,}") from error
