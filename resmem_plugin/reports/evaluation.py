"""The report of an evaluation: one self-contained HTML page."""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from resmem_plugin.core.atomic import replacing
from resmem_plugin.reports.gallery import Card, Gallery, templates

if TYPE_CHECKING:
    import pandas as pd

    from resmem_plugin.training.evaluation import Evaluation

_POINTS = 2000  # that the scatter plot draws
_WORST = 12
_PIXELS, _ROW_PIXELS = 400, 24


def evaluation_html(
    evaluation: Evaluation,
    frame: pd.DataFrame,
    prediction: Hashable,
    target: Hashable,
    *,
    images: Hashable | None = None,
    title: str = "Evaluation",
) -> str:
    """A page with the figures, scores against what was measured, the groups, and the worst cases as pictures.

    Args:
        evaluation: of the frame.
        frame: one row for each image.
        prediction: its column of scores.
        target: its column of what was measured.
        images: its column of images; None: no pictures.
        title: the heading.

    Examples:
        >>> import pandas as pd
        >>> from resmem_plugin.reports.evaluation import evaluation_html
        >>> from resmem_plugin.training import evaluate
        >>> frame = pd.DataFrame({"memorability": [0.6, 0.7, 0.8], "hit_rate": [0.5, 0.7, 0.6]})
        >>> page = evaluation_html(evaluate(frame, "memorability", "hit_rate"), frame, "memorability", "hit_rate")
        >>> page.splitlines()[0]
        '<!doctype html>'
    """
    scores, measured = (np.asarray(frame[name], np.float64) for name in (prediction, target))
    used = np.flatnonzero(np.isfinite(scores) & np.isfinite(measured))
    above = scores[used] - measured[used]
    ranked = used[np.argsort(above, kind="stable")]
    galleries = []
    if images is not None:
        for heading, rows in (("Scored too high", ranked[::-1]), ("Scored too low", ranked)):
            shown = [row for row in rows[:_WORST].tolist() if (scores[row] > measured[row]) == (heading[-4:] == "high")]
            cards = [
                Card(frame[images].iloc[row], scores[row], row=row, note=f"measured {measured[row]:.3f}")
                for row in shown
            ]
            galleries.append(Gallery(cards, title=heading, total=len(used))._repr_html_())
    drawn = used if len(used) <= _POINTS else np.sort(np.random.default_rng(0).choice(used, _POINTS, replace=False))
    return (
        templates()
        .get_template("evaluation.html.j2")
        .render(
            title=title,
            evaluation=evaluation,
            rows=evaluation.to_frame().to_dict("records"),
            groups=evaluation.groups.to_dict("records"),
            scatter=_scatter(scores[drawn], measured[drawn]),
            widest=max((abs(bias) for bias in evaluation.groups.get("bias", ())), default=0.0),
            names=(str(prediction), str(target)),
            all_drawn=len(drawn) == len(used),
            galleries=galleries,
            pixels=_PIXELS,
            row_pixels=_ROW_PIXELS,
        )
    )


def save_evaluation(path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
    """Write `evaluation_html` to a file, whole or not at all, replacing one that exists."""
    page = evaluation_html(*args, **kwargs)
    with replacing(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8", errors="backslashreplace")


def _scatter(scores: Any, measured: Any) -> dict[str, Any]:
    """The points in pixels, and the ticks of both axes, which have the same range: 0.1 steps around all values."""
    low = np.floor(min(scores.min(), measured.min()) * 10) / 10
    high = max(np.ceil(max(scores.max(), measured.max()) * 10) / 10, low + 0.1)

    def pixels(values: Any) -> Any:
        return ((values - low) / (high - low) * _PIXELS).round(1)

    ticks = np.linspace(low, high, round((high - low) * 10) + 1)
    ticks = ticks[:: max(1, len(ticks) // 8)]
    return {
        "points": list(zip(pixels(scores).tolist(), (_PIXELS - pixels(measured)).tolist(), strict=True)),
        "ticks": [(position, f"{value:.1f}") for position, value in zip(pixels(ticks).tolist(), ticks, strict=True)],
    }
