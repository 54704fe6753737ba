"""THINGS: memorability of 26,107 images of 1,854 objects (Kramer, Hebart, Baker & Bainbridge 2023)."""

from __future__ import annotations

import os

import pandas as pd

from resmem_plugin.datasets.layout import Root, find_file, find_images, make_frame, numbers, read_csv

_SOURCE = "https://things-initiative.org"
_FILE = "THINGS_Memorability_Scores.csv"


def things(root: Root) -> pd.DataFrame:
    """THINGS as a frame; see `resmem_plugin.datasets`.

    Memorability is the corrected recognition, the hit rate less the false-alarm rate; images without one have NaN.

    Args:
        root: the folder with `THINGS_Memorability_Scores.csv`, and the images in `object_images` or `images`.

    Raises:
        OptionError: for a folder that lacks a file or a column, or a value that is no number.

    Examples:
        >>> from resmem_plugin.datasets import things
        >>> frame = things("things")
        >>> frame[["memorability", "group"]].head(1).values.tolist()[0]
        [0.81, 'aardvark']
    """
    path = find_file(root, [_FILE], "THINGS", _SOURCE)
    table = read_csv(path, ("file_path", "cr"), "THINGS")
    files = [os.path.normpath(file.strip().replace("\\", "/")).removeprefix("images/") for file in table["file_path"]]
    images = find_images(root, ["object_images", "images", "."], files, "THINGS", _SOURCE)
    return make_frame(
        [os.path.join(images, file) for file in files],
        numbers(table["cr"], path, "cr"),
        group=[os.path.dirname(file) or None for file in files],
        seen_in_training=False,
    )
