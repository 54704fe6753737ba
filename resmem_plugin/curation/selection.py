"""`select`: which images of a table to take, by memorability and diversity."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from resmem_plugin.core.errors import OptionError
from resmem_plugin.curation.diversity import NEAR_DISTANCE, Chosen, Vectors, check_distance, choose, unit_vectors
from resmem_plugin.curation.reference import percentiles

Strategy: TypeAlias = Literal["balanced", "k_centre", "top", "random"]
NearDuplicates: TypeAlias = Literal["best", "keep"]

STRATEGIES = ("balanced", "k_centre", "top", "random")
NEAR_DUPLICATES = ("best", "keep")
COLUMNS = ("distance", "near_duplicates")
"""What `select` adds to the rows."""


def select(
    frame: pd.DataFrame,
    n: int,
    score: Hashable = "memorability",
    embeddings: Any = None,
    strength: float = 0.5,
    per: Hashable | None = None,
    *,
    strategy: Strategy = "balanced",
    ascending: bool = False,
    preselected: Any = None,
    near_duplicates: NearDuplicates = "best",
    near_distance: float = NEAR_DISTANCE,
    seed: int = 0,
) -> pd.DataFrame:
    """Select memorable and diverse rows.

    "balanced" takes one row after the other: that with the largest sum of `1 - strength` times its rank by score (0 to
    1) and `strength` times its distance to the nearest row taken before it (1 is the mean distance between two rows).
    "k_centre" is by distance alone: with `near_duplicates="keep"` no row that is left is more than twice as far from
    the nearest selected one as it has to be with `n` rows (Gonzalez 1985). "top" is by score alone, "random" by chance.

    Args:
        frame: one row for each image. Rows without a score or an embedding are not selected.
        n: how many rows; all that there are, if there are fewer.
        score: the column of scores.
        embeddings: an array (N, D), such as `image_features`; or the label of a column of vectors. None: only for "top"
            and "random", with `near_duplicates="keep"`.
        strength: of diversity in "balanced", 0 (as "top") to 1 (as "k_centre").
        per: a column of classes: `n` rows of each, the classes in the order of their names.
        strategy: "balanced", "k_centre", "top" or "random".
        ascending: prefer the least memorable.
        preselected: rows that are taken already: a mask (N,), or the label of a column of booleans. They are not
            returned, and what is selected differs from them too.
        near_duplicates: "best" takes of images nearer than `near_distance` only the best, and none that is so near to a
            preselected one; "keep" treats them as any other.
        near_distance: between embeddings scaled to length 1, from 0 to 2.
        seed: of "random".

    Returns:
        The selected rows in the order of their selection, with two columns: `distance` to the nearest one selected
        before (NaN for the first, or without embeddings), and `near_duplicates`, the index labels of those that were
        left out for it.

    Raises:
        OptionError: for an option that does not exist or fit.

    Examples:
        >>> import pandas as pd
        >>> from resmem_plugin.curation import select
        >>> frame = pd.DataFrame({"path": ["a", "a copy", "b", "c"], "memorability": [0.9, 0.89, 0.8, 0.7]})
        >>> embeddings = [[1, 0], [1, 0.01], [0.8, 0.5], [0, 1]]
        >>> select(frame, 2, embeddings=embeddings, strength=0.7)[["path", "near_duplicates"]].values.tolist()
        [['a', [1]], ['c', []]]
        >>> select(frame, 2, strategy="top", near_duplicates="keep")["path"].tolist()
        ['a', 'a copy']
    """
    check_selection(n, strength, strategy, near_duplicates, near_distance)
    scores = _column(frame, score, "score")
    try:
        values = scores.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise OptionError(f"the column {score!r} is not numeric: name the column of scores with score=") from error
    vectors, near = _embeddings(frame, embeddings), float(near_distance) if near_duplicates == "best" else None
    if vectors is None and needs_embeddings(strength, strategy, near_duplicates):
        raise OptionError(
            "embeddings are needed: give embeddings=image_features(images), or a column of your own; without them "
            'there are strategy="top" and "random", with near_duplicates="keep"'
        )
    distinguished = vectors is not None
    if vectors is None:
        vectors = np.ones((len(frame), 1), np.float32)
    known, taken = np.isfinite(vectors).all(axis=1), _mask(frame, preselected)
    vectors[~known] = 0
    vectors = unit_vectors(vectors)
    candidates = np.isfinite(values) & known & ~taken
    quality = percentiles(np.where(candidates, -values if ascending else values, np.nan)) / 100
    priority = quality
    if strategy == "random":
        priority = np.random.default_rng(seed).permutation(len(frame)) / max(1, len(frame))
    weight = {"balanced": float(strength), "k_centre": 1.0}.get(strategy, 0.0)
    parts = []
    for rows in _classes(frame, per, candidates):
        chosen = choose(
            vectors[rows],
            priority[rows],
            int(n),
            weight,
            beside=vectors[known & taken],
            near_distance=near,
            score=quality[rows],
        )
        parts.append(_selected(frame, rows, chosen, distinguished=distinguished))
    selected = pd.concat(parts) if len(parts) > 1 else parts[0]
    selected.attrs = dict(frame.attrs)
    return selected


def needs_embeddings(strength: float = 0.5, strategy: str = "balanced", near_duplicates: str = "best") -> bool:
    """Whether `select` needs embeddings with these options."""
    return near_duplicates == "best" or strategy == "k_centre" or (strategy == "balanced" and strength > 0)


def check_selection(
    n: object,
    strength: object = 0.5,
    strategy: str = "balanced",
    near_duplicates: str = "best",
    near_distance: object = NEAR_DISTANCE,
) -> None:
    """Check options of `select`, before embeddings are computed.

    Raises:
        OptionError: for one that does not exist or fit.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
        raise OptionError(f"n must be a whole number, 0 or more, not {n!r}")
    if isinstance(strength, bool) or not isinstance(strength, (int, float)) or not 0 <= strength <= 1:
        raise OptionError(f"strength must be a number from 0 to 1, not {strength!r}")
    if strategy not in STRATEGIES:
        raise OptionError(f"strategy must be one of {', '.join(STRATEGIES)}, not {strategy!r}")
    if near_duplicates not in NEAR_DUPLICATES:
        raise OptionError(f"near_duplicates must be one of {', '.join(NEAR_DUPLICATES)}, not {near_duplicates!r}")
    check_distance(near_distance)


def _column(frame: pd.DataFrame, label: Hashable, name: str) -> pd.Series[Any]:
    columns = [number for number, name in enumerate(frame.columns) if name == label]
    if len(columns) != 1:
        found = f"{len(columns)} columns" if columns else "no column"
        raise OptionError(f"{found} {label!r}, as {name} names; the columns are {list(frame.columns)}")
    column: pd.Series[Any] = frame.iloc[:, columns[0]]
    return column


def _embeddings(frame: pd.DataFrame, embeddings: Any) -> Vectors | None:
    """(N, D), NaN in the rows that have none."""
    if embeddings is None:
        return None
    if _is_label(embeddings, frame):
        if not len(frame):
            return np.zeros((0, 1), np.float32)
        rows = list(_column(frame, embeddings, "embeddings"))
        size = next((len(row) for row in rows if isinstance(row, (list, tuple, np.ndarray))), 0)
        if not size:
            raise OptionError(f"the column {embeddings!r} holds no vectors")
        embeddings = [row if isinstance(row, (list, tuple, np.ndarray)) else np.full(size, np.nan) for row in rows]
    try:
        vectors = np.array(embeddings, np.float32)
    except (TypeError, ValueError) as error:
        raise OptionError(f"embeddings must be numbers, as many of each image: {error}") from error
    if vectors.ndim != 2 or len(vectors) != len(frame):
        raise OptionError(f"embeddings must be an array ({len(frame)}, D), one row for each image, not {vectors.shape}")
    return vectors


def _mask(frame: pd.DataFrame, preselected: Any) -> npt.NDArray[np.bool_]:
    if preselected is None:
        return np.zeros(len(frame), bool)
    if _is_label(preselected, frame):
        preselected = _column(frame, preselected, "preselected")
    mask = np.asarray(preselected)
    if mask.dtype == object and all(isinstance(each, (bool, np.bool_)) or pd.isna(each) for each in mask):
        mask = np.array([each is not None and not pd.isna(each) and bool(each) for each in mask], bool)
    if mask.dtype != bool or mask.shape != (len(frame),):
        raise OptionError(f"preselected must be True or False for each of the {len(frame)} rows")
    return mask


def _is_label(given: Any, frame: pd.DataFrame) -> bool:
    """Whether this names a column, and is no array."""
    return isinstance(given, str) or (not isinstance(given, (np.ndarray, list, pd.Series)) and _is_in(given, frame))


def _is_in(given: Any, frame: pd.DataFrame) -> bool:
    try:
        return given in frame.columns
    except TypeError:  # a tuple of lists
        return False


def class_codes(classes: pd.Series[Any]) -> tuple[npt.NDArray[np.intp], list[str]]:
    """The number of each row's class, -1 for none, and the classes' names.

    Raises:
        OptionError: for a column of lists.
    """
    try:
        codes, names = pd.factorize(classes)
    except (TypeError, NotImplementedError) as error:
        raise OptionError(
            f"the column {classes.name!r} holds lists, not a class for each row: frame.explode makes a row of each"
        ) from error
    return codes, [str(name) for name in names]


def _classes(
    frame: pd.DataFrame, per: Hashable | None, candidates: npt.NDArray[np.bool_]
) -> Iterator[npt.NDArray[np.intp]]:
    """The candidates of each class, the classes in the order of their names; rows without a class are left out."""
    if per is None:
        yield np.flatnonzero(candidates)
        return
    codes, names = class_codes(_column(frame, per, "per"))
    if not len(names):
        yield np.zeros(0, np.intp)
    for code in sorted(range(len(names)), key=names.__getitem__):
        yield np.flatnonzero(candidates & (codes == code))


def _selected(frame: pd.DataFrame, rows: npt.NDArray[np.intp], chosen: Chosen, *, distinguished: bool) -> pd.DataFrame:
    selected = frame.iloc[rows[chosen.rows]].copy()
    distances = np.where(np.isinf(chosen.distances) | (not distinguished), np.nan, chosen.distances)
    selected[COLUMNS[0]] = distances
    labels = [frame.index[rows[near]].tolist() for near in chosen.near_duplicates]
    selected[COLUMNS[1]] = pd.Series(labels, index=selected.index, dtype=object)
    return selected
