"""Members of archives, and archives in the place of images."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.images.sources import MAX_FILE_BYTES
from tests.archive_files import special, tar_file, zip_file
from tests.corpus.contents import encoded
from tests.corpus.kinds import Kind

_MEMBERS = (("a.jpg", "JPEG"), ("folder/é #1?%20.png", "PNG"))
NO_MEMBER = "^nothing at this URL: there is no such file in its archive; check the spelling$"


def bare(protocol: str) -> str:
    """The reason for an archive that is given as an image."""
    return (
        rf"^a {protocol} archive, not an image: name an image in it, as in {protocol}://a\.jpg::ARCHIVE, or score all "
        "of them with `resmem score ARCHIVE`$"
    )


def _member(archive: str, name: str, reason: str | None = None) -> Kind:
    def make(folder: Path) -> str:
        members = [(member, encoded(kind)) for member, kind in _MEMBERS]
        is_zip = archive.endswith(".zip")
        path = zip_file(folder / archive, members) if is_zip else tar_file(folder / archive, members)
        return f"{'zip' if is_zip else 'tar'}://{name}::{path}"

    return Kind(make, reason)


def _special(header: Callable[[], tarfile.TarInfo], reason: str | None) -> Kind:
    def make(folder: Path) -> str:
        return f"tar://b.jpg::{tar_file(folder / 'a.tar', [('a.jpg', encoded('JPEG')), ('b.jpg', header())])}"

    return Kind(make, reason)


def _too_large(folder: Path) -> str:
    header = tarfile.TarInfo("a.jpg")
    header.size = Limits.max_bytes + 1
    with open(folder / "a.tar", "wb") as file:
        file.write(header.tobuf())
        file.truncate(2048 + header.size + -header.size % 512)  # nothing but zeros, which take no place on the disk
    return f"tar://a.jpg::{folder}/a.tar"


def _sparse_zip(folder: Path) -> str:
    with open(folder / "photos.zip", "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    return f"{folder}/photos.zip"


ARCHIVE_KINDS: dict[str, Kind] = {
    "member of a zip": _member("a.zip", "a.jpg"),
    "member of a tar": _member("a.tar", "a.jpg"),
    "member of a tar.gz": _member("a.tar.gz", "folder/é #1?%20.png"),
    "member of a tar.xz": _member("a.tar.xz", "a.jpg"),
    "member that is not in its zip": _member("a.zip", "b.jpg", NO_MEMBER),
    "member that is not in its tar": _member("a.tar", "../a.jpg", NO_MEMBER),
    "folder in a tar": _member("a.tar", "folder", "^a folder in its archive, not an image: name the files in it$"),
    "member of a tar that is too large": Kind(_too_large, "^larger than 536,870,912 bytes, the limit for URLs: "),
    "link in a tar": _special(lambda: special(tarfile.SYMTYPE, "./a.jpg"), None),
    "hard link in a tar": _special(lambda: special(tarfile.LNKTYPE, "a.jpg"), None),
    "link out of a tar": _special(
        lambda: special(tarfile.SYMTYPE, "/etc/passwd"), "^a link out of its archive, which is"
    ),
    "device in a tar": _special(lambda: special(tarfile.CHRTYPE), r"^not a regular file \(a pipe or a device\) in its"),
    "zip in the place of an image": Kind(lambda folder: zip_file(folder / "photos.zip", []), bare("zip")),
    "zip of more than can be read in the place of an image": Kind(_sparse_zip, bare("zip")),
    "tar.gz in the place of an image": Kind(
        lambda folder: tar_file(folder / "photos.tar.gz", [("a.jpg", encoded("JPEG"))]), bare("tar")
    ),
}
