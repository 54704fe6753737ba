"""Names and URLs for messages: on one line, not too long, without control characters and without secrets."""

from __future__ import annotations

import re

_CONTROL_CHARS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line ends, and those that change the writing direction."""

_SECRETS = (
    (re.compile(r"(https?://)[^/?#@\s]*@"), r"\1...@"),
    (re.compile(r"(://[^/?#@:\s]*:)[^/?#@\s]*@"), r"\1...@"),
    (re.compile(r"([?&][^=&#\s]*=)[^&#\s]{16,}"), r"\1..."),
    (re.compile(r"([?&][^=&#\s]*(?:key|token|sig|secret|passw|pwd|auth|cred)[^=&#\s]*=)[^&#\s]+", re.I), r"\1..."),
)
"""Logins, passwords, and values in a query that are long enough to be a key or a signature, or named like one."""


def printable(text: str) -> str:
    r"""The text with control characters and line ends escaped, as in `\x1b`."""
    return _CONTROL_CHARS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shortened(text: str, limit: int = 200) -> str:
    """The text with `...` in the place of its middle if it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    end = (limit - 3) // 2
    return f"{text[: limit - 3 - end]}...{text[len(text) - end :]}"


def without_secrets(text: str) -> str:
    """The text with logins, passwords and long query values removed from its URLs: `https://...@host/a?key=...`."""
    if "://" not in text:
        return text
    for secret, rest in _SECRETS:
        text = secret.sub(rest, text)
    return text
