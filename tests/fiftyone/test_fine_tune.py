"""`fine_tune_memorability` and its operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone import fine_tune, fine_tune_memorability
from resmem_plugin.training import FineTuned, FittedHead
from tests.fiftyone.app.operator_driver import PLUGIN, get_operator, resolve_form
from tests.fiftyone.conftest import add_images
from tests.training.small_network import rated_images, use_small_network


@pytest.fixture
def rated(dataset: Any, tmp_path: Path) -> Any:
    """Forty images with what is said to have been remembered of them, and splits as tags."""
    frame = rated_images(tmp_path)
    add_images(dataset, frame["path"])
    dataset.set_values("hit_rate", frame["red"].tolist())
    dataset.set_values("label", [fo.Regression(value=value) for value in frame["red"]])
    dataset.set_values("tags", [["train"] if split == "train" else ["val", "other"] for split in frame["split"]])
    return dataset


@pytest.mark.weights
def test_the_last_layer_is_fitted_and_its_scores_are_stored(
    dataset: Any, photos: dict[str, Path], tmp_path: Path
) -> None:
    add_images(dataset, [*photos.values()] * 2)
    dataset.set_values("hit_rate", np.resize(np.linspace(0.3, 0.9, len(photos)), 2 * len(photos)).tolist())
    output = tmp_path / "mine.safetensors"
    fitted = fine_tune_memorability(dataset, "hit_rate", output, memorability_field="mine")
    assert isinstance(fitted, FittedHead)
    assert fitted.evaluation.count == 2 * len(photos)
    assert dataset.count("mine") == 2 * len(photos)
    info = dataset.get_field("mine").info
    assert fitted.weights.rpartition("=")[2] in str(info)
    assert "'parent': '8e4b8ab0" in str(info)


@pytest.mark.parametrize("field", ["hit_rate", "label"])
def test_the_whole_network_is_trained(field: str, rated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_network(monkeypatch)
    options: dict[str, Any] = {"method": "full", "epochs": 1, "split_tags": True}
    tuned = fine_tune_memorability(rated, field, tmp_path / "mine.safetensors", **options)
    assert isinstance(tuned, FineTuned)
    assert tuned.evaluation.count == 10
    assert "30 train, 10 validation, 0 test" in (tmp_path / "mine.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("tags", "a.safetensors"), {}, "'tags' is a ListField: name a field of numbers"),
        (("none", "a.safetensors"), {}, "'none' is no field"),
        (("hit_rate", "a.safetensors"), {"method": "all"}, "method must be 'head' or 'full'"),
        (("hit_rate", "a.safetensors"), {"epochs": 3}, "epochs is for method='full'"),
        (("hit_rate", "a.safetensors"), {"split_tags": True}, "split_tags is for method='full'"),
        (("hit_rate", "a.pt"), {}, "must end in .safetensors"),
        (("hit_rate", "a.safetensors"), {"memorability_field": "dataset_id"}, "dataset_id"),
        (("hit_rate", "a.safetensors"), {"method": "full", "epoch": 3}, "did you mean epochs?"),
    ],
)
def test_what_does_not_fit_is_told(
    arguments: tuple[str, str], options: dict[str, Any], message: str, rated: Any, tmp_path: Path
) -> None:
    field, name = arguments
    with pytest.raises(OptionError) as caught:
        fine_tune_memorability(rated, field, tmp_path / name, **options)
    assert message in str(caught.value)


def test_a_sample_is_in_one_split(rated: Any, tmp_path: Path) -> None:
    sample = rated.first()
    sample.tags = ["train", "test"]
    sample.save()
    with pytest.raises(OptionError, match="tagged test and train: leave one"):
        fine_tune_memorability(rated, "hit_rate", tmp_path / "a.safetensors", method="full", split_tags=True)


def test_patches_are_refused(rated: Any, tmp_path: Path) -> None:
    boxes = [fo.Detection(label="a", bounding_box=[0, 0, 1, 1]) for _ in range(40)]
    rated.set_values("gt", [fo.Detections(detections=[box]) for box in boxes])
    with pytest.raises(OptionError, match="pass a dataset or view of images"):
        fine_tune_memorability(rated.to_patches("gt"), "hit_rate", tmp_path / "a.safetensors")


def test_the_form(rated: Any) -> None:
    form = resolve_form("fine_tune_memorability", rated)
    assert set(form["gt_field"]["type"]["values"]) == {"hit_rate", "label"}
    assert "epochs" not in form
    form = resolve_form("fine_tune_memorability", rated, method="full", gt_field="hit_rate", weights_name="../a")
    assert form["epochs"]["default"] == 20
    assert "letters, digits, - and _ alone" in form["weights_name"]["error_message"]
    rated.set_values("hit_rate", [55.0] * 40)
    form = resolve_form("fine_tune_memorability", rated, gt_field="hit_rate")
    assert "it holds 55 to 55, and memorability is 0 to 1" in form["gt_field"]["error_message"]
    rated[5:].clear_sample_field("label")
    form = resolve_form("fine_tune_memorability", rated, gt_field="label")
    assert "5 samples have a value, and 20 are needed" in form["gt_field"]["error_message"]
    rated.delete_sample_fields(["hit_rate", "label"])
    assert "nothing to learn from" in resolve_form("fine_tune_memorability", rated)["blocked"]["view"]["label"]


def test_the_operator_trains_and_shows_the_figures(
    rated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, red: Scorer
) -> None:
    use_small_network(monkeypatch)
    monkeypatch.setattr(fine_tune, "Scorer", lambda weights: red)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    output = str(tmp_path / "data" / "resmem-plugin" / "weights" / "mine.safetensors")
    params = {"gt_field": "hit_rate", "weights_name": "mine", "method": "full", "epochs": 1, "resnet": "frozen"}
    params |= {"memorability_field": "mine", "learning_rate": 1e-3, "split_tags": True}
    result = foo.execute_operator(f"{PLUGIN}/fine_tune_memorability", {"dataset": rated}, params=params).result
    assert result["weights"].startswith(f"{output}#sha256=")
    assert "spearman" in result["after"]
    assert rated.count("mine") == 40
    form = resolve_form("fine_tune_memorability", rated, weights_name="mine", gt_field="label")
    assert "there are weights 'mine' already" in form["weights_name"]["error_message"]
    context = type("Context", (), {"results": result})()
    shown = get_operator("fine_tune_memorability").resolve_output(context).to_json()
    assert "on images they were not fitted to" in str(shown)
