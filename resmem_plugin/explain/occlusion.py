"""Occlusion: by how much the score falls when a window of the image is hidden (Zeiler & Fergus 2014).

The windows are 57 of 227 pixels wide. A coarse grid of 7 by 7 windows, each half a window from the next, is tried
first; then, of the grid of 13 by 13 that contains it, those places where most is to be expected. The others are
interpolated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.images.preprocess import INPUT_SIZE
from resmem_plugin.explain.explanation import Map

WINDOW = 57
"""Rows and columns of a window, in pixels of the network's input."""

PLACES = tuple(int(place) for place in np.linspace(0, INPUT_SIZE - WINDOW, 13).round())
"""Of the first row or column of a window."""

COARSE_WINDOWS = len(PLACES[::2]) ** 2
ALL_WINDOWS = len(PLACES) ** 2

Forward: TypeAlias = "Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]"
"""Images uint8 (B, 227, 227, 3), any number of them -> scores (B,)."""


def occlusion(
    pixels: npt.NDArray[np.uint8], hidden: npt.NDArray[np.uint8], forward: Forward, windows: int
) -> tuple[float, float, Map]:
    """The score of an image, that of the image wholly hidden, and the map.

    Args:
        pixels: the image, uint8 (227, 227, 3).
        hidden: what is shown in a window instead.
        forward: the network.
        windows: how many to try, from 49 to 169, which is all of them.
    """
    drops = np.full((len(PLACES),) * 2, np.nan)
    coarse = [(row, column) for row in range(0, len(PLACES), 2) for column in range(0, len(PLACES), 2)]
    scores = forward(np.stack([pixels, hidden, *(_covered(pixels, hidden, place) for place in coarse)])).astype(float)
    score, baseline_score = float(scores[0]), float(scores[1])
    for place, covered in zip(coarse, scores[2:], strict=True):
        drops[place] = score - covered
    expected = _interpolated(drops)
    unknown = np.flatnonzero(np.isnan(drops))
    ranked = unknown[np.argsort(-np.abs(expected.flat[unknown]), kind="stable")][: windows - len(coarse)]
    fine = [divmod(int(number), len(PLACES)) for number in np.sort(ranked)]
    if fine:
        scores = forward(np.stack([_covered(pixels, hidden, place) for place in fine])).astype(float)
        for place, covered in zip(fine, scores, strict=True):
            drops[place] = score - covered
    return score, baseline_score, _on_pixels(np.where(np.isnan(drops), expected, drops))


def _covered(
    pixels: npt.NDArray[np.uint8], hidden: npt.NDArray[np.uint8], place: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    covered = pixels.copy()
    window = _window(place)
    covered[window] = hidden[window]
    return covered


def _window(place: tuple[int, int]) -> tuple[slice, slice]:
    top, left = PLACES[place[0]], PLACES[place[1]]
    return slice(top, top + WINDOW), slice(left, left + WINDOW)


def _interpolated(drops: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The grid with every second place linearly interpolated, along rows, then along columns."""
    found = drops.copy()
    found[:, 1::2] = (found[:, :-1:2] + found[:, 2::2]) / 2
    found[1::2] = (found[:-1:2] + found[2::2]) / 2
    return found


def _on_pixels(drops: npt.NDArray[np.float64]) -> Map:
    """For each pixel the mean of the windows that cover it: (227, 227)."""
    total, count = np.zeros((INPUT_SIZE, INPUT_SIZE)), np.zeros((INPUT_SIZE, INPUT_SIZE))
    for place in np.ndindex(drops.shape):
        total[_window(place)] += drops[place]
        count[_window(place)] += 1
    return (total / count).astype(np.float32)
