"""Reads the members of zip archives, within limits."""

from __future__ import annotations

import functools
import stat
import weakref
import zipfile
from collections.abc import Sequence
from typing import IO

from resmem_plugin.core.errors import UnreadableImageError
from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.images.members import Link, damage_errors, folders_of, follow, not_found

_ENCRYPTED = 0x1
_UNIX = 3  # a member's `create_system`, which has a mode
_MAX_TARGET_BYTES = 4096


class ZipArchive:
    """A zip archive; its file is closed with it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        weakref.finalize(self, file.close)
        with damage_errors("zip"):
            self._zip = zipfile.ZipFile(file)

    @functools.cached_property
    def names(self) -> Sequence[str]:
        """The names of all members but folders, in the archive's order."""
        return [member.filename for member in self._zip.infolist() if not _is_folder(member)]

    def start(self, name: str, length: int) -> bytes:
        """The first bytes of a member, none if it cannot be read."""
        try:
            with damage_errors("zip"), self._zip.open(self._member(name)) as file:
                return file.read(length)
        except (UnreadableImageError, RuntimeError):  # RuntimeError: encrypted
            return b""

    def read(self, name: str, limits: Limits) -> bytes:
        """The content of the last member of this name, or a byte more than the limits allow."""
        with damage_errors("zip"):
            member = self._member(name)
            _check(member, limits)
            with self._zip.open(member) as file:
                return file.read(limits.max_bytes + 1)

    def close(self) -> None:
        """Close the archive and its file."""
        self._zip.close()
        self._file.close()

    def _member(self, name: str) -> zipfile.ZipInfo:
        """What is under this name, and if nothing is, under it without slashes at its start, as fsspec writes it."""
        found = self._find(name) or self._find(name.lstrip("/"))
        if found is not None and _is_link(found):
            found = self._find(follow(found.filename, self._link))
        if found is None or _is_folder(found):
            raise not_found(is_folder=name.strip("/") in self._folders)
        return found

    def _find(self, name: str) -> zipfile.ZipInfo | None:
        return self._zip.NameToInfo.get(name) or self._zip.NameToInfo.get(f"./{name}")

    @functools.cached_property
    def _folders(self) -> set[str]:
        return {name.strip("/") for name in folders_of(self._zip.namelist())}

    def _link(self, name: str) -> Link | None:
        member = self._find(name)
        if member is None or not _is_link(member):
            return None
        with self._zip.open(member) as file:
            return Link(file.read(_MAX_TARGET_BYTES).decode(errors="replace"), symbolic=True)


def _is_folder(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith("/")  # zipfile's own test fails for an empty name


def _is_link(member: zipfile.ZipInfo) -> bool:
    return member.create_system == _UNIX and stat.S_ISLNK(member.external_attr >> 16)


def _check(member: zipfile.ZipInfo, limits: Limits) -> None:
    """Refuse a member that cannot be read within the limits."""
    if member.file_size > limits.max_bytes:
        raise limits.exceeded()
    if member.flag_bits & _ENCRYPTED:
        raise UnreadableImageError("encrypted in its archive: unpack it with its password, and score the file")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnreadableImageError(
            "compressed in its archive by another method than deflate, which cannot be limited: unpack it first"
        )
