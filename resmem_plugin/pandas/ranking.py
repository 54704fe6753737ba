"""Rows ranked by their scores, which are computed where the table has none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from resmem_plugin.pandas.columns import MEMORABILITY, check_options, images_of, score_column, scorer_of, select

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

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


def select_rows(
    data: pd.DataFrame | pd.Series[Any],
    column: Hashable,
    n: int,
    by: Hashable,
    strength: float,
    per: Hashable | None,
    embeddings: Any,
    selection: Mapping[str, Any],
    options: ScoreOptions,
) -> pd.DataFrame:
    """What `ResMemAccessor.select` returns; options are checked before images are read."""
    from resmem_plugin.curation import image_features
    from resmem_plugin.curation import select as select_from
    from resmem_plugin.curation.selection import check_selection, needs_embeddings

    checked = {name: selection[name] for name in ("strategy", "near_duplicates", "near_distance") if name in selection}
    check_selection(n, strength, **checked)
    checked.pop("near_distance", None)
    if per is not None and isinstance(data, pd.DataFrame):
        select(data, per)
    scored = ranked(data, column, len(data), by, ascending=False, options=options, keep_all=True)
    if embeddings is None and needs_embeddings(strength, **checked):
        images = images_of(data, column, options.get("root"))
        embeddings = image_features(images, progress=options.get("progress"), scorer=scorer_of(options))
    return select_from(scored, n, by, embeddings, strength, per, **selection)


def check_count(n: object) -> None:
    """Raise a ValueError if this is no number of rows."""
    if not isinstance(n, (int, np.integer)) or n < 0:
        raise ValueError(f"n must be an integer >= 0, not {n!r}")
