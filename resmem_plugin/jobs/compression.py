"""The content of tables of text, compressed or not: whole, or refused."""

from __future__ import annotations

import os
import zlib
from typing import IO

from resmem_plugin.core.errors import OptionError

_MAX_BYTES = 1 << 32  # unpacked: far more text than can be held as a table
_CHUNK_BYTES = 1 << 24
_NAMES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz"}
_BINARY = (
    (b"\x1f\x8b", "compressed with gzip: unpack it, or add .gz to its name if that is missing"),
    (b"\xfd7zXZ\0", "compressed with xz: unpack it, or add .xz to its name if that is missing"),
    (b"PK\3\4", "a zip archive or an Excel workbook: unpack it, or end its name in .xlsx"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook of the old format: save it as .xlsx or the sheet as .csv"),
)
"""How files start that often have the suffix of a table of text, and what to do about them; no text starts so."""


def read_content(path: str | os.PathLike[str], compression: str) -> bytes:
    """The content of a file.

    Args:
        path: the file.
        compression: `.gz`, `.bz2`, `.xz`, or "" for none.

    Raises:
        OptionError: if it is damaged, cut short, larger than memory can hold, or plainly no text.
        OSError: if it cannot be opened.

    Examples:
        >>> import gzip
        >>> from pathlib import Path
        >>> from resmem_plugin.jobs.compression import read_content
        >>> _ = Path("table.csv.gz").write_bytes(gzip.compress(b"path"))
        >>> read_content("table.csv.gz", ".gz")
        b'path'
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            content = _unpacked(file, compression, name) if compression else file.read()
    except MemoryError as error:
        raise OptionError(f"{name} is larger than memory can hold: split it, or save it as .parquet") from error
    for start, found in _BINARY:
        if content.startswith(start):
            raise OptionError(f"{name} does not hold text but is {found}")
    return content


def _unpacked(file: IO[bytes], compression: str, name: str) -> bytes:
    import bz2
    import gzip
    import lzma

    kind = _NAMES[compression]
    content = bytearray()
    try:
        opened: IO[bytes] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}[compression](file)  # type: ignore[operator]
        while chunk := opened.read(_CHUNK_BYTES):
            content += chunk
            if len(content) > _MAX_BYTES:
                raise OptionError(
                    f"{name} holds more than {_MAX_BYTES >> 30} GiB when unpacked: split it, or save it as .parquet"
                )
    except EOFError as error:
        raise OptionError(f"{name} is {kind} that is cut short: copy or download it again") from error
    except (OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OptionError):
            raise
        raise OptionError(
            f"{name} is damaged or not {kind} ({error}): copy or download it again, or drop {compression} from its "
            "name if it is not compressed"
        ) from error
    return bytes(content)
