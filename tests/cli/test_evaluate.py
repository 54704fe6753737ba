"""`resmem evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from resmem_plugin import Scorer
from resmem_plugin.cli import main
from resmem_plugin.training.evaluation import NOT_HELD_OUT
from tests.datasets import folders


@pytest.fixture
def ratings(tmp_path: Path, photos: dict[str, Path]) -> Path:
    """A table of photographs with invented ratings; one image is missing, one rating too."""
    paths = [str(path) for path in photos.values()][:10]
    rated = np.random.default_rng(0).random(11).round(3).tolist()
    frame = pd.DataFrame({"path": [*paths, "none.jpg"], "hit_rate": [None, *rated[1:]], "kind": list("aabbabababa")})
    frame.to_csv(tmp_path / "rated.csv", index=False)
    return tmp_path / "rated.csv"


@pytest.mark.weights
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_scores_of_a_table_of_ratings(
    ratings: Path, suffix: str, tmp_path: Path, scorer: Scorer, capsys: pytest.CaptureFixture[str]
) -> None:
    scored, output = str(tmp_path / f"scored.{suffix}"), tmp_path / "figures.json"
    assert main(["score", str(ratings), "-o", scored, "--device", "cpu", "-q"]) == 1
    capsys.readouterr()
    assert main(["evaluate", scored, "--target", "hit_rate", "--group", "kind", "-o", str(output)]) == 0
    printed = capsys.readouterr().out
    table = pd.read_csv(ratings)[1:10]
    scores = [score.memorability for score in scorer.score(table["path"])]
    expected = stats.spearmanr(scores, table["hit_rate"]).statistic
    assert "9 images, 2 left out" in printed
    assert f"spearman  {expected:.3f} (" in printed
    figures = json.loads(output.read_text())
    assert figures["spearman"]["value"] == pytest.approx(expected)
    assert [group["group"] for group in figures["groups"]] == ["a", "b"]
    assert figures["caution"] is None


@pytest.mark.weights
def test_a_published_dataset_is_scored_and_told_to_be_training_data(
    photos: dict[str, Path], tmp_path: Path, scorer: Scorer, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folders.memcat(tmp_path / "data")
    images = [
        root / "images" / name for name in ("animal/bear/a_1.jpg", "food/pie/00002.jpg", "sports/golf, mini/c.jpg")
    ]
    for image, photo in zip(images, photos.values(), strict=False):
        image.write_bytes(photo.read_bytes())
    command = [
        "evaluate",
        str(root),
        "--dataset",
        "memcat",
        "--device",
        "cpu",
        "--cache",
        str(tmp_path / "c.sqlite"),
        "-q",
    ]
    assert main([*command, "-o", str(tmp_path / "figures.csv")]) == 0
    assert NOT_HELD_OUT in capsys.readouterr().out
    figures = pd.read_csv(tmp_path / "figures.csv").set_index("metric")
    scores = np.array([score.memorability for score in scorer.score(images)])
    assert figures["value"]["mae"] == pytest.approx(np.abs(scores - [0.8, 0.5, 0.7]).mean(), abs=1e-6)
    assert set(figures["caution"]) == {NOT_HELD_OUT}
    images[1].write_text("not an image")
    assert main(command) == 1
    assert "1 of 3 images failed; the first is" in capsys.readouterr().err


def test_the_split_of_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folders.lamem(tmp_path)
    assert main(["evaluate", str(root), "--dataset", "lamem", "--split", "dev"]) == 2
    assert "lamem has no split 'dev'; its splits: test, train, val" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--target, or a published data set with --dataset"),
        (["--dataset", "lamem", "--target", "x"], "--dataset knows its columns"),
        (["--target", "x", "--split", "test"], "--split is for --dataset"),
        (["--target", "x", "--resamples", "-1"], "--resamples must be 0 or more"),
        (["--target", "x", "-o", "a.txt"], "a.txt must end in .json, .csv, .html"),
        (["--target", "x", "-o", "rated.csv"], "rated.csv exists: name another file, or use --overwrite"),
        (["--target", "x"], "no unique column 'memorability': choose from path, hit_rate, kind"),
        (["--target", "hit_rate", "--prediction", "path"], "'path' does not hold numbers"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    ratings: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ratings.parent)
    assert main(["evaluate", "rated.csv", *arguments]) == 2
    assert message in capsys.readouterr().err
