"""`evaluate`, on frames whose figures are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.network.weights import PUBLISHED_SHA256
from resmem_plugin.datasets import figrim, lamem
from resmem_plugin.training import evaluate
from resmem_plugin.training.evaluation import NOT_HELD_OUT
from tests.datasets import folders


@pytest.fixture
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    remembered = random.uniform(0.4, 1, 90)
    score = 0.5 * remembered + 0.4 + random.normal(0, 0.05, 90)
    return pd.DataFrame({"memorability": score, "hit_rate": remembered, "kind": ["x", "y", "z"] * 30})


def test_figures_of_all_and_of_groups(frame: pd.DataFrame) -> None:
    found = evaluate(frame, "memorability", "hit_rate", group="kind", resamples=200)
    assert (found.count, found.left_out, found.caution, found.ceiling) == (90, 0, None, None)
    assert found.spearman.value == pytest.approx(stats.spearmanr(frame["memorability"], frame["hit_rate"]).statistic)
    assert found.spearman.low < found.spearman.value < found.spearman.high
    assert found.groups["group"].tolist() == ["x", "y", "z"]
    some = frame[frame["kind"] == "y"]
    row = found.groups.set_index("group").loc["y"]
    assert row["count"] == 30
    assert row["kendall"] == pytest.approx(stats.kendalltau(some["memorability"], some["hit_rate"]).statistic)
    assert row["bias"] == pytest.approx((some["memorability"] - some["hit_rate"]).mean())
    assert row["spearman_low"] < row["spearman"] < row["spearman_high"]


def test_rows_without_a_value_are_counted(frame: pd.DataFrame) -> None:
    frame.loc[3, "memorability"] = np.nan
    frame.loc[4, "hit_rate"] = np.nan
    found = evaluate(frame, "memorability", "hit_rate", resamples=10)
    assert (found.count, found.left_out) == (88, 2)
    assert "88 images, 2 left out: no score, or nothing measured" in str(found)


def test_the_ceiling_and_the_share_of_it(frame: pd.DataFrame) -> None:
    ratings = np.random.default_rng(0).random((90, 60)) < frame["hit_rate"].to_numpy()[:, None]
    found = evaluate(frame, "memorability", "hit_rate", ratings=ratings, resamples=10)
    assert found.ceiling is not None
    assert found.share_of_ceiling == pytest.approx(found.spearman.value / found.ceiling.value)
    assert "spearman is" in str(found)
    with pytest.raises(OptionError, match="with 90 rows as the frame"):
        evaluate(frame, "memorability", "hit_rate", ratings=ratings[:5])


def test_detection_from_counts(tmp_path: Path) -> None:
    frame = figrim(folders.figrim(tmp_path)).assign(score=[0.8, 0.6])
    found = evaluate(frame, "score", "memorability", resamples=10)
    assert found.detection is not None
    assert found.detection["hit_rate"] == pytest.approx(0.625)
    assert found.detection["false_alarm_rate"] == pytest.approx(0.075)
    assert 1.4 < found.detection["d_prime"] < 1.9
    assert found.caution is None


def test_published_weights_on_their_training_data_are_told_in_every_output(tmp_path: Path) -> None:
    frame = lamem(folders.lamem(tmp_path / "data")).assign(score=np.linspace(0.9, 0.4, 6))
    found = evaluate(frame, "score", "memorability", resamples=10)
    assert found.caution == NOT_HELD_OUT
    assert NOT_HELD_OUT in str(found)
    assert found.to_dict()["caution"] == NOT_HELD_OUT
    assert set(found.to_frame()["caution"]) == {NOT_HELD_OUT}
    frame.attrs["resmem"] = {"weights": "0" * 64}  # others
    assert evaluate(frame, "score", "memorability", resamples=10).caution is None


@pytest.mark.parametrize(
    ("path", "is_told"),
    [("/data/lamem/images/1.jpg", True), ("MemCat_images/MemCat/a/b.jpg", True), ("/photos/flamemcat.jpg", False)],
)
def test_their_training_data_are_known_by_their_paths(frame: pd.DataFrame, path: str, is_told: bool) -> None:
    frame = frame.assign(path=["/other.jpg"] * 89 + [path])
    frame.attrs["resmem"] = {"weights": PUBLISHED_SHA256}
    assert (evaluate(frame, "memorability", "hit_rate", resamples=0).caution is not None) == is_told


def test_figures_for_json_hold_no_nan(frame: pd.DataFrame) -> None:
    found = evaluate(frame.assign(kind=["only one", *["rest"] * 89]), "memorability", "hit_rate", "kind", 10)
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(text)["groups"][0] == {
        "group": "only one", "count": 1, "spearman": None, "spearman_low": None, "spearman_high": None, "pearson": None,
        "kendall": None, "mse": None, "mae": None, "slope": None, "bias": found.groups["bias"][0],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prediction": "score"}, "no unique column 'score': choose from memorability, hit_rate, kind"),
        ({"target": "kind"}, "'kind' does not hold numbers"),
        ({"group": "class"}, "no column 'class'"),
    ],
)
def test_columns_that_do_not_fit_are_refused(frame: pd.DataFrame, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        evaluate(frame, **{"prediction": "memorability", "target": "hit_rate", **changes})
    with pytest.raises(OptionError, match=r"1 of 1 rows have both .* and two are needed"):
        evaluate(frame[:1], "memorability", "hit_rate")
