"""Text for the App: escaped for Markdown, scores and durations formatted."""

from __future__ import annotations

import re

from resmem_plugin.core.sanitize import printable


def escape_markdown(text: str) -> str:
    """Text for what the App renders as Markdown, in one line, without links, images or emphasis."""
    return re.sub(r"([\\`*\[\]<>])", r"\\\1", printable(" ".join(text.split())))


def code_span(text: str) -> str:
    """Text as a Markdown code span, in one line, cut at 300 characters."""
    line = printable(" ".join(text.replace("`", "'").split()))
    return f"`{line[:300]}`"


def format_count(number: int, what: str) -> str:
    """A number of things: "1 sample", "1,200 samples"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def format_score(value: float | None) -> str:
    """A score with three decimals, or a dash."""
    return "–" if value is None else f"{value:.3f}"


def format_duration(seconds: float) -> str:
    """A rounded duration: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
