"""The form of the operator `compute_memorability`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionError

from resmem_plugin import Scorer
from resmem_plugin.core.engines.resolve import Choice
from resmem_plugin.core.errors import CalibrationWarning
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.app import compute_form
from resmem_plugin.fiftyone.dataset.fields import ScoreField, ScoreWriter
from tests.fiftyone.app.operator_driver import PLUGIN, get_operator, resolve_form


def test_form_previews_the_run(ten: Any, stand_in: Scorer) -> None:
    form = resolve_form("compute_memorability", ten)
    advanced = {"device", "precision", "batch_size", "num_workers"}
    assert {"view_target", "memorability_field", "overwrite", "advanced"} <= set(form)
    assert not advanced & set(form)
    assert advanced <= set(resolve_form("compute_memorability", ten, advanced=True))
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
    form = resolve_form("compute_memorability", ten, advanced=True, **params)
    assert form[invalid]["invalid"]
    assert message in form[invalid]["error_message"]
    with pytest.raises(ExecutionError, match=message):
        foo.execute_operator(f"{PLUGIN}/compute_memorability", {"dataset": ten}, params=params)


def test_what_the_switch_hides_does_not_count(ten: Any, stand_in: Scorer) -> None:
    hidden = resolve_form("compute_memorability", ten, advanced=False, device="cuda:77", batch_size=-1)
    assert "10 of 10 images" in hidden["plan"]["view"]["label"]
    given = resolve_form("compute_memorability", ten, device="cuda:77")  # by an operator call, which has no switch
    assert "device" in given["blocked"]["view"]["description"]


def test_the_forecast_is_of_the_last_run_with_these_options(ten: Any) -> None:
    scorer = Scorer(device="cpu", model=lambda x: x[:, 0].mean(dim=(1, 2)).unsqueeze(1))
    compute_memorability(ten, "old", scorer=scorer)
    compute_memorability(ten, "new", scorer=scorer)
    chosen = Choice(scorer.provenance.engine, "cpu", scorer.provenance.precision)
    for name, seconds in (("old", 100.0), ("new", 50.0)):
        field = ScoreField(ten, name)
        assert field.provenance is not None
        assert field.run_report is not None
        field.register_run(field.provenance, {**field.run_report, "scored": 1000, "elapsed_s": seconds})
    writer = ScoreWriter.of(ten, "another", None)
    assert compute_form._estimate_images_per_s(writer, chosen) == pytest.approx(20)
    assert compute_form._estimate_images_per_s(writer, Choice("other", "cpu", "fp32")) != pytest.approx(20)


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
