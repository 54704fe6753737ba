from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse.csgraph import connected_components

from resmem_plugin.core.errors import OptionError
from resmem_plugin.curation import near_duplicate_groups
from resmem_plugin.curation.diversity import choose, unit_vectors


def vectors(count: int, size: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)


@pytest.mark.parametrize("size", [4, 64, 300])
def test_groups_are_the_connected_components(size: int) -> None:
    found = vectors(5000, size)
    found[2000:2500] = found[:500] + 0.02 * vectors(500, size, 1)
    found[4000:4300] = found[7]
    distance = 0.03 if size == 4 else 0.1
    groups = near_duplicate_groups(found, distance)
    exact = found.astype(np.float64) / np.linalg.norm(found.astype(np.float64), axis=1, keepdims=True)
    near = np.sqrt(np.maximum(2 - 2 * exact @ exact.T, 0)) <= distance
    _, labels = connected_components(near)
    assert ((groups[:, None] == groups) & (groups >= 0) | np.eye(5000, dtype=bool)).sum() == (
        labels[:, None] == labels
    ).sum()
    assert all(len(set(labels[groups == group])) == 1 for group in range(groups.max() + 1))
    firsts = [int(np.argmax(groups == group)) for group in range(groups.max() + 1)]
    assert firsts == sorted(firsts)


def test_thousands_of_copies_are_one_group() -> None:
    assert (near_duplicate_groups(np.ones((20_000, 8))) == 0).all()
    assert (near_duplicate_groups(np.ones((20_000, 8)) + 0.01 * vectors(20_000, 8)) == 0).all()


def test_vectors_without_a_direction_are_near_to_each_other_only() -> None:
    assert near_duplicate_groups([[0, 0], [1, 0], [0, 0], [0, 1]]).tolist() == [0, -1, 0, -1]
    assert near_duplicate_groups(np.zeros((0, 4))).tolist() == []
    assert near_duplicate_groups([[1, 2]]).tolist() == [-1]


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [([1, 2], r"\(N, D\), not \(2,\)"), ([[1, np.nan]], "finite"), ([["a"]], "numbers"), (np.zeros((2, 0)), "not")],
)
def test_unusable_embeddings_are_errors(embeddings: object, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        near_duplicate_groups(embeddings)  # type: ignore[arg-type]


@pytest.mark.parametrize("distance", [-0.1, 2.5, float("nan"), True, "near"])
def test_unusable_distances_are_errors(distance: float) -> None:
    with pytest.raises(OptionError, match="from 0 to 2"):
        near_duplicate_groups([[1, 2]], distance)


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.7, 1.0])
def test_lazy_choices_are_those_of_a_plain_greedy_loop(strength: float) -> None:
    unit = unit_vectors(vectors(2000, 16))
    quality = np.random.default_rng(1).permutation(2000) / 2000
    beside = unit_vectors(vectors(3, 16, 2))
    chosen = choose(unit, quality, 50, strength, beside=beside, near_distance=None)

    exact = unit.astype(np.float64)
    sample = unit[np.random.default_rng(0).permutation(2000)[:1000]].astype(np.float64)
    typical = np.sqrt(np.maximum(2 - 2 * sample @ sample.T, 0)).sum() / (1000 * 999)
    nearest = np.sqrt(np.maximum(2 - 2 * exact @ beside.T, 0)).min(axis=1)
    rows: list[int] = []
    for _ in range(50):
        gain = (1 - strength) * quality + strength * nearest / typical
        gain[rows] = -1
        rows.append(int(gain.argmax()))
        nearest = np.minimum(nearest, np.sqrt(np.maximum(2 - 2 * exact @ exact[rows[-1]], 0)))
    assert chosen.rows.tolist() == rows
    assert chosen.radius == pytest.approx(nearest.max(), abs=1e-5)


def test_of_near_duplicates_the_best_is_chosen_and_the_others_are_named() -> None:
    centres = np.eye(20, dtype=np.float32)
    found = unit_vectors(np.repeat(centres, 5, axis=0) + 0.01 * vectors(100, 20))
    quality = np.random.default_rng(0).permutation(100) / 100
    for strength in (0.0, 0.5, 1.0):
        chosen = choose(found, quality, 100, strength, near_distance=0.5)
        best = [5 * centre + int(quality[5 * centre : 5 * centre + 5].argmax()) for centre in range(20)]
        assert sorted(chosen.rows.tolist()) == best
        for row, near in zip(chosen.rows, chosen.near_duplicates, strict=True):
            assert sorted([int(row), *near.tolist()]) == list(range(row // 5 * 5, row // 5 * 5 + 5))


def test_what_is_near_to_a_preselected_vector_is_not_chosen() -> None:
    found = unit_vectors(np.array([[1, 0], [1, 0.05], [0, 1], [0, -1]]))
    chosen = choose(found, np.array([0.9, 0.8, 0.2, 0.1]), 4, 0.5, beside=unit_vectors([[1, 0.02]]))
    assert chosen.rows.tolist() == [2, 3]


def test_k_centre_is_within_twice_the_best_radius() -> None:
    corners: Any = unit_vectors(np.eye(8, dtype=np.float32))
    near = unit_vectors(np.repeat(corners, 50, axis=0) + 0.05 * vectors(400, 8))
    chosen = choose(near, np.zeros(400), 8, 1.0, near_distance=None)
    assert sorted(row // 50 for row in chosen.rows.tolist()) == list(range(8))
    best = float(np.linalg.norm(near.reshape(8, 50, 8) - corners[:, None], axis=2).max())
    assert chosen.radius <= 2 * best


def test_vectors_of_any_size() -> None:
    vectors = np.array([[1e20, 0], [0, 1e20], [2e20, 0], [1e-30, 1e-30], [1, 1]])
    assert near_duplicate_groups(vectors).tolist() == [0, -1, 0, 1, 1]
