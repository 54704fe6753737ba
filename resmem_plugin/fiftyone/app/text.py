"""Names, errors and numbers as the App shows them: escaped for Markdown, rounded, in units."""

from __future__ import annotations

import re

from resmem_plugin.core.sanitize import printable


def plain(text: str) -> str:
    """A name or an error for what the App reads as Markdown: in a line, and no link, picture or emphasis in it."""
    return re.sub(r"([\\`*\[\]<>])", r"\\\1", printable(" ".join(text.split())))


def code(text: str) -> str:
    """A name or an error as a code span of Markdown, in a line, cut at 300 characters."""
    line = printable(" ".join(text.replace("`", "'").split()))
    return f"`{line[:300]}`"


def figure(value: float | None) -> str:
    """A memorability in words: three decimals, or a dash."""
    return "–" if value is None else f"{value:.3f}"


def duration(seconds: float) -> str:
    """About how long, for people: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
