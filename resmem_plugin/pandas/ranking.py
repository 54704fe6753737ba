"""Rows ranked by their scores, which are computed where the table has none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from resmem_plugin.pandas.columns import MEMORABILITY, check_options, score_column, select

if TYPE_CHECKING:
    from collections.abc import Hashable

    from resmem_plugin.pandas.columns import ScoreOptions


def ranked(
    data: pd.DataFrame | pd.Series[Any],
    column: Hashable,
    n: int,
    by: Hashable,
    *,
    ascending: bool,
    options: ScoreOptions,
    keep_all: bool = False,
) -> pd.DataFrame:
    """The first rows with their scores; all rows in their own order, with `keep_all`."""
    check_count(n)
    name = "image" if isinstance(data, pd.DataFrame) or data.name in (None, by) else data.name
    frame = data if isinstance(data, pd.DataFrame) else data.to_frame(name)
    attrs = dict(frame.attrs)
    if by in frame.columns:
        select(data, column)
        check_options(options)
        if not pd.api.types.is_numeric_dtype(select(frame, by)):
            raise TypeError(f"cannot rank by the column {by!r}: it is not numeric")
        values = np.asarray(select(frame, by).to_numpy(dtype="float64", na_value=math.nan))
    else:
        table = score_column(data, column, **options)
        values = table[MEMORABILITY].to_numpy(dtype="float64")
        attrs |= table.attrs
    order = np.argsort(values if ascending else -values, kind="stable")
    order = np.arange(len(frame)) if keep_all else order[~np.isnan(values[order])][:n]
    rows = frame.take(order).copy()
    if by not in frame.columns:
        rows[by] = values[order].astype("float32")
    rows.attrs = attrs
    return rows


def check_count(n: object) -> None:
    """Raise a ValueError if this is no number of rows."""
    if not isinstance(n, (int, np.integer)) or n < 0:
        raise ValueError(f"n must be an integer >= 0, not {n!r}")
