"""The picture of a sweep: how well each trial ranked the validation images, epoch by epoch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from resmem_plugin.core.atomic import replacing

if TYPE_CHECKING:
    import pandas as pd


def save_sweep_picture(path: str | os.PathLike[str], trials: pd.DataFrame) -> None:
    """Draw one line for each trial, the better the darker, and the best one named; as .png, .svg or .pdf.

    Args:
        path: the file to write.
        trials: one row for each: "trial" and "history", its rank correlation after each epoch.

    Examples:
        >>> import pandas as pd
        >>> from resmem_plugin.reports.sweep import save_sweep_picture
        >>> trials = pd.DataFrame({"trial": [0, 1], "history": [[0.3, 0.5], [0.4, 0.45]]})
        >>> save_sweep_picture("sweep.png", trials)
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    drawn = [(max(each), each, number) for number, each in zip(trials["trial"], trials["history"], strict=True) if each]
    drawn.sort(key=lambda each: each[0])
    for rank, (reached, history, number) in enumerate(drawn):
        is_best = rank == len(drawn) - 1
        color = "tab:red" if is_best else colormaps["Blues"](0.25 + 0.65 * rank / max(len(drawn) - 1, 1))
        label = f"trial {number}: {reached:.3f}" if is_best else None
        axes.plot(np.arange(1, len(history) + 1), history, color=color, lw=2.5 if is_best else 1.2, label=label)
        axes.plot(int(np.argmax(history)) + 1, reached, "o", color=color, ms=5 if is_best else 3)
    axes.set(xlabel="epoch", ylabel="rank correlation on validation images", title=f"{len(drawn)} trials")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    if drawn:
        axes.legend(frameon=False, loc="lower right")
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=150)
