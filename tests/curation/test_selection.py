from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from resmem_plugin.core.errors import OptionError
from resmem_plugin.curation import select

CLUSTERS, MEMBERS = 10, 20


@pytest.fixture
def planted() -> tuple[pd.DataFrame, npt.NDArray[np.float64]]:
    """Ten clusters; the scores of a cluster lie around its own, which falls from the first to the last."""
    random = np.random.default_rng(0)
    cluster = np.repeat(np.arange(CLUSTERS), MEMBERS)
    scores = 0.9 - 0.05 * cluster + 0.002 * np.tile(np.arange(MEMBERS), CLUSTERS)
    embeddings = np.eye(CLUSTERS)[cluster] + 0.1 * random.normal(size=(len(cluster), CLUSTERS))
    frame = pd.DataFrame({"cluster": cluster, "memorability": scores}, index=[f"{row}.jpg" for row in range(200)])
    order = random.permutation(len(frame))
    return frame.iloc[order], embeddings[order]


def test_top_and_bottom_are_by_score_alone(planted: tuple[pd.DataFrame, Any]) -> None:
    frame, embeddings = planted
    best = frame.sort_values("memorability", ascending=False)
    options: dict[str, Any] = {"strategy": "top", "near_duplicates": "keep"}
    assert select(frame, 15, **options).index.tolist() == best.index[:15].tolist()
    assert select(frame, 15, embeddings=embeddings, strength=0, near_duplicates="keep").index.tolist() == (
        best.index[:15].tolist()
    )
    assert select(frame, 5, ascending=True, **options).index.tolist() == best.index[::-1][:5].tolist()


def test_one_member_of_each_cluster_the_best_of_it(planted: tuple[pd.DataFrame, Any]) -> None:
    frame, embeddings = planted
    best = frame.groupby("cluster")["memorability"].idxmax().sort_index()
    found = select(frame, CLUSTERS, embeddings=embeddings, near_distance=1.0)
    assert set(found.index) == set(best)
    assert found["cluster"].iloc[0] == 0  # the most memorable first
    assert found["near_duplicates"].map(len).sum() == len(frame) - CLUSTERS
    assert np.isnan(found["distance"].iloc[0])
    assert found["distance"].iloc[1:].min() > 1


def test_strength_moves_from_memorable_to_diverse(planted: tuple[pd.DataFrame, Any]) -> None:
    frame, embeddings = planted
    found = [
        select(frame, CLUSTERS, embeddings=embeddings, strength=strength, near_duplicates="keep")
        for strength in (0.0, 0.3, 1.0)
    ]
    clusters = [rows["cluster"].nunique() for rows in found]
    means = [rows["memorability"].mean() for rows in found]
    assert clusters == sorted(clusters)
    assert means == sorted(means, reverse=True)
    assert (clusters[0], clusters[-1]) == (1, CLUSTERS)


def test_per_class(planted: tuple[pd.DataFrame, Any]) -> None:
    frame, embeddings = planted
    frame = frame.assign(kind=np.where(frame["cluster"] < 5, "b", "a"))
    frame.iloc[0, frame.columns.get_loc("kind")] = None  # type: ignore[index]
    found = select(frame, 5, embeddings=embeddings, per="kind", near_distance=1.0)
    assert found["kind"].tolist() == ["a"] * 5 + ["b"] * 5
    assert found["cluster"].nunique() == CLUSTERS
    few = select(frame, 500, per="kind", strategy="top", near_duplicates="keep")
    assert len(few) == len(frame) - 1


def test_preselected_rows_are_not_returned_and_kept_away_from(planted: tuple[pd.DataFrame, Any]) -> None:
    frame, embeddings = planted
    frame = frame.assign(taken=pd.Series(frame["cluster"] < 3, dtype="boolean"))
    found = select(frame, 20, embeddings=embeddings, preselected="taken", near_distance=1.0)
    assert sorted(found["cluster"]) == list(range(3, CLUSTERS))
    mask = (frame["cluster"] < 3).to_numpy()
    assert select(frame, 20, embeddings=embeddings, preselected=mask, near_distance=1.0).index.equals(found.index)


def test_rows_without_a_score_or_an_embedding_are_not_selected(planted: tuple[pd.DataFrame, Any]) -> None:
    frame, embeddings = planted
    frame, embeddings = frame.copy(), embeddings.copy()
    frame.iloc[:50, frame.columns.get_loc("memorability")] = np.nan  # type: ignore[index]
    embeddings[50:100] = np.nan
    vectors = pd.Series([None if np.isnan(row).any() else row for row in embeddings], index=frame.index)
    for given in (embeddings, "vector"):
        found = select(frame.assign(vector=vectors), 200, embeddings=given, near_duplicates="keep")
        assert set(found.index) == set(frame.index[100:])
        assert "vector" in found.columns


def test_random_is_repeatable_and_keeps_the_best_near_duplicate(planted: tuple[pd.DataFrame, Any]) -> None:
    frame, embeddings = planted
    options: dict[str, Any] = {"strategy": "random", "embeddings": embeddings, "near_distance": 1.0}
    first, again, other = (select(frame, 5, seed=seed, **options) for seed in (1, 1, 2))
    assert first.index.equals(again.index)
    assert not first.index.equals(other.index)
    assert set(first.index) < set(frame.groupby("cluster")["memorability"].idxmax())


def test_any_index_and_attributes_are_kept(planted: tuple[pd.DataFrame, Any]) -> None:
    frame, embeddings = planted
    frame = frame.set_axis(pd.MultiIndex.from_product([["a"], ["x", "x"], range(100)]))
    frame.attrs["resmem"] = {"provenance": "1"}
    before = frame.copy()
    found = select(frame, 3, embeddings=embeddings)
    assert found.attrs == frame.attrs
    assert found.index.isin(frame.index).all()
    pd.testing.assert_frame_equal(frame, before)


def test_nothing_to_select_from() -> None:
    frame = pd.DataFrame({"memorability": [], "kind": []}, dtype=float)
    none: dict[str, Any] = {}
    per_kind: dict[str, Any] = {"per": "kind"}
    for options in (none, per_kind):
        found = select(frame, 3, embeddings=np.zeros((0, 4)), **options)
        assert found.columns.tolist() == ["memorability", "kind", "distance", "near_duplicates"]
        assert len(found) == 0
    assert len(select(pd.DataFrame({"memorability": [0.5]}), 0, embeddings=[[1.0]])) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": -1}, "n must be"),
        ({"n": 1.5}, "n must be"),
        ({"n": True}, "n must be"),
        ({"strength": 1.1}, "strength must be"),
        ({"strategy": "best"}, "strategy must be one of balanced"),
        ({"near_duplicates": "drop"}, "near_duplicates must be one of best"),
        ({"near_distance": 3}, "from 0 to 2"),
        ({"score": "none"}, "no column 'none', as score names"),
        ({"score": "name"}, "'name' is not numeric"),
        ({"per": "none"}, "no column 'none', as per names"),
        ({"embeddings": None}, r"embeddings are needed: give embeddings=image_features"),
        ({"embeddings": "none"}, "no column 'none', as embeddings names"),
        ({"embeddings": "name"}, "holds no vectors"),
        ({"embeddings": [[1, 2]]}, r"\(3, D\), one row for each image, not \(1, 2\)"),
        ({"embeddings": [[1], [2], [3, 4]]}, "as many of each image"),
        ({"preselected": [True]}, "for each of the 3 rows"),
        ({"preselected": "name"}, "preselected must be True or False"),
    ],
)
def test_unusable_options_are_errors(options: dict[str, Any], message: str) -> None:
    frame = pd.DataFrame({"memorability": [0.5, 0.6, 0.7], "name": ["a", "b", "c"]})
    with pytest.raises(OptionError, match=message):
        select(frame, **{"n": 2, "embeddings": [[1, 0], [0, 1], [1, 1]], **options})


@pytest.mark.weights
def test_copies_of_photographs_are_left_out(photos: dict[str, Path], tmp_path: Path) -> None:
    from PIL import Image

    from resmem_plugin import Scorer
    from resmem_plugin.curation import image_features

    paths = []
    for name in ("coffee.png", "chelsea.png", "rocket.jpg", "china.jpg"):
        with Image.open(photos[name]) as image:
            rgb = image.convert("RGB")
        copies = {"jpeg": rgb, "half": rgb.resize((rgb.width // 2, rgb.height // 2)), "bright": rgb.point(_lighter)}
        for kind, copy in copies.items():
            paths.append(tmp_path / f"{kind}-{name}.jpg")
            copy.save(paths[-1], quality=75)
        paths.append(photos[name])
    scorer = Scorer()
    frame = pd.DataFrame({"path": paths, "memorability": [score.memorability for score in scorer.score(paths)]})
    found = select(frame, 10, embeddings=image_features([*paths[:-1], paths[-1]], scorer=scorer))
    assert len(found) == 4
    assert (found["near_duplicates"].map(len) == 3).all()


def _lighter(value: int) -> int:
    return min(255, value * 115 // 100)


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_many_equal_scores(decimals: int) -> None:
    scores = np.random.default_rng(0).random(20_000).round(decimals)
    found = select(pd.DataFrame({"memorability": scores}), 300, strategy="top", near_duplicates="keep")
    assert found["memorability"].tolist() == sorted(scores.tolist(), reverse=True)[:300]


def test_all_rows_of_many_are_selected_once() -> None:
    vectors = np.random.default_rng(0).normal(size=(3000, 32))
    frame = pd.DataFrame({"memorability": np.random.default_rng(1).random(3000)})
    assert sorted(select(frame, 3000, embeddings=vectors, near_duplicates="keep").index) == list(range(3000))


def test_exact_copies_at_distance_zero() -> None:
    vectors = np.repeat(np.random.default_rng(0).normal(size=(50, 32)), 300, axis=0)
    frame = pd.DataFrame({"memorability": np.linspace(0, 1, len(vectors)), "taken": [True] + [False] * 14_999})
    found = select(frame, 200, embeddings=vectors, near_distance=0, preselected="taken")
    assert sorted(row // 300 for row in found.index) == list(range(1, 50))


def test_a_column_of_lists_is_no_class() -> None:
    frame = pd.DataFrame({"memorability": [0.5, 0.6], "tags": [["a"], ["a", "b"]]})
    with pytest.raises(OptionError, match=r"'tags' holds lists.*explode"):
        select(frame, 1, strategy="top", near_duplicates="keep", per="tags")
