"""MemCat: 10,000 images of five categories (Goetschalckx & Wagemans 2019)."""

from __future__ import annotations

import os

import pandas as pd

from resmem_plugin.core.errors import OptionError
from resmem_plugin.datasets.layout import Root, find_file, find_images, make_frame, numbers, read_csv

_SOURCE = "http://gestaltrevision.be/projects/memcat"
_FILE = "memcat_image_data.csv"
_WITHOUT, _WITH = "memorability_wo_fa_correction", "memorability_w_fa_correction"


def memcat(root: Root, *, column: str = _WITHOUT) -> pd.DataFrame:
    """MemCat as a frame; see `resmem_plugin.datasets`. The published weights were trained on images of it.

    Args:
        root: the folder with `memcat_image_data.csv`, and the images in `images`, `MemCat` or `MemCat_images/MemCat`.
        column: "memorability_wo_fa_correction", the hit rate, for which the published weights were trained, or
            "memorability_w_fa_correction", the hit rate less the false-alarm rate.

    Raises:
        OptionError: for a folder that lacks a file or a column, a value that is no number, or another column.

    Examples:
        >>> from resmem_plugin.datasets import memcat
        >>> frame = memcat("memcat", column="memorability_w_fa_correction")
        >>> frame[["memorability", "group", "n_ratings"]].head(1).values.tolist()[0]
        [0.75, 'animal', 100.0]
    """
    if column not in (_WITHOUT, _WITH):
        raise OptionError(f"column must be {_WITHOUT!r} or {_WITH!r}, not {column!r}")
    path = find_file(root, [_FILE], "MemCat", _SOURCE)
    named = ("image_file", "category", "subcategory", "H", "FA", "n_resp", column)
    table = read_csv(path, named, "MemCat")
    files = [
        os.path.join(*parts)
        for parts in zip(*(table[name] for name in ("category", "subcategory", "image_file")), strict=True)
    ]
    images = find_images(root, ["images", "MemCat", "MemCat_images/MemCat", "."], files, "MemCat", _SOURCE)
    hits, false_alarms, seen = (numbers(table[name], path, name) for name in ("H", "FA", "n_resp"))
    counts = {
        "hits": hits,
        "misses": seen - hits,
        "false_alarms": false_alarms,
        "correct_rejections": seen - false_alarms,
    }
    return make_frame(
        [os.path.join(images, file) for file in files],
        numbers(table[column], path, column),
        group=table["category"],
        n_ratings=seen,
        counts=pd.DataFrame(counts),
        seen_in_training=True,
    )
