"""The report of an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resmem_plugin.reports.evaluation import evaluation_html, save_evaluation
from resmem_plugin.training import evaluate
from resmem_plugin.training.evaluation import NOT_HELD_OUT


@pytest.fixture
def frame(tmp_path: Path) -> pd.DataFrame:
    random = np.random.default_rng(0)
    measured = random.uniform(0.3, 1, 40)
    paths = [str(tmp_path / f"{row:02}.png") for row in range(40)]
    for path in paths:
        Image.new("RGB", (8, 8)).save(path)
    scores = 0.4 + measured / 2 + random.normal(0, 0.05, 40)
    kinds = ["<script>window.ran=1</script>", "plain"] * 20
    return pd.DataFrame({"path": paths, "score": scores, "measured": measured, "kind": kinds})


def test_figures_groups_points_and_the_worst_cases(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.loc[5, "measured"] = np.nan
    evaluation = evaluate(frame, "score", "measured", "kind", 100)
    save_evaluation(tmp_path / "r.html", evaluation, frame, "score", "measured", images="path", title="A study")
    page = (tmp_path / "r.html").read_text()
    assert "39 images, 1 left out" in page
    assert f"<td>spearman</td><td>{evaluation.spearman.value:.3f}</td>" in page
    assert page.count("<circle") == 39
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    worst = int((frame["score"] - frame["measured"]).to_numpy(na_value=-1).argmax())
    after = page[page.index("Scored too high") :]
    assert after.index(f"{worst:02}.png") == min(
        after.index(f"{row:02}.png") for row in range(40) if f"{row:02}.png" in after
    )
    assert f"measured {frame['measured'][worst]:.3f}" in after
    assert "caution" not in page.partition("</style>")[2]


def test_a_caution_is_shown(frame: pd.DataFrame) -> None:
    frame = frame.assign(path=[f"/data/memcat/{row}.jpg" for row in range(40)])
    assert NOT_HELD_OUT in evaluation_html(
        evaluate(frame, "score", "measured", resamples=0), frame, "score", "measured"
    )


def test_many_images_are_a_sample_of_points() -> None:
    x = np.linspace(0, 1, 10_000)
    frame = pd.DataFrame({"score": x, "measured": x})
    page = evaluation_html(evaluate(frame, "score", "measured", resamples=0), frame, "score", "measured")
    assert page.count("<circle") == 2000
    assert "2,000 of the images are drawn" in page


def test_equal_values_have_a_range() -> None:
    frame = pd.DataFrame({"score": [0.5, 0.5], "measured": [0.5, 0.5]})
    page = evaluation_html(evaluate(frame, "score", "measured", resamples=0), frame, "score", "measured")
    assert page.count("<circle") == 2
