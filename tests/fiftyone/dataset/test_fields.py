"""Score fields with filtered views, other processes, and fields or runs of other tools."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import fiftyone as fo
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError, ScoringError
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.dataset.fields import ScoreField, ScoreWriter
from resmem_plugin.fiftyone.dataset.run import ScoringRun
from tests.conftest import ROOT
from tests.models import OtherRed


@pytest.fixture
def ten(dataset: Any, reds: list[str]) -> Any:
    boxes = [fo.Detection(label="a", bounding_box=[0, 0, 1, 1]), fo.Detection(label="b", bounding_box=[0, 0, 0.5, 1])]
    dataset.add_samples(
        [fo.Sample(filepath=path, gt=fo.Detections(detections=[b.copy() for b in boxes])) for path in reds]
    )
    return dataset


@pytest.fixture(scope="module")
def other() -> Scorer:
    return Scorer(device="cpu", model=OtherRed(), batch_size=4, exif_transpose=True)


def test_overwrite_view_filtered_by_its_scores(ten: Any, red: Scorer, other: Scorer) -> None:
    compute_memorability(ten, scorer=red)
    summary = compute_memorability(ten.exists("memorability"), scorer=other, overwrite=True)
    assert (summary.scored, ten.count("memorability")) == (10, 10)


def test_overwrite_patches_filtered_by_their_scores(ten: Any, upright_red: Scorer, other: Scorer) -> None:
    compute_memorability(ten, patches_field="gt", scorer=upright_red)
    scored = ten.filter_labels("gt", fo.ViewField("memorability") != None)  # noqa: E711 (an expression)
    assert compute_memorability(scored, patches_field="gt", scorer=other, overwrite=True).scored == 20
    assert ten.count("gt.detections.memorability") == 20


def test_overwrite_frames_filtered_by_their_scores(dataset: Any, reds: list[str], red: Scorer, other: Scorer) -> None:
    sample = fo.Sample(filepath="clip.mp4")
    for number, path in enumerate(reds, start=1):
        sample.frames[number] = fo.Frame(filepath=path)
    dataset.add_sample(sample)
    frames = dataset.to_frames()
    compute_memorability(frames, scorer=red)
    assert frames.count("memorability") == 10
    assert compute_memorability(frames.exists("memorability"), scorer=other, overwrite=True).scored == 10
    assert dataset.count("frames.memorability") == 10


@pytest.mark.parametrize("hide", ["select_fields", "exclude_fields"])
def test_view_that_excludes_the_fields(ten: Any, red: Scorer, other: Scorer, hide: str) -> None:
    compute_memorability(ten, scorer=red)
    view = (
        ten.select_fields("gt")
        if hide == "select_fields"
        else ten.exclude_fields(["memorability", "memorability_error"])
    )
    summary = compute_memorability(view, scorer=red)
    assert (summary.skipped, summary.scored) == (10, 0)
    assert compute_memorability(view, scorer=other, overwrite=True).scored == 10
    assert ten.count("memorability") == 10


def test_patches_with_the_same_id(dataset: Any, reds: list[str], upright_red: Scorer) -> None:
    box = fo.Detection(label="a", bounding_box=[0, 0, 1, 1])
    dataset.add_samples([fo.Sample(filepath=path, gt=fo.Detections(detections=[box])) for path in (reds[0], reds[9])])
    assert compute_memorability(dataset, patches_field="gt", scorer=upright_red).scored == 2
    assert dataset.values("gt.detections.memorability") == [[0.0], [pytest.approx(230 / 255)]]


def test_scores_of_another_process_are_skipped(ten: Any, red: Scorer, other: Scorer) -> None:
    ten.persistent = True
    code = """
import sys, fiftyone as fo
from resmem_plugin import Scorer
from resmem_plugin.fiftyone import compute_memorability
from tests.models import Red
compute_memorability(fo.load_dataset(sys.argv[1])[:6], scorer=Scorer(device="cpu", model=Red(), batch_size=4))
"""
    subprocess.run([sys.executable, "-c", code, ten.name], cwd=ROOT, env=os.environ, check=True, capture_output=True)
    assert not ten.has_field("memorability")  # it was loaded before
    with pytest.raises(OptionError, match="holds 6 scores"):
        compute_memorability(ten, scorer=other)
    assert compute_memorability(ten, scorer=red).skipped == 6


@pytest.mark.parametrize("meanwhile", ["deleted", "overwritten"])
def test_field_deleted_or_overwritten_during_a_run(
    ten: Any, red: Scorer, other: Scorer, meanwhile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resmem_plugin.fiftyone.dataset.run._WRITE_BATCH_SIZE", 1)
    monkeypatch.setattr("resmem_plugin.fiftyone.dataset.run._CHECK_INTERVAL_S", 0)
    writer = ScoreWriter.of(ten, "memorability")
    run = ScoringRun(ten, writer, red, overwrite=False, skip_failures=True).run()
    next(run)
    if meanwhile == "deleted":
        ScoreField(ten, "memorability").delete()
    else:
        compute_memorability(ten, scorer=other, overwrite=True)
    with pytest.raises(ScoringError, match="was deleted, or overwritten with scores of another provenance"):
        list(run)
    if meanwhile == "deleted":
        assert not ten.has_field("memorability")
        compute_memorability(ten[:2], scorer=other)  # nothing that was left comes up again
        assert ten.count("memorability") == 2
    else:
        assert ScoreField(ten, "memorability").provenance == other.provenance
        assert ten.count("memorability") == 10


def test_custom_run_of_another_tool_is_kept(ten: Any, red: Scorer) -> None:
    ten.register_run("memorability", ten.init_run(method="mine", field="memorability"))
    with pytest.raises(OptionError, match=r"has a run 'memorability' that does not belong.*delete_run"):
        compute_memorability(ten, scorer=red)
    assert ten.get_run_info("memorability").config.method == "mine"
    assert compute_memorability(ten, "other", scorer=red).scored == 10


def test_label_field_whose_name_is_not_an_identifier(ten: Any, upright_red: Scorer) -> None:
    ten.rename_sample_field("gt", "ground truth-1")
    assert compute_memorability(ten, patches_field="ground truth-1", scorer=upright_red).scored == 20


def test_read_only_field(ten: Any, red: Scorer) -> None:
    compute_memorability(ten, scorer=red)
    field = ten.get_field("memorability")
    field.read_only = True
    field.save()
    with pytest.raises(OptionError, match="is read-only"):
        compute_memorability(ten, scorer=red, overwrite=True)


def test_renamed_field(ten: Any, red: Scorer) -> None:
    compute_memorability(ten, scorer=red)
    ten.rename_sample_field("memorability", "renamed")
    assert compute_memorability(ten, "renamed", scorer=red).skipped == 10


@pytest.mark.parametrize("info", ["x", {}, {"provenance": "abc"}])
def test_invalid_provenance_in_the_fields_info(ten: Any, red: Scorer, info: Any) -> None:
    ten.add_sample_field("memorability", fo.FloatField, info={"resmem": info})
    ten.set_values("memorability", [0.5] * 10)
    with pytest.raises(OptionError, match="unknown provenance"):
        compute_memorability(ten, scorer=red)


def test_dynamic_groups(ten: Any, red: Scorer) -> None:
    ten.set_values("scene", ["x", "y"] * 5)
    assert compute_memorability(ten.group_by("scene"), scorer=red).scored == 10


def test_evaluation_patches_need_a_patches_field(ten: Any, upright_red: Scorer) -> None:
    ten.clone_sample_field("gt", "pred")
    ten.evaluate_detections("pred", gt_field="gt", eval_key="ev", progress=False)
    patches = ten.to_evaluation_patches("ev")
    with pytest.raises(OptionError, match="select one with patches_field"):
        compute_memorability(patches, scorer=upright_red)
    assert compute_memorability(patches, patches_field="pred", scorer=upright_red).scored == 20
    assert ten.count("pred.detections.memorability") == 20


def test_frames_of_a_group(dataset: Any, reds: list[str], red: Scorer) -> None:
    dataset.add_group_field("group", default="video")
    sample = fo.Sample(filepath="clip.mp4", group=fo.Group().element("video"))
    for number, path in enumerate(reds, start=1):
        sample.frames[number] = fo.Frame(filepath=path)
    dataset.add_sample(sample)
    frames = dataset.select_group_slices("video").to_frames()
    assert compute_memorability(frames, scorer=red).scored == 10
    assert compute_memorability(frames, scorer=red).skipped == 10
