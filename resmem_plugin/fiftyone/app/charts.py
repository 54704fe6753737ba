"""The panel's charts, as Plotly takes them: the histogram, and means by class with their intervals."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from resmem_plugin.fiftyone.dataset.class_means import ClassMean
from resmem_plugin.fiftyone.dataset.distribution import Distribution

_COLOR = "#ff6d04"
_CLASS_COLORS = ("#3b9cff", "#00b894", "#c879ff", "#ffd166", "#ff5c8a")  # seen on dark and light, and on the bars
MAX_SPLIT = len(_CLASS_COLORS)
"""Classes that the histogram is split by."""
_MAX_UNIT_TICKS = 8
"""Height of the tallest bar up to which the axis has a tick per sample: Plotly would put ticks at halves."""
_HEADROOM = 1.25
"""Height of the chart over that of the tallest bar: the hover text stands above the bars."""
_ROW_PX = 22
_MAX_NAME = 24
_LAYOUT = {"margin": {"l": 56, "r": 16, "t": 8, "b": 48}, "showlegend": False}
_INTERVAL = re.compile(r"(\S+) \[(.*), (.*)([\])])")


def histogram_traces(found: Distribution, field: str) -> list[dict[str, Any]]:
    """The bars, and above each an invisible point with its hover text, which then covers no bar.

    Both have the field and the bins as ids, such as "memorability [0.5, 0.52)", which `bins_of` reads again when they
    are clicked: by then another field may be chosen.
    """
    bins = list(itertools.pairwise(found.edges))
    ids = [f"{field} [{low!r}, {high!r}{']' if high == found.edges[-1] else ')'}" for low, high in bins]
    unit = ["image" if count == 1 else "images" for count in found.counts]
    top = max(found.counts, default=0) * (1 + _HEADROOM) / 2
    bars = {
        "type": "bar",
        "x": [low for low, _ in bins],
        "y": list(found.counts),
        "width": [high - low for low, high in bins],
        "ids": ids,
        "offset": 0,
        "showlegend": False,
        "hoverinfo": "skip",
        "marker": {"color": _COLOR, "line": {"width": 1, "color": "rgba(0, 0, 0, 0.4)"}},
    }
    texts = {
        "type": "scatter",
        "mode": "markers",
        "x": [(low + high) / 2 for low, high in bins],
        "y": [top] * len(bins),
        "ids": ids,
        "text": [
            f"{low:g} to {high:g}: {count:,} {word}"
            for (low, high), count, word in zip(bins, found.counts, unit, strict=True)
        ],
        "marker": {"opacity": 0},
        "showlegend": False,
        "hovertemplate": "%{text}<extra></extra>",
    }
    return [bars, texts]


def split_traces(found: Distribution, counts: Iterable[tuple[str, Sequence[int]]]) -> list[dict[str, Any]]:
    """A line of steps over the bars for each class, named in the legend."""
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": list(found.edges),
            "y": [*values, *values[-1:]],
            "name": html.escape(_short(name)),
            "showlegend": True,
            "line": {"shape": "hv", "width": 2, "color": color},
            "hoverinfo": "skip",
        }
        for (name, values), color in zip(counts, _CLASS_COLORS, strict=False)
    ]


def histogram_layout(found: Distribution, unit: str, *, legend: bool = False) -> dict[str, Any]:
    """The layout of the histogram; `unit` is what is counted, and a legend names the classes that it is split by."""
    tallest = max(found.counts, default=0)
    ticks: dict[str, Any] = {"tickformat": ",d"} if tallest > _MAX_UNIT_TICKS else {"dtick": 1}
    return {
        **_LAYOUT,
        "showlegend": legend,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        "dragmode": "select",
        "selectdirection": "h",
        "hovermode": "x",
        "xaxis": _axis("Memorability", range=[found.edges[0], found.edges[-1]], showspikes=False, hoverformat=".4~f"),
        "yaxis": _axis(unit, range=[0, tallest * _HEADROOM], **ticks),
    }


def bins_of(ids: Iterable[Any]) -> tuple[str, float, float, bool] | None:
    """The field of these bins, their lowest and highest edge, and whether that belongs to its bin; None without one."""
    read = [match for each in ids if isinstance(each, str) and (match := _INTERVAL.fullmatch(each))]
    if not read:
        return None
    high, closed = max((float(match[3]), match[4] == "]") for match in read)
    return read[0][1], min(float(match[2]) for match in read), high, closed


def class_traces(means: list[ClassMean], class_field: str) -> list[dict[str, Any]]:
    """A point per class with its interval; the ids are the field and the class, which `class_of` reads again."""
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [found.mean for found in means],
            "y": _labels(means),
            "ids": [f"{class_field} {found.name}" for found in means],
            "error_x": {
                "type": "data",
                "array": [found.margin or 0 for found in means],
                "color": _COLOR,
                "thickness": 1.5,
                "width": 4,
            },
            "marker": {"color": _COLOR, "size": 9},
            "text": [_interval(found) for found in means],
            "hovertemplate": "%{text}<extra></extra>",
        }
    ]


def class_of(point: object) -> tuple[str, str]:
    """The field and the class of a point's id, both empty for anything else."""
    field, separator, name = point.partition(" ") if isinstance(point, str) else ("", "", "")
    return (field, name) if separator else ("", "")


def class_layout(means: list[ClassMean]) -> dict[str, Any]:
    """The layout of the means by class: the axis goes over the means, and the intervals of classes of five or more."""
    ends = [
        end
        for found in means
        for margin in [found.margin if found.margin is not None and found.count >= 5 else 0]
        for end in (max(0.0, found.mean - margin), min(1.0, found.mean + margin))
    ]
    room = max(0.01, 0.05 * (max(ends) - min(ends)))
    labels = _labels(means)
    return {
        **_LAYOUT,
        "margin": {**_LAYOUT["margin"], "l": 8},  # type: ignore[dict-item]
        "dragmode": False,
        "hovermode": "closest",
        "xaxis": _axis("Mean memorability, 95 % confidence interval", range=[min(ends) - room, max(ends) + room]),
        "yaxis": {
            "type": "category",  # otherwise Plotly takes "10" for a number
            "categoryorder": "array",
            "categoryarray": labels,
            "range": [len(labels) - 0.5, -0.5],  # the most memorable at the top
            "automargin": True,
            "tickmode": "array",
            "tickvals": labels,
        },
    }


def class_height(means: list[ClassMean]) -> int:
    """The height of the means by class, in pixels."""
    return 80 + _ROW_PX * max(2, len(means))


def _labels(means: list[ClassMean]) -> list[str]:
    """Class and number of samples; equal beginnings of long names are told apart by their place."""
    labels: list[str] = []
    for place, found in enumerate(means):
        label = f"{html.escape(_short(found.name))} (n={found.count:,})"  # Plotly reads some HTML in names
        labels.append(f"{label} #{place + 1}" if label in labels else label)
    return labels


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"


def _interval(found: ClassMean) -> str:
    name = html.escape(found.name[:80])
    if found.margin is None:
        return f"{name}: {found.mean:.3f}, a single sample"
    low, high = max(0.0, found.mean - found.margin), min(1.0, found.mean + found.margin)
    return f"{name}: {found.mean:.3f}, {low:.3f} to {high:.3f}, n = {found.count:,}"


def _axis(title: str, **options: Any) -> dict[str, Any]:
    return {"title": {"text": title}, "automargin": True, "fixedrange": True, **options}
