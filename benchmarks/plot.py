"""Draws what `make bench` measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure


def draw(ratios: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Bars of each variant's speed over upstream's best, one group per kind of image, to an SVG file."""
    matplotlib.rcParams["svg.hashsalt"] = "resmem"  # the same figures give the same file
    names = list(dict.fromkeys(name for kind in ratios.values() for name in kind))[::-1]
    figure = Figure(figsize=(8, 0.45 * len(names) + 1), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / len(ratios)
    for number, (kind, speeds) in enumerate(ratios.items()):
        places = [place + 0.4 - height * (number + 0.5) for place in range(len(names))]
        bars = axes.barh(places, [speeds.get(name, 0) for name in names], height, label=kind)
        axes.bar_label(bars, [f" {speeds[name]:.2f}" if name in speeds else "" for name in names], fontsize=8)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("images per second, end to end, over upstream's best")
    axes.margins(x=0.1)
    figure.legend(loc="outside upper right", ncols=len(ratios))
    figure.savefig(path, metadata={"Date": None})
