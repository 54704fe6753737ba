from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.engines.calibration import Calibration, calibration_id
from resmem_plugin.core.errors import CalibrationWarning, OptionError, ScoringError
from resmem_plugin.core.scoring.progress import Progress
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.dataset.fields import METHOD, ScoreField
from tests.models import Failing, Red


def _add(dataset: Any, paths: Any, **fields: Any) -> None:
    dataset.add_samples([fo.Sample(filepath=str(path), **fields) for path in paths])


@pytest.mark.weights
def test_the_scores_are_those_of_the_scorer(dataset: Any, photos: dict[str, Path], scorer: Scorer) -> None:
    paths = [str(path) for path in photos.values()][:5]
    _add(dataset, paths)
    summary = compute_memorability(dataset, device="cpu")
    expected = [score.memorability for score in scorer.score(paths)]
    assert dataset.values("memorability") == pytest.approx(expected, abs=1e-6)
    assert (summary.total, summary.scored, summary.failed, summary.skipped) == (5, 5, 0, 0)
    assert (summary.lowest, summary.highest) == pytest.approx((min(expected), max(expected)))


def test_what_it_leaves_behind(dataset: Any, reds: list[str], red: Scorer) -> None:
    _add(dataset, reds)
    summary = compute_memorability(dataset, scorer=red)
    assert (summary.field, summary.total, summary.skipped, summary.failed) == ("memorability", 10, 0, 0)
    assert (summary.lowest, summary.highest) == pytest.approx((0.0, 230 / 255))
    assert dataset.values("memorability") == pytest.approx([round(25.5 * n) / 255 for n in range(10)])
    assert dataset.values("memorability_error") == [None] * 10
    assert "memorability" in dataset.list_indexes()
    told = {"provenance": red.provenance.id, **red.provenance.to_dict()}
    assert dataset.get_field("memorability").info["resmem"] == told
    assert dataset.list_runs(method=METHOD) == ["memorability"]
    config = dataset.get_run_info("memorability").config
    assert config.provenance == told
    assert config.report["state"] == "complete"
    assert config.report["scored"] == 10


def test_bad_images_carry_their_reason(dataset: Any, bad: dict[str, str], red: Scorer) -> None:
    good = str(Path(bad["text"]).with_name("good.jpg"))
    _add(dataset, [good, *bad.values(), good])
    summary = compute_memorability(dataset, scorer=red)
    assert (summary.scored, summary.failed) == (2, 4)
    scores, reasons = dataset.values(["memorability", "memorability_error"])
    assert [score is None for score in scores] == [False, True, True, True, True, False]
    assert scores[0] == scores[-1] == pytest.approx(red.score([good])[0].memorability)
    assert reasons[0] is reasons[-1] is None
    for reason, word in zip(
        reasons[1:-1], ("no such file", "damaged or truncated", "not an image", "empty"), strict=True
    ):
        assert word in reason
    assert dataset.bounds("memorability") == (scores[0], scores[0])


def test_what_failed_is_tried_again_and_its_reason_goes(dataset: Any, bad: dict[str, str], red: Scorer) -> None:
    _add(dataset, [bad["missing"], bad["text"]])
    compute_memorability(dataset, scorer=red)
    Image.new("RGB", (4, 4), "red").save(bad["missing"])
    summary = compute_memorability(dataset, scorer=red)
    assert (summary.scored, summary.failed, summary.skipped) == (1, 1, 0)
    assert dataset.values("memorability") == [pytest.approx(1.0, abs=0.01), None]
    assert dataset.values("memorability_error")[0] is None
    assert "not an image" in dataset.values("memorability_error")[1]


def test_one_field_is_built_up_over_views(dataset: Any, reds: list[str], red: Scorer) -> None:
    _add(dataset, reds)
    assert compute_memorability(dataset[:3], scorer=red).scored == 3
    assert dataset.count("memorability") == 3
    again = compute_memorability(dataset[:5], scorer=red)
    assert (again.scored, again.skipped, again.total) == (2, 3, 5)
    assert (again.lowest, again.highest) == pytest.approx((0.0, 102 / 255))
    assert compute_memorability(dataset, scorer=red).scored == 5
    assert compute_memorability(dataset, scorer=red).scored == 0
    assert compute_memorability(dataset[:4], scorer=red, overwrite=True).scored == 4


def test_provenances_do_not_mix(dataset: Any, reds: list[str], red: Scorer, upright_red: Scorer) -> None:
    _add(dataset, reds)
    compute_memorability(dataset[:6], scorer=red)
    with pytest.raises(OptionError, match=f"holds 6 scores of provenance {red.provenance.id}.*overwrite=True"):
        compute_memorability(dataset, scorer=upright_red)
    with pytest.raises(OptionError, match="2 of them are outside of this view"):
        compute_memorability(dataset[:4], scorer=upright_red, overwrite=True)
    assert dataset.count("memorability") == 6
    assert compute_memorability(dataset, scorer=upright_red, overwrite=True).scored == 10
    assert dataset.get_field("memorability").info["resmem"]["provenance"] == upright_red.provenance.id


def test_scores_of_an_unknown_source_are_kept(dataset: Any, reds: list[str], red: Scorer) -> None:
    _add(dataset, reds, memorability=0.5)
    with pytest.raises(OptionError, match="10 scores of unknown provenance"):
        compute_memorability(dataset, scorer=red)
    assert dataset.values("memorability") == [0.5] * 10
    compute_memorability(dataset, scorer=red, overwrite=True)
    assert len(dataset.distinct("memorability")) == 10


def test_a_model_that_fails_at_once_costs_no_old_score(dataset: Any, reds: list[str], red: Scorer) -> None:
    _add(dataset, reds)
    compute_memorability(dataset, scorer=red)
    before = dataset.values("memorability")
    failing = Scorer(device="cpu", model=Failing(0), batch_size=4)
    with pytest.raises(ScoringError, match="the card fell out"):
        compute_memorability(dataset, scorer=failing, overwrite=True)
    assert dataset.values("memorability") == before
    assert ScoreField(dataset, "memorability").provenance == red.provenance


def test_a_model_that_fails_midway_keeps_what_it_scored(dataset: Any, reds: list[str]) -> None:
    _add(dataset, reds)
    failing = Scorer(device="cpu", model=Failing(1), batch_size=4)
    with pytest.raises(ScoringError, match="the 4 images scored before are stored"):
        compute_memorability(dataset, scorer=failing)
    assert dataset.count("memorability") == 4
    assert (ScoreField(dataset, "memorability").run_report or {})["state"] == "interrupted"


def test_failures_stop_it_on_demand(dataset: Any, reds: list[str], bad: dict[str, str], red: Scorer) -> None:
    _add(dataset, [*reds[:5], bad["text"], *reds[5:]])
    with pytest.raises(ScoringError, match=r"text.jpg: not an image.*5 images scored before are stored"):
        compute_memorability(dataset, scorer=red, skip_failures=False)
    assert dataset.count("memorability") == 5
    assert "not an image" in dataset.values("memorability_error")[5]


def test_progress_is_told(dataset: Any, reds: list[str], bad: dict[str, str], red: Scorer) -> None:
    _add(dataset, [*reds, bad["text"]])
    seen: list[Progress] = []
    compute_memorability(dataset, scorer=red, progress=seen.append)
    assert [progress.iteration for progress in seen] == list(range(1, 12))
    assert (seen[-1].total, seen[-1].failed, seen[-1].progress) == (11, 1, 1.0)


@pytest.mark.parametrize("name", ["", "with space", "1st", "_private", "frames", "id", "a.b", "é", "x" * 65, 7])
def test_names_that_fiftyone_would_trip_over(dataset: Any, reds: list[str], red: Scorer, name: Any) -> None:
    _add(dataset, reds[:1])
    schema = list(dataset.get_field_schema())
    with pytest.raises(OptionError, match="is not a valid field name"):
        compute_memorability(dataset, name, scorer=red)
    assert list(dataset.get_field_schema()) == schema


def test_a_field_of_another_kind_is_kept(dataset: Any, reds: list[str], red: Scorer) -> None:
    _add(dataset, reds[:1], caption="a", other_error=3.5)
    for name in ("caption", "other"):
        with pytest.raises(OptionError, match="choose another name"):
            compute_memorability(dataset, name, scorer=red)


def test_options_that_exclude_each_other(dataset: Any, reds: list[str], red: Scorer) -> None:
    _add(dataset, reds[:1])
    with pytest.raises(OptionError, match="brings its own"):
        compute_memorability(dataset, scorer=red, batch_size=3)
    with pytest.raises(OptionError, match="precision must be"):
        compute_memorability(dataset, precision="int4")
    with pytest.raises(OptionError, match="must be a FiftyOne dataset or view, not list"):
        compute_memorability(reds, scorer=red)
    assert not dataset.has_field("memorability")


def test_an_empty_data_set(dataset: Any, red: Scorer) -> None:
    summary = compute_memorability(dataset, scorer=red)
    assert (summary.total, summary.lowest) == (0, None)
    assert dataset.has_field("memorability")


def test_groups(dataset: Any, reds: list[str], red: Scorer) -> None:
    dataset.add_group_field("group", default="left")
    for left, right in zip(reds[:3], reds[3:6], strict=True):
        group = fo.Group()
        paths = {"left": left, "right": right, "cloud": "points.pcd"}
        dataset.add_samples([fo.Sample(filepath=path, group=group.element(name)) for name, path in paths.items()])
    assert compute_memorability(dataset.select_group_slices("left"), scorer=red).scored == 3
    summary = compute_memorability(dataset, scorer=red)
    assert (summary.total, summary.scored, summary.skipped) == (6, 3, 3)
    images = dataset.select_group_slices(media_type="image")
    expected = {path: score.memorability for path, score in zip(reds, red.score(reds), strict=True)}
    assert dict(zip(*images.values(["filepath", "memorability"]), strict=True)) == {p: expected[p] for p in reds[:6]}
    with pytest.raises(OptionError, match="this collection contains point-cloud samples"):
        compute_memorability(dataset.select_group_slices("cloud"), scorer=red)
    with pytest.raises(OptionError, match="holds 6 scores"):  # those of every slice, and not only of the default one
        compute_memorability(dataset, scorer=Scorer(device="cpu", model=Failing(0)))


def test_videos_are_scored_by_their_frames(dataset: Any, reds: list[str], red: Scorer) -> None:
    sample = fo.Sample(filepath="clip.mp4")
    for number, path in enumerate(reds, start=1):
        box = fo.Detection(label="thing", bounding_box=[0, 0, 1, 1])
        sample.frames[number] = fo.Frame(filepath=path, things=fo.Detections(detections=[box]))
    dataset.add_sample(sample)
    with pytest.raises(OptionError, match="to_frames"):
        compute_memorability(dataset, scorer=red)
    frames = dataset.to_frames()
    assert compute_memorability(frames[:4], scorer=red).scored == 4
    assert compute_memorability(dataset.to_frames(), scorer=red).skipped == 4
    expected = [score.memorability for score in red.score(reds)]
    assert dataset.values("frames.memorability") == [pytest.approx(expected)]
    assert dataset.get_field("frames.memorability").info["resmem"]["provenance"] == red.provenance.id
    upright = Scorer(device="cpu", model=Red(), exif_transpose=True)
    assert compute_memorability(dataset.to_frames(), patches_field="things", scorer=upright).scored == 10
    assert dataset.values("frames.things.detections.memorability") == [[pytest.approx([score]) for score in expected]]
    assert ScoreField(dataset, "frames.memorability").delete()
    assert not dataset.has_field("frames.memorability")


def test_images_of_16_bits_are_scored_with_one_warning(dataset: Any, tmp_path: Path, red: Scorer) -> None:
    from resmem_plugin.core.errors import ClippedImagesWarning

    path = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(path)
    _add(dataset, [path])
    with pytest.warns(ClippedImagesWarning):
        compute_memorability(dataset, scorer=red)
    assert dataset.values("memorability") == [1.0]


@pytest.mark.weights
def test_int8_is_calibrated_on_a_sample_and_then_as_before(
    dataset: Any, reds: list[str], calibrations: list[Calibration]
) -> None:
    dataset.add_samples([fo.Sample(filepath=path) for path in reds])
    with pytest.warns(CalibrationWarning, match="on 10 image"):
        compute_memorability(dataset[:4], device="cpu", precision="int8")
    assert compute_memorability(dataset, device="cpu", precision="int8").skipped == 4
    sample, before = calibrations
    assert not isinstance(sample, str)
    assert len(sample) == len(reds)
    assert before == calibration_id(sample) == dataset.get_field("memorability").info["resmem"]["calibration"]
