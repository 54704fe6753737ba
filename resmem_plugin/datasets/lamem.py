"""LaMem: 58,741 images (Khosla, Raju, Torralba & Oliva 2015)."""

from __future__ import annotations

import os

import pandas as pd

from resmem_plugin.core.errors import OptionError
from resmem_plugin.datasets.layout import Root, find_file, find_images, make_frame, numbers

_SOURCE = "http://memorability.csail.mit.edu"
_SPLITS = ("train", "val", "test")
_FOLDS = 5


def lamem(root: Root, fold: int | None = 1) -> pd.DataFrame:
    """LaMem as a frame; see `resmem_plugin.datasets`. The published weights were trained on images of it.

    Args:
        root: the folder with `images` and `splits`.
        fold: which of its five divisions into train, val and test, 1 to 5; None: `splits/full.txt`, undivided.

    Raises:
        OptionError: for a folder that lacks a file, a line that is no name and score, or another fold.

    Examples:
        >>> from resmem_plugin.datasets import lamem
        >>> frame = lamem("lamem")
        >>> frame[["memorability", "split"]].head(1).values.tolist()[0]
        [0.78, 'train']
    """
    if fold is not None and fold not in range(1, _FOLDS + 1):
        raise OptionError(f"fold must be 1 to {_FOLDS}, or None for all images, not {fold!r}")
    wanted = [(None, "full.txt")] if fold is None else [(split, f"{split}_{fold}.txt") for split in _SPLITS]
    names: list[str] = []
    scores: list[str] = []
    splits: list[str | None] = []
    for split, file in wanted:
        path = find_file(root, [f"splits/{file}"], "LaMem", _SOURCE)
        with open(path, encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                name, _, score = line.strip().rpartition(" ")  # names may hold spaces
                if not name.strip():
                    if line.strip():
                        raise OptionError(f"line {number} of {path} is not a file name, a space and a score: {line!r}")
                    continue
                names.append(name.strip())
                scores.append(score)
                splits.append(split)
    images = find_images(root, ["images"], names, "LaMem", _SOURCE)
    return make_frame(
        [os.path.join(images, name) for name in names],
        numbers(scores, os.path.join(root, "splits"), "score"),
        split=splits,
        seen_in_training=True,
    )
