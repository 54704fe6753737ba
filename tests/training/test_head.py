"""A last layer of one's own: what it learns, what it cannot, and the file that it becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors
from PIL import Image
from scipy import stats

from resmem_plugin import Scorer, ScorerOptions
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.network.weights import PUBLISHED_SHA256
from resmem_plugin.training.head import cross_validated, embed, fit_head, fit_layer

COUNT, SIZE, NOISE = 300, 64, 0.3


def simulated(seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """Activations, measured values, the layer to start from, and the noise-free values of another layer."""
    random = np.random.default_rng(seed)
    x = np.maximum(random.normal(size=(COUNT, SIZE)), 0)
    known = np.append(random.normal(0, 0.1, SIZE), 0.5)
    truth = known + np.append(random.normal(0, 0.15, SIZE), -0.3)
    logits = x @ truth[:-1] + truth[-1]
    noisy = logits + random.normal(0, NOISE, COUNT)
    return x, 1 / (1 + np.exp(-noisy)), known, 1 / (1 + np.exp(-logits))


def test_a_layer_learns_what_the_noise_allows() -> None:
    x, y, known, truth = simulated()
    scores = cross_validated(x, y, known)
    allowed = stats.spearmanr(truth, y).statistic
    assert stats.spearmanr(scores, y).statistic > 0.95 * allowed
    before = 1 / (1 + np.exp(-(x @ known[:-1] + known[-1])))
    assert stats.spearmanr(before, y).statistic < 0.8 * allowed


def test_shuffled_ratings_teach_nothing() -> None:
    found = []
    for seed in range(5):
        x, y, _, _ = simulated(seed)
        shuffled = np.random.default_rng(seed).permutation(y)
        found.append(stats.spearmanr(cross_validated(x, shuffled, np.zeros(SIZE + 1)), shuffled).statistic)
    assert abs(np.mean(found)) < 0.12


def test_ratings_that_the_layer_explains_already_leave_it_alone() -> None:
    x, _, known, _ = simulated()
    random = np.random.default_rng(0)
    y = 1 / (1 + np.exp(-(x @ known[:-1] + known[-1] + random.normal(0, 1, COUNT))))
    layer, penalty = fit_layer(x, y, known)
    assert np.abs(layer[:-1] - known[:-1]).max() < 0.1
    assert penalty >= 0.1


@pytest.mark.weights
def test_the_file_scores_as_it_was_fitted(
    photos: dict[str, Path], tmp_path: Path, scorer: Scorer, cache_folder: Path
) -> None:
    random = np.random.default_rng(0)
    paths = []
    for number in range(30):
        image = Image.open(list(photos.values())[number % len(photos)]).convert("RGB")
        x, y = (int(random.integers(0, max(1, side - 200))) for side in image.size)
        paths.append(str(tmp_path / f"{number}.png"))
        image.crop((x, y, x + 200, y + 200)).save(paths[-1])
    scores = np.array([score.memorability for score in scorer.score(paths)])
    rated = 1 / (1 + np.exp(-(1.6 * np.log(scores / (1 - scores)) - 1.5 + random.normal(0, 0.1, 30))))
    frame = pd.DataFrame({"path": [*paths, "missing.png", paths[0]], "hit_rate": [*rated, 0.5, np.nan]})
    output = tmp_path / "mine.safetensors"
    fitted = fit_head(frame, "hit_rate", output, options=ScorerOptions(device="cpu"), resamples=50)
    assert fitted.evaluation.count == fitted.before.count == 30
    assert fitted.before.mae.value == pytest.approx(np.abs(scores - rated).mean(), abs=1e-5)
    assert fitted.evaluation.mse.value < 0.3 * fitted.before.mse.value

    some = paths[:4]
    found = [score.memorability for score in Scorer(device="cpu", engine="pytorch", weights=fitted.weights).score(some)]
    with safetensors.safe_open(output, "np") as file:
        layer = np.append(file.get_tensor("fc12.weight")[0], file.get_tensor("fc12.bias")).astype(np.float64)
        assert json.loads(file.metadata()["trained_from"])["parent"] == PUBLISHED_SHA256
    logits = embed(scorer, some).astype(np.float64) @ layer[:-1] + layer[-1]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), atol=1e-5)

    card = (tmp_path / "mine.md").read_text()
    assert PUBLISHED_SHA256 in card
    assert "Non-commercial" in card
    assert f"| spearman | {fitted.evaluation.spearman}" in card
    assert "2 left out" in card
    with pytest.raises(OptionError, match="exists: name another file"):
        fit_head(frame, "hit_rate", output)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "rating"}, "no unique column 'rating'"),
        ({"images": "file"}, "no unique column 'file'"),
        ({"target": "path"}, "'path' does not hold numbers"),
        ({"target": "percent"}, "values from 10 to 90, and memorability is 0 to 1"),
        ({"output": "mine.pt"}, "must end in .safetensors"),
        ({"options": ScorerOptions(precision="int8")}, "in fp32, not in int8"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["a.png", "b.png"], "hit_rate": [0.1, 0.9], "percent": [10, 90]})
    with pytest.raises(OptionError, match=message):
        fit_head(frame, **{"target": "hit_rate", "output": tmp_path / "mine.safetensors", **changes})


@pytest.mark.weights
def test_too_few_images_are_refused(photos: dict[str, Path], tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": [str(photos["coffee.png"]), "missing.png"], "hit_rate": [0.1, 0.9]})
    with pytest.raises(OptionError, match="1 of 2 images can be read and have a value"):
        fit_head(frame, "hit_rate", tmp_path / "mine.safetensors", options=ScorerOptions(device="cpu"))
    assert list(tmp_path.iterdir()) == []
