"""Score a column of images, of any index, dtype and missing values: what `df.resmem` wraps."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Hashable

    from typing_extensions import Unpack

    from resmem_plugin.core.scoring.progress import ProgressOption
    from resmem_plugin.core.scoring.scorer import Errors, Scorer

MEMORABILITY = "memorability"


class ScoreOptions(TypedDict, total=False):
    """Options of `score_column`, described in `ResMemAccessor.score`."""

    errors: Errors
    root: str | os.PathLike[str] | None
    batch_size: int | None
    device: str
    precision: str
    progress: ProgressOption
    storage_options: Mapping[str, Any] | None
    cache: str | os.PathLike[str] | bool | None
    base64: bool
    scorer: Scorer | None


def score_column(
    data: pd.DataFrame | pd.Series[Any],
    column: Hashable = None,
    *,
    warn: bool = True,
    **options: Unpack[ScoreOptions],
) -> pd.DataFrame:
    """Score a column: what `df.resmem.score` wraps, with a static return type.

    Args:
        data: the DataFrame, or the column itself.
        column: label of the column. Omit it for a Series.
        warn: emit one `FailedImagesWarning` if images failed under `errors="coerce"`.
        options: as in `ResMemAccessor.score`.

    Returns:
        DataFrame with the index of `data`: float32 "memorability", and "error", why there is no score, or None.
        Its `attrs["resmem"]` hold the provenance.

    Examples:
        >>> import pandas as pd
        >>> from resmem_plugin.pandas.columns import score_column
        >>> table = score_column(pd.Series(["coffee.png", None]))
        >>> [round(score, 2) for score in table["memorability"]], table["error"][0]
        ([0.88, nan], None)
    """
    from resmem_plugin.core.errors import OptionError, ScoringError
    from resmem_plugin.core.images.reader import MISSING_VALUE, is_missing
    from resmem_plugin.core.scoring.functional import warn_of_failures

    check_options(options)
    images = images_of(data, column, options.get("root"))
    scorer = scorer_of(options)
    positions: dict[object, int] = {}
    unique: list[object] = []
    first_rows: list[int] = []
    codes = np.full(len(images), -1)
    for row, image in enumerate(images):
        if not is_missing(image):
            key = image if isinstance(image, (str, bytes)) else id(image)
            codes[row] = positions.setdefault(key, len(unique))
            if codes[row] == len(unique):
                unique.append(image)
                first_rows.append(row)
    try:
        scores = scorer.score(unique, options.get("errors", "raise"), options.get("progress"), rows=first_rows)
    except ScoringError as error:
        done = len(error.scores)
        error.scores = [replace(error.scores[code], index=row) for row, code in enumerate(codes) if 0 <= code < done]
        raise
    if warn:
        warn_of_failures([replace(scores[code], index=row) for row, code in enumerate(codes) if code >= 0], images)
    reasons = np.array([*(score.error for score in scores), MISSING_VALUE], dtype=object)
    table = pd.DataFrame(
        {
            MEMORABILITY: np.array([*(score.memorability for score in scores), math.nan], dtype=np.float32)[codes],
            "error": pd.Series(reasons[codes], dtype=object, index=data.index),
        },
        index=data.index,
    )
    with contextlib.suppress(OptionError):  # int8 without an image to calibrate on
        table.attrs["resmem"] = scorer.provenance.to_record()
    return table


def scorer_of(options: ScoreOptions) -> Scorer:
    """The scorer that the options give, or configure.

    Raises:
        OptionError: for options beside a scorer, or that exclude each other.
    """
    from resmem_plugin.core.errors import OptionError
    from resmem_plugin.core.scoring.options import ScorerOptions
    from resmem_plugin.core.scoring.scorer import Scorer

    if options.get("base64") and options.get("root") is not None:
        raise OptionError("root is for paths, and base64 means that there are none: give one of them")
    scorer = options.get("scorer")
    given = options.keys() & {each.name for each in fields(ScorerOptions)}
    scorer_options = ScorerOptions(**{name: options[name] for name in given})  # type: ignore[literal-required]
    if scorer is None:
        return Scorer.of(scorer_options)
    scorer_options.check_unused()
    return scorer


def check_options(options: ScoreOptions) -> None:
    """Check that the options exist, even where nothing is scored.

    Raises:
        TypeError: if one does not exist, with a list of those that do.
    """
    unknown = options.keys() - ScoreOptions.__annotations__.keys()
    if unknown:
        raise TypeError(
            f"no such option: {', '.join(sorted(unknown))}; choose from {', '.join(ScoreOptions.__annotations__)}"
        )


def select(data: pd.DataFrame | pd.Series[Any], column: Hashable) -> pd.Series[Any]:
    """Return the one column of that label; a Series is returned as it is.

    Raises:
        KeyError: if there is none.
        ValueError: if there are several.
        TypeError: if the label is missing for a DataFrame, given for a Series, or a list.
    """
    if isinstance(data, pd.Series):
        if column is not None:
            raise TypeError(f"a Series is one column: omit {column!r}, as in series.resmem.score()")
        return data
    if column is None:
        raise TypeError(
            f'name the column of images, as in df.resmem.score("path"); the columns are {list(data.columns)}'
        )
    try:
        selected = data[column]
    except KeyError as error:
        raise KeyError(f"no column {column!r}; the columns are {list(data.columns)}") from error
    if isinstance(column, list):
        raise TypeError(f"name one column, not a list: {column[0]!r}" if column else "name the column of images")
    if isinstance(selected, pd.DataFrame):
        raise ValueError(
            f"{column!r} names {selected.shape[1]} columns, not one: rename them so that their labels differ"
        )
    return selected


def images_of(
    data: pd.DataFrame | pd.Series[Any], column: Hashable, root: str | os.PathLike[str] | None
) -> list[object]:
    """The images of a column; paths as strings, relative ones joined to `root`."""
    from resmem_plugin.core.images.sources import join_root, path_text

    return [path_text(image) if root is None else join_root(root, image) for image in select(data, column)]
