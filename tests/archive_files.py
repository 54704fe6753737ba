"""Archives for tests: zips and tars of members that are given with their content."""

from __future__ import annotations

import functools
import io
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from tests.conftest import flat


@functools.lru_cache(maxsize=256)
def png(red: int) -> bytes:
    """An image whose score by the model `Red` depends on a number from 0 to 255."""
    buffer = io.BytesIO()
    Image.fromarray(flat(red)).save(buffer, "PNG")
    return buffer.getvalue()


def zip_file(path: Path, members: Iterable[tuple[str, bytes]]) -> str:
    """Write a zip; returns its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return str(path)


def tar_file(path: Path, members: Iterable[tuple[str, bytes | tarfile.TarInfo]]) -> str:
    """Write a tar, compressed as its suffix says; returns its path. A member may be a header without content."""
    kind = {".gz": "gz", ".tgz": "gz", ".bz2": "bz2", ".xz": "xz"}.get(path.suffix, "")
    with tarfile.open(path, f"w:{kind}") as archive:  # type: ignore[call-overload]
        for name, content in members:
            header = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo()
            header.name = name
            if isinstance(content, bytes):
                header.size = len(content)
            archive.addfile(header, io.BytesIO(content) if isinstance(content, bytes) else None)
    return str(path)


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    """The header of a link, a folder or a device of this type of `tarfile`."""
    header = tarfile.TarInfo()
    header.type, header.linkname = kind, target
    return header
