"""How names and URLs stand in messages: on one line, without commands to a terminal, and without secrets."""

from __future__ import annotations

import re

_CONTROL_CHARS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line ends, and those that turn the direction of writing."""

_SECRETS = (
    (re.compile(r"(https?://)[^/?#@\s]*@"), r"\1...@"),
    (re.compile(r"(://[^/?#@:\s]*:)[^/?#@\s]*@"), r"\1...@"),
    (re.compile(r"([?&][^=&#\s]*=)[^&#\s]{16,}"), r"\1..."),
)
"""Logins, passwords, and values in a query that are long enough to be a key or a signature."""


def printable(text: str) -> str:
    r"""The text with what would command a terminal, break the line or turn it around written out, as in `\x1b`."""
    return _CONTROL_CHARS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def without_secrets(text: str) -> str:
    """The text, in which the URLs have lost their logins, passwords and long values: `https://...@host/a?key=...`."""
    if "://" not in text:
        return text
    for secret, rest in _SECRETS:
        text = secret.sub(rest, text)
    return text
