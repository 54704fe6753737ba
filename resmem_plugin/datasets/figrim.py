"""FIGRIM: 630 scenes of 21 categories (Bylinskii, Isola, Bainbridge, Torralba & Oliva 2015)."""

from __future__ import annotations

import os
from typing import Literal

import pandas as pd

from resmem_plugin.core.errors import OptionError
from resmem_plugin.datasets.layout import COUNTS, Root, find_file, find_images, make_frame, numbers, read_csv

_SOURCE = "http://figrim.mit.edu"


def figrim(root: Root, experiment: Literal["across", "within"] = "across") -> pd.DataFrame:
    """FIGRIM's targets as a frame; see `resmem_plugin.datasets`. Memorability is the hit rate.

    Args:
        root: the folder with `across_category.csv` or `within_category.csv`, and `images/SCENES_TARGETS`.
        experiment: whether people saw images of all categories, "across", or of one, "within".

    Raises:
        OptionError: for a folder that lacks a file or a column, or a value that is no number.

    Examples:
        >>> from resmem_plugin.datasets import figrim
        >>> frame = figrim("figrim")
        >>> frame[["memorability", "group", "n_ratings", "false_alarms"]].head(1).values.tolist()[0]
        [0.75, 'bathroom', 80.0, 8.0]
    """
    if experiment not in ("across", "within"):
        raise OptionError(f"experiment must be 'across' or 'within', not {experiment!r}")
    path = find_file(root, [f"{experiment}_category.csv"], "FIGRIM", _SOURCE)
    table = read_csv(path, ("filename", "scene category", *COUNTS), "FIGRIM")
    groups = table["scene category"].str.strip()
    files = [os.path.join(group, name.strip()) for group, name in zip(groups, table["filename"], strict=True)]
    images = find_images(root, ["images/SCENES_TARGETS", "SCENES_TARGETS"], files, "FIGRIM", _SOURCE)
    counts = pd.DataFrame({name: numbers(table[name], path, name) for name in COUNTS})
    seen = counts["hits"] + counts["misses"]
    return make_frame(
        [os.path.join(images, file) for file in files],
        counts["hits"] / seen.where(seen > 0),
        group=groups,
        n_ratings=seen,
        counts=counts,
        seen_in_training=False,
    )
