"""`evaluate_memorability`: figures, what is stored, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from scipy import stats

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone import compute_memorability, evaluate_memorability
from resmem_plugin.fiftyone.evaluate import EVALUATION_METHOD
from resmem_plugin.training.evaluation import NOT_HELD_OUT
from tests.fiftyone.conftest import add_images

REMEMBERED = [0.3, 0.2, None, 0.5, 0.4, 0.7, 0.9, 0.6, 0.8, 0.95]


@pytest.fixture
def rated(dataset: Any, reds: list[str], red: Scorer) -> Any:
    """Ten images with their scores 0, .1, ... .9 and what people remembered, of which one is missing."""
    add_images(dataset, reds)
    compute_memorability(dataset, "mem", scorer=red)
    dataset.set_values("hit_rate", REMEMBERED)
    dataset.set_values("label", [None if value is None else fo.Regression(value=value) for value in REMEMBERED])
    dataset.set_values("scene", [fo.Classification(label="ab"[number % 2]) for number in range(10)])
    dataset.set_values("kinds", [fo.Classifications(classifications=[fo.Classification(label="a")])] * 10)
    return dataset


def pairs() -> tuple[list[float], list[float]]:
    both = [(number / 10, value) for number, value in enumerate(REMEMBERED) if value is not None]
    return [score for score, _ in both], [value for _, value in both]


@pytest.mark.parametrize("field", ["hit_rate", "label"])
def test_figures_of_numbers_and_of_regression_labels(rated: Any, field: str) -> None:
    found = evaluate_memorability(rated, field, "mem", group_field="scene", resamples=50)
    assert (found.count, found.left_out, found.caution) == (9, 1, None)
    assert found.spearman.value == pytest.approx(stats.spearmanr(*pairs()).statistic, abs=1e-3)
    assert found.groups["group"].tolist() == ["a", "b"]
    assert not rated.list_runs(method=EVALUATION_METHOD)


def test_an_evaluation_is_stored_and_replaced(rated: Any) -> None:
    found = evaluate_memorability(rated, "hit_rate", "mem", eval_key="study", resamples=20)
    rated.reload()
    differences = rated.values("study")
    assert differences[2] is None
    assert differences[6] == pytest.approx(0.6 - 0.9, abs=2e-3)
    results = rated.load_run_results("study", cache=False)
    assert results.spearman["value"] == pytest.approx(found.spearman.value)
    assert rated.get_run_info("study").config.gt_field == "hit_rate"
    again = evaluate_memorability(rated[:4], "hit_rate", "mem", eval_key="study", resamples=20)
    assert again.count == 3
    assert rated.count("study") == 3  # and nothing of the evaluation before
    assert rated.list_runs(method=EVALUATION_METHOD) == ["study"]
    assert rated.load_run_results("study", cache=False).count == 3


def test_published_weights_on_lamem_are_told(
    dataset: Any, reds: list[str], tmp_path: Path, red: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "LaMem" / "images"
    folder.mkdir(parents=True)
    paths = [folder / Path(path).name for path in reds[:3]]
    for before, path in zip(reds, paths, strict=False):
        path.write_bytes(Path(before).read_bytes())
    add_images(dataset, paths, hit_rate=0.5)
    dataset.set_values(
        "memorability", [0.1, 0.2, 0.3]
    )  # of a field without provenance: they may be of the published weights
    assert evaluate_memorability(dataset, "hit_rate", resamples=0).caution == NOT_HELD_OUT
    compute_memorability(dataset, "mem", scorer=red)
    assert evaluate_memorability(dataset, "hit_rate", "mem", resamples=0).caution is None  # of a network of one's own


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gt_field": "ratings"}, "'ratings' is no field: name a field of numbers"),
        ({"gt_field": "scene"}, "'scene' is a EmbeddedDocumentField"),
        ({"memorability_field": "hit_rate"}, "'hit_rate' is not a memorability field; available: mem"),
        ({"group_field": "mem"}, "'mem' is no field of classes; available: scene, kinds"),
        ({"group_field": "kinds"}, "'kinds' holds several classes for a sample"),
        ({"eval_key": "hit_rate"}, "already has a field or run 'hit_rate'|has a field or run 'hit_rate' already"),
        ({"eval_key": "a b"}, "'a b' is not a valid field name"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(rated: Any, changes: dict[str, Any], message: str) -> None:
    before = rated.get_field_schema(flat=True).keys()
    with pytest.raises(OptionError, match=message):
        evaluate_memorability(rated, **{"gt_field": "hit_rate", "memorability_field": "mem", **changes})
    assert rated.get_field_schema(flat=True).keys() == before
    assert rated.values("hit_rate") == REMEMBERED


def test_patches_are_compared_but_not_stored(dataset: Any, reds: list[str], upright_red: Scorer) -> None:
    for number, path in enumerate(reds[:4]):
        box = fo.Detection(label="a", bounding_box=[0, 0, 1, 1], rated=number / 10)
        dataset.add_sample(fo.Sample(path, gt=fo.Detections(detections=[box])))
    dataset.add_dynamic_sample_fields()
    compute_memorability(dataset, patches_field="gt", scorer=upright_red)
    patches = dataset.to_patches("gt")
    assert evaluate_memorability(patches, "gt.rated", "gt.memorability", resamples=0).mae.value < 0.005
    with pytest.raises(OptionError, match="leave eval_key out"):
        evaluate_memorability(patches, "gt.rated", "gt.memorability", eval_key="study")


def test_regressions_are_evaluated_with_correlations(rated: Any) -> None:
    scores = rated.values("mem")
    rated.set_values("predicted", [fo.Regression(value=score) for score in scores])
    metrics = [f"@resmem/memorability/memorability_{name}" for name in ("spearman", "pearson", "kendall")]
    results = rated.evaluate_regressions("predicted", "label", eval_key="eval", custom_metrics=metrics, progress=False)
    found = results.metrics()
    x, y = (np.array(values) for values in pairs())
    assert found["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-3)
    assert found["pearson"] == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-3)
    assert found["kendall"] == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-3)
