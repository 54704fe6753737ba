"""Distances between embeddings: near-duplicates, and a greedy choice of good and unlike images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import OptionError

NEAR_DISTANCE = 0.5
"""Images whose embeddings are nearer than this are near-duplicates, unless told otherwise; see `image_features`."""

_DIMENSIONS = 64  # that are compared first: distances in a subspace are never larger than in the whole
_SAMPLE = 1000  # rows that the subspace and the mean distance are computed of
_BLOCK = 2048  # rows of a comparison of all with all
_STALE = 256  # rows whose distance is brought up to date at once
_ROUNDING, _COARSE_ROUNDING = 1e-6, 1e-5  # of squared distances in float32
_RECENT = 32  # of the chosen, which most rows have not been compared with
_PLAIN = 8192  # up to as many rows it is quicker to bring all up to date

Rows = npt.NDArray[np.intp]
Vectors = npt.NDArray[np.float32]


def unit_vectors(embeddings: npt.ArrayLike) -> Vectors:
    """Embeddings as float32 vectors of length 1, so that distances depend on the angles between them alone.

    Args:
        embeddings: (N, D), finite numbers.

    Raises:
        OptionError: if they are no such array.
    """
    try:
        vectors = np.array(embeddings, np.float32)
    except (TypeError, ValueError) as error:
        raise OptionError(f"embeddings must be an array of numbers (N, D): {error}") from error
    if vectors.ndim != 2 or not vectors.shape[1]:
        raise OptionError(f"embeddings must be an array (N, D), not {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise OptionError("embeddings must be finite numbers: leave out the rows that have none")
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    vectors /= np.where(largest > 0, largest, 1)  # first: squares of large numbers overflow
    vectors[largest[:, 0] == 0] = np.resize([1, -1], vectors.shape[1])  # without a direction: one that none has
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def near_duplicate_groups(embeddings: npt.ArrayLike, max_distance: float = NEAR_DISTANCE) -> npt.NDArray[np.int64]:
    """Group images that are near-duplicates of each other, directly or through others of the group.

    Args:
        embeddings: (N, D), one row for each image.
        max_distance: between two near-duplicates: Euclidean, of embeddings scaled to length 1, from 0 to 2.

    Returns:
        (N,) the group of each image, numbered from 0 in the order of their first images; -1 for an image without
        near-duplicates.

    Raises:
        OptionError: if embeddings are no array of finite numbers.

    Examples:
        >>> from resmem_plugin.curation import near_duplicate_groups
        >>> near_duplicate_groups([[1, 0], [0, 1], [1, 0.01], [-1, 0.2]]).tolist()
        [0, -1, 0, -1]
    """
    check_distance(max_distance)
    vectors = unit_vectors(embeddings)
    labels = np.arange(len(vectors))
    if not len(vectors):
        return labels
    coarse = _Coarse(vectors)
    along = coarse.vectors[:, 0]  # pairs that are further apart on the first axis need no look
    order = np.argsort(along, kind="stable")
    for start in range(0, len(order), _BLOCK):
        rows = order[start : start + _BLOCK]
        end = int(np.searchsorted(along[order], along[rows[-1]] + max_distance + _COARSE_ROUNDING, "right"))
        for at in range(start, end, _BLOCK):
            others = order[at : min(at + _BLOCK, end)]
            if (labels[rows] == labels[others[0]]).all() and (labels[others] == labels[others[0]]).all():
                continue
            near = coarse.near(rows, others, max_distance)
            while near.any():
                near &= labels[rows][:, None] != labels[others]
                linked, linking = near.any(axis=1), near.any(axis=0)
                left = np.concatenate([rows[linked], rows[near[:, linking].argmax(axis=0)]])
                right = np.concatenate([others[near[linked].argmax(axis=1)], others[linking]])
                labels = _joined(labels, labels[left], labels[right])
    return _numbered(labels)


def check_distance(max_distance: object) -> None:
    """Check a distance between near-duplicates.

    Raises:
        OptionError: if it is not a number from 0 to 2.
    """
    if isinstance(max_distance, bool) or not isinstance(max_distance, (int, float)) or not 0 <= max_distance <= 2:
        raise OptionError(f"the distance of near-duplicates must be a number from 0 to 2, not {max_distance!r}")


@dataclass(frozen=True)
class Chosen:
    """What `choose` has chosen.

    Attributes:
        rows: in the order in which they were chosen, (n,).
        distances: of each to the nearest one chosen before it, (n,); infinite for the first.
        near_duplicates: of each, the rows that it stands for.
        radius: the largest distance of any candidate to what was chosen. With diversity alone, and near-duplicates as
            any others, it is at most twice the smallest that is possible with as many (Gonzalez 1985).
    """

    rows: Rows
    distances: npt.NDArray[np.float64]
    near_duplicates: list[Rows]
    radius: float


def choose(
    vectors: Vectors,
    quality: npt.NDArray[np.float64],
    n: int,
    strength: float,
    *,
    beside: Vectors | None = None,
    near_distance: float | None = NEAR_DISTANCE,
    score: npt.NDArray[np.float64] | None = None,
) -> Chosen:
    """Choose rows one after the other, each with the largest sum of its quality and its distance to those before it.

    The gain of a row is `(1 - strength) * quality + strength * distance / typical`, where `typical` is the mean
    distance between two rows. Distances only shrink while more is chosen, so that a row is looked at again only when
    its last known gain is the largest (lazy greedy).

    Args:
        vectors: (N, D), of length 1.
        quality: (N,) from 0 to 1.
        n: how many; fewer are chosen if there are not as many.
        strength: of diversity, 0 to 1: 0 is by quality alone, 1 is by distance alone (greedy k-centre).
        beside: vectors that are chosen already, (M, D).
        near_distance: of near-duplicates: a row is taken only if none that is better is as near, and excludes those
            that are as near. None: near-duplicates count as any others.
        score: by which one near-duplicate is better than another, (N,); None: `quality`.
    """
    count, size = vectors.shape
    if not count or not n:
        return Chosen(np.zeros(0, np.intp), np.zeros(0), [], float("nan"))
    score = quality if score is None else score
    coarse, typical = _Coarse(vectors), _mean_distance(vectors)
    before = np.zeros((0, size), np.float32) if beside is None else beside
    chosen = np.concatenate([before, np.zeros((min(n, count), size), np.float32)])
    nearest = np.full(count, 2.0)  # the largest distance that there is
    seen = np.zeros(count, np.intp)  # how many of the chosen it was compared with
    gain = _gain(quality, nearest, strength, typical)
    taken, rows, distances, near_duplicates = len(before), list[int](), list[float](), list[Rows]()
    while len(rows) < min(n, count):
        best = int(gain.argmax())
        if gain[best] == -np.inf:
            break
        if seen[best] < taken:
            leading = np.argpartition(gain, -_STALE)[-_STALE:] if count > _PLAIN else np.arange(count)
            stale = np.union1d(leading, [best])  # of equal gains, the best may not be among the leading
            stale = stale[(seen[stale] < taken) & (gain[stale] > -np.inf)]
            old = seen[stale] < taken - _RECENT
            for rows_of_age in (stale[old], stale[~old]):
                if len(rows_of_age):
                    new = _distances(vectors[rows_of_age], chosen[seen[rows_of_age].min() : taken]).min(axis=1)
                    nearest[rows_of_age] = np.minimum(nearest[rows_of_age], new)
            seen[stale] = taken
            gain[stale] = _gain(quality[stale], nearest[stale], strength, typical)
            if near_distance is not None:
                gain[stale[_is_near(nearest[stale], near_distance)]] = -np.inf
            continue
        near = np.zeros(0, np.intp)
        if near_distance is not None:
            best, near = _best_of_near(best, coarse, score, gain, chosen[:taken], near_distance)
        rows.append(best)
        distances.append(float(_distances(vectors[best : best + 1], chosen[:taken]).min()) if taken else np.inf)
        near_duplicates.append(near)
        gain[best] = gain[near] = -np.inf
        chosen[taken] = vectors[best]
        taken += 1
    return Chosen(np.array(rows, np.intp), np.array(distances), near_duplicates, _radius(vectors, chosen[:taken]))


def _gain(
    quality: npt.NDArray[np.float64], nearest: npt.NDArray[np.float64], strength: float, typical: float
) -> npt.NDArray[np.float64]:
    # of equally distant rows the better one
    return (1 - strength + 1e-9) * quality + strength * nearest / typical


def _best_of_near(
    row: int,
    coarse: _Coarse,
    score: npt.NDArray[np.float64],
    gain: npt.NDArray[np.float64],
    chosen: Vectors,
    near_distance: float,
) -> tuple[int, Rows]:
    """The best of a row and its near-duplicates, that of the best and its own, and so on; and its near-duplicates."""
    while True:
        near = coarse.near_to(row, near_distance)
        near = near[gain[near] > -np.inf]
        better = near[score[near] > score[row]]
        if len(better) and len(chosen):  # what is near to something chosen is excluded, though it may not be known yet
            better = better[~_is_near(_distances(coarse.all[better], chosen).min(axis=1), near_distance)]
        if not len(better):
            return row, near
        row = int(better[score[better].argmax()])


class _Coarse:
    """Vectors and their coordinates on the axes of their largest variance, where most pairs can be excluded."""

    def __init__(self, vectors: Vectors) -> None:
        self.all = vectors
        sample = _sampled(vectors)
        centre = sample.mean(axis=0)
        axes = np.linalg.svd(sample - centre, full_matrices=False)[2][:_DIMENSIONS]
        self.vectors = (vectors - centre) @ axes.T
        halves, ones = -(self.vectors**2).sum(axis=1) / 2, np.ones(len(vectors), np.float32)
        self._left = np.column_stack([self.vectors, halves, ones])  # the products of these two are
        self._right = np.column_stack([self.vectors, ones, halves])  # minus half of the squared distances

    def near(self, rows: Rows, others: Rows, distance: float) -> npt.NDArray[np.bool_]:
        """Which of these pairs are as near, (R, O)."""
        near = np.asarray(self._left[rows] @ self._right[others].T >= -(distance**2 + _COARSE_ROUNDING) / 2)
        if np.count_nonzero(near) > _BLOCK * 4:
            near &= _is_near(_distances(self.all[rows], self.all[others]), distance)
        elif near.any():
            left, right = np.nonzero(near)
            apart = np.linalg.norm(self.all[rows[left]] - self.all[others[right]], axis=1)
            near[left, right] = _is_near(apart, distance)
        return near

    def near_to(self, row: int, distance: float) -> Rows:
        """The rows that are as near to this one, without itself."""
        rows = np.flatnonzero(self._right @ self._left[row] >= -(distance**2 + _COARSE_ROUNDING) / 2)
        rows = rows[rows != row]
        if len(rows) > len(self.all) // 8:  # they differ in many dimensions: one product is quicker than many rows
            products = self.all @ self.all[row]
            rows = rows[_is_near(np.sqrt(np.maximum(2 - 2 * products[rows], 0)), distance)]
        near: Rows = rows[_is_near(np.linalg.norm(self.all[rows] - self.all[row], axis=1), distance)]
        return near


def _distances(left: Vectors, right: Vectors) -> npt.NDArray[np.float64]:
    """Between vectors of length 1, (L, D) and (R, D) -> (L, R)."""
    squared = np.maximum(2 - 2 * (left @ right.T), 0)
    return np.asarray(np.sqrt(squared), np.float64)


def _is_near(distances: npt.NDArray[Any], limit: float) -> npt.NDArray[np.bool_]:
    return np.asarray(distances**2 <= limit**2 + _ROUNDING)


def _sampled(vectors: Vectors) -> Vectors:
    return vectors[np.random.default_rng(0).permutation(len(vectors))[:_SAMPLE]]


def _mean_distance(vectors: Vectors) -> float:
    sample = _sampled(vectors)
    found = _distances(sample, sample)
    return float(found.sum() / max(1, len(sample) * (len(sample) - 1))) or 1.0


def _radius(vectors: Vectors, chosen: Vectors) -> float:
    return max(
        float(_distances(vectors[start : start + _BLOCK], chosen).min(axis=1).max())
        for start in range(0, len(vectors), _BLOCK)
    )


def _joined(labels: Rows, left: Rows, right: Rows) -> Rows:
    """The labels where those that are linked are the same: the smallest of all that are connected."""
    roots = np.arange(len(labels))
    while True:
        before = roots.copy()
        low = np.minimum(roots[left], roots[right])
        for linked in (left, right, before[left], before[right]):
            np.minimum.at(roots, linked, low)
        roots = roots[roots]
        if (roots == before).all():
            return np.asarray(roots[labels])


def _numbered(labels: Rows) -> npt.NDArray[np.int64]:
    """Groups numbered by their first members; -1 for those with one member."""
    _, first, codes, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    numbers = np.full(len(counts), -1)
    groups = np.flatnonzero(counts > 1)
    numbers[groups[np.argsort(first[groups])]] = np.arange(len(groups))
    return np.asarray(numbers[codes], np.int64)
