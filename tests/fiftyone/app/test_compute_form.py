"""The form of the operator `compute_memorability`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionError

from resmem_plugin import Scorer
from resmem_plugin.core.errors import CalibrationWarning
from resmem_plugin.fiftyone import compute_memorability
from tests.fiftyone.app.operator_driver import PLUGIN, get_operator, resolve_form


def test_form_previews_the_run(ten: Any, stand_in: Scorer) -> None:
    form = resolve_form("compute_memorability", ten)
    inputs = ("view_target", "memorability_field", "device", "precision", "batch_size", "num_workers", "overwrite")
    assert set(inputs) <= set(form)
    assert "10 of 10 images will be scored; 0 already have a score" in form["plan"]["view"]["label"]
    compute_memorability(ten[:4], scorer=Scorer(device="cpu", model=lambda x: x[:, 0].mean(dim=(1, 2)).unsqueeze(1)))
    again = resolve_form("compute_memorability", ten)
    assert again["overwrite"]["invalid"]
    assert "holds 4 scores" in again["overwrite"]["error_message"]
    assert "10 of 10 images" in resolve_form("compute_memorability", ten, overwrite=True)["plan"]["view"]["label"]


@pytest.mark.weights
def test_form_counts_scored_images(ten: Any) -> None:
    compute_memorability(ten[:1], device="cpu")
    form = resolve_form("compute_memorability", ten, device="cpu")
    assert "9 of 10 images will be scored; 1 already has a score" in form["plan"]["view"]["label"]


@pytest.mark.weights
@pytest.mark.usefixtures("calibrations")
def test_form_uses_the_calibration_of_the_field(ten: Any) -> None:
    options = {"device": "cpu", "precision": "int8"}
    assert (
        "10 of 10 images will be scored"
        in resolve_form("compute_memorability", ten, **options)["plan"]["view"]["label"]
    )
    with pytest.warns(CalibrationWarning):
        get_operator("compute_memorability")(ten[:4], "memorability", **options)
    ten.reload()
    assert (
        "6 of 10 images will be scored" in resolve_form("compute_memorability", ten, **options)["plan"]["view"]["label"]
    )
    assert "holds 4 scores" in resolve_form("compute_memorability", ten, device="cpu")["overwrite"]["error_message"]


@pytest.mark.parametrize(
    ("params", "invalid", "message"),
    [
        ({"memorability_field": "no good"}, "memorability_field", "is not a valid field name"),
        ({"memorability_field": "kind"}, "memorability_field", "choose another name"),
        ({"device": "cuda:77"}, "device", "device"),
    ],
)
def test_form_rejects_invalid_inputs(ten: Any, params: dict[str, Any], invalid: str, message: str) -> None:
    form = resolve_form("compute_memorability", ten, **params)
    assert form[invalid]["invalid"]
    assert message in form[invalid]["error_message"]
    with pytest.raises(ExecutionError, match=message):
        foo.execute_operator(f"{PLUGIN}/compute_memorability", {"dataset": ten}, params=params)


def test_form_reports_missing_weights_and_packages(ten: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESMEM_WEIGHTS", str(tmp_path / "nowhere.pt"))
    form = resolve_form("compute_memorability", ten)
    assert form["cannot_run"]["invalid"]
    assert "no weights file at" in form["blocked"]["view"]["description"]
    assert 'pip install "resmem-plugin[weights]"' in form["blocked"]["view"]["description"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "torch is not installed" in resolve_form("compute_memorability", ten)["blocked"]["view"]["description"]
    assert "Open a dataset first" in str(resolve_form("sort_by_memorability", None))


def test_form_rejects_videos(dataset: Any) -> None:
    dataset.add_sample(fo.Sample(filepath="clip.mp4"))
    assert "to_frames" in resolve_form("compute_memorability", dataset)["blocked"]["view"]["description"]


def test_overwrite_must_be_a_bool(ten: Any) -> None:
    with pytest.raises(ExecutionError, match="overwrite must be True or False"):
        foo.execute_operator(f"{PLUGIN}/compute_memorability", {"dataset": ten}, params={"overwrite": "false"})
