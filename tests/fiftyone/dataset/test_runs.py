"""The runs of fields that were renamed or merged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import ResMemWarning
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.app.info import MemorabilityInfo
from resmem_plugin.fiftyone.dataset.fields import ScoreField
from resmem_plugin.fiftyone.dataset.plan import Plan
from resmem_plugin.fiftyone.dataset.runs import METHOD
from tests.fiftyone.app.operator_driver import resolve_form
from tests.fiftyone.conftest import add_images
from tests.models import OtherRed


@pytest.fixture
def other() -> Scorer:
    return Scorer(device="cpu", model=OtherRed(), batch_size=4)


@pytest.fixture
def merged(dataset: Any, reds: list[str], red: Scorer, other: Scorer) -> Any:
    """Four images scored here, and six scored in another dataset with another provenance."""
    add_images(dataset, reds[:4])
    compute_memorability(dataset, scorer=red)
    elsewhere = fo.Dataset()
    add_images(elsewhere, reds[4:])
    compute_memorability(elsewhere, scorer=other)
    dataset.merge_samples(elsewhere)
    elsewhere.delete()
    return dataset


def _rename_labels(dataset: Any) -> str:
    dataset.rename_sample_field("gt", "objects")
    return "objects.detections.memorability"


def _rename_scores(dataset: Any) -> str:
    dataset.rename_sample_field("memorability", "score")
    dataset.rename_sample_field("memorability_error", "score_error")
    return "score"


@pytest.mark.parametrize("rename", [_rename_labels, _rename_scores])
@pytest.mark.parametrize("again", [False, True])
def test_renamed_fields_keep_their_run(
    dataset: Any, reds: list[str], red: Scorer, upright_red: Scorer, rename: Callable[[Any], str], again: bool
) -> None:
    box = fo.Detection(label="thing", bounding_box=[0, 0, 1, 1])
    add_images(dataset, reds, gt=fo.Detections(detections=[box]))
    labels = rename is _rename_labels
    compute_memorability(dataset, patches_field="gt" if labels else None, scorer=upright_red if labels else red)
    path = rename(dataset)
    field = ScoreField(dataset, path)
    assert field.run_report is not None
    assert field.run_report["scored"] == 10
    if again:
        add_images(dataset, reds[:1], **({"objects": fo.Detections(detections=[box.copy()])} if labels else {}))
        if labels:
            summary = compute_memorability(dataset, patches_field="objects", scorer=upright_red)
        else:
            summary = compute_memorability(dataset, "score", scorer=red)
        assert (summary.scored, summary.skipped) == (1, 10)
        assert dataset.list_runs(method=METHOD) == [field.run_key]
    assert any(deleted.startswith("run ") for deleted in field.delete())
    assert dataset.list_runs(method=METHOD) == []


def test_deleted_field_leaves_its_run_to_no_other(dataset: Any, reds: list[str], red: Scorer, other: Scorer) -> None:
    add_images(dataset, reds)
    compute_memorability(dataset, scorer=red)
    compute_memorability(dataset, "second", scorer=other)
    dataset.delete_sample_field("memorability")
    dataset.delete_run("second")
    assert ScoreField(dataset, "second").run_report is None


def test_scores_of_a_merged_dataset_are_not_skipped_silently(merged: Any, red: Scorer) -> None:
    words = "6 of the 10 scores in 'memorability' were not written by a run into it"
    for _ in range(2):  # a rerun with nothing to do does not make them known
        with pytest.warns(ResMemWarning, match=words):
            assert compute_memorability(merged, scorer=red).skipped == 10
    assert compute_memorability(merged, scorer=red, overwrite=True).scored == 10
    assert compute_memorability(merged, scorer=red).skipped == 10


def test_a_rerun_that_scores_still_knows_merged_scores(merged: Any, reds: list[str], red: Scorer) -> None:
    new = Path(reds[0]).with_name("new.png")
    shutil.copy(reds[0], new)
    add_images(merged, [new])
    for scored in (1, 0):
        with pytest.warns(ResMemWarning, match="6 of the 1"):
            assert compute_memorability(merged, scorer=red).scored == scored


@pytest.mark.weights
def test_form_names_merged_scores(dataset: Any, photos: dict[str, Path]) -> None:
    add_images(dataset, [photos["rocket.jpg"]])
    compute_memorability(dataset, device="cpu")
    assert "foreign" not in resolve_form("compute_memorability", dataset, device="cpu")
    elsewhere = dataset.clone()
    elsewhere.set_values("filepath", [str(photos["coffee.png"])])
    dataset.merge_samples(elsewhere)
    elsewhere.delete()
    form = resolve_form("compute_memorability", dataset, device="cpu")
    assert "1 of the 2 scores" in form["foreign"]["view"]["description"]


def test_scores_that_were_replaced_by_as_many_others_are_noticed(
    dataset: Any, reds: list[str], red: Scorer, other: Scorer
) -> None:
    add_images(dataset, reds)
    compute_memorability(dataset, scorer=red)
    info = MemorabilityInfo()
    assert info(dataset)[0]["caution"] is None
    elsewhere = fo.Dataset()
    add_images(elsewhere, reds[:3])
    compute_memorability(elsewhere, scorer=other)
    elsewhere.set_values("memorability", [0.1, 0.2, 0.3])  # of other weights
    dataset.merge_samples(elsewhere)
    elsewhere.delete()
    words = f"some of the {len(reds)} scores in 'memorability' were changed after the last run into it"
    assert words in info(dataset)[0]["caution"]
    new = Path(reds[0]).with_name("new.png")
    shutil.copy(reds[0], new)
    add_images(dataset, [new])
    for _ in range(2):  # a run that adds scores does not make them known
        with pytest.warns(ResMemWarning, match="scores in 'memorability' were changed after"):
            compute_memorability(dataset, scorer=red)
    compute_memorability(dataset, scorer=red, overwrite=True)
    assert info(dataset)[0]["caution"] is None


def test_deleted_samples_and_moved_scores_are_no_mixture(dataset: Any, reds: list[str], red: Scorer) -> None:
    add_images(dataset, reds)
    compute_memorability(dataset, scorer=red)
    dataset.delete_samples(dataset.limit(2))
    assert MemorabilityInfo()(dataset)[0]["caution"] is None
    copied = dataset.clone()
    assert MemorabilityInfo()(copied)[0]["caution"] is None
    copied.delete()


def test_info_tells_merged_scores(merged: Any) -> None:
    [found] = MemorabilityInfo()(merged)
    assert "6 of the 10 scores in 'memorability' were not written by a run into it" in found["caution"]


def test_a_view_that_holds_samples_twice(dataset: Any, reds: list[str], red: Scorer) -> None:
    add_images(dataset, reds)
    twice = dataset.limit(6).concat(dataset.limit(3))
    assert len(twice) == 9
    first, again = (compute_memorability(twice, scorer=red) for _ in range(2))
    assert (first.total, first.scored, first.skipped, first.failed) == (6, 6, 0, 0)
    assert (again.total, again.scored, again.skipped, again.failed) == (6, 0, 6, 0)
    assert dataset.count("memorability") == 6
    assert Plan.of(twice, "memorability").count() == (6, 6)


def test_a_killed_run_does_not_forget_merged_scores(merged: Any, red: Scorer) -> None:
    field = ScoreField(merged, "memorability")
    with pytest.warns(ResMemWarning, match="6 of the 10 scores"):
        compute_memorability(merged, scorer=red)
    report = {
        **(field.run_report or {}),
        "state": "unfinished",
        "stored": 4,
        "count": 10,
        "sum": field.sum(),
        "changed": False,
    }
    field.register_run(red.provenance, report)
    assert "6 of the 10 scores" in MemorabilityInfo()(merged)[0]["caution"]
