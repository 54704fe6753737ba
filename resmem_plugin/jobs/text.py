"""Text of any encoding that programs write: with a byte-order mark or without, UTF-8, UTF-16 or UTF-32."""

from __future__ import annotations

import codecs

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE_BYTES = 1 << 16


def detect_encoding(content: bytes) -> tuple[str, int]:
    """The encoding of a text, and the number of bytes of its byte-order mark.

    Without a mark it is UTF-8, or UTF-16 if most of every second byte is zero, as in PowerShell's and Excel's files.
    The name says nothing of whether the content can be decoded.

    Examples:
        >>> from resmem_plugin.jobs.text import detect_encoding
        >>> detect_encoding("path".encode("utf-8-sig")), detect_encoding("path".encode("utf-16-le"))
        (('utf-8', 3), ('utf-16-le', 0))
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding, len(mark)
    sample = content[:_SAMPLE_BYTES]
    pairs = len(sample) // 2
    if pairs and sample[1::2].count(0) > pairs // 2 > 4 * sample[::2].count(0):
        return "utf-16-le", 0
    if pairs and sample[::2].count(0) > pairs // 2 > 4 * sample[1::2].count(0):
        return "utf-16-be", 0
    return "utf-8", 0
