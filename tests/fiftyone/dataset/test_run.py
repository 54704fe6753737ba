"""Scoring runs: what they write, skip and try again, and how they stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError, ScoringError
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.dataset.fields import ScoreField, ScoreWriter
from resmem_plugin.fiftyone.dataset.runs import METHOD
from tests.fiftyone.conftest import add_images
from tests.models import Failing


def test_run_writes_scores_errors_index_provenance_and_report(dataset: Any, reds: list[str], red: Scorer) -> None:
    add_images(dataset, reds)
    summary = compute_memorability(dataset, scorer=red)
    assert (summary.field, summary.total, summary.skipped, summary.failed) == ("memorability", 10, 0, 0)
    assert (summary.lowest, summary.highest) == pytest.approx((0.0, 230 / 255))
    assert dataset.values("memorability") == pytest.approx([round(25.5 * n) / 255 for n in range(10)])
    assert dataset.values("memorability_error") == [None] * 10
    assert "memorability" in dataset.list_indexes()
    record = {"provenance": red.provenance.id, **red.provenance.to_dict()}
    assert dataset.get_field("memorability").info["resmem"] == record
    assert dataset.list_runs(method=METHOD) == ["memorability"]
    config = dataset.get_run_info("memorability").config
    assert config.provenance == record
    assert config.report["state"] == "complete"
    assert config.report["scored"] == 10


def test_unreadable_images_have_an_error(dataset: Any, bad: dict[str, str], red: Scorer) -> None:
    good = str(Path(bad["text"]).with_name("good.jpg"))
    add_images(dataset, [good, *bad.values(), good])
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


def test_failed_images_are_retried(dataset: Any, bad: dict[str, str], red: Scorer) -> None:
    add_images(dataset, [bad["missing"], bad["text"]])
    compute_memorability(dataset, scorer=red)
    Image.new("RGB", (4, 4), "red").save(bad["missing"])
    summary = compute_memorability(dataset, scorer=red)
    assert (summary.scored, summary.failed, summary.skipped) == (1, 1, 0)
    assert dataset.values("memorability") == [pytest.approx(1.0, abs=0.01), None]
    assert dataset.values("memorability_error")[0] is None
    assert "not an image" in dataset.values("memorability_error")[1]


def test_scored_samples_are_skipped_over_views(dataset: Any, reds: list[str], red: Scorer) -> None:
    add_images(dataset, reds)
    assert compute_memorability(dataset[:3], scorer=red).scored == 3
    assert dataset.count("memorability") == 3
    again = compute_memorability(dataset[:5], scorer=red)
    assert (again.scored, again.skipped, again.total) == (2, 3, 5)
    assert (again.lowest, again.highest) == pytest.approx((0.0, 102 / 255))
    assert compute_memorability(dataset, scorer=red).scored == 5
    assert compute_memorability(dataset, scorer=red).scored == 0
    assert compute_memorability(dataset[:4], scorer=red, overwrite=True).scored == 4


def test_provenances_are_not_mixed(dataset: Any, reds: list[str], red: Scorer, upright_red: Scorer) -> None:
    add_images(dataset, reds)
    compute_memorability(dataset[:6], scorer=red)
    with pytest.raises(
        OptionError, match=f"holds 6 scores of another provenance .fp32, {red.provenance.id}.*overwrite=True"
    ):
        compute_memorability(dataset, scorer=upright_red)
    with pytest.raises(OptionError, match="2 of them are outside of this view"):
        compute_memorability(dataset[:4], scorer=upright_red, overwrite=True)
    assert dataset.count("memorability") == 6
    assert compute_memorability(dataset, scorer=upright_red, overwrite=True).scored == 10
    assert dataset.get_field("memorability").info["resmem"]["provenance"] == upright_red.provenance.id


def test_scores_of_unknown_provenance_are_kept(dataset: Any, reds: list[str], red: Scorer) -> None:
    add_images(dataset, reds, memorability=0.5)
    with pytest.raises(OptionError, match="10 scores of unknown provenance"):
        compute_memorability(dataset, scorer=red)
    assert dataset.values("memorability") == [0.5] * 10
    compute_memorability(dataset, scorer=red, overwrite=True)
    assert len(dataset.distinct("memorability")) == 10


def test_overwrite_keeps_old_scores_if_the_model_fails_at_once(dataset: Any, reds: list[str], red: Scorer) -> None:
    add_images(dataset, reds)
    compute_memorability(dataset, scorer=red)
    before = dataset.values("memorability")
    failing = Scorer(device="cpu", model=Failing(0), batch_size=4)
    with pytest.raises(ScoringError, match="the card fell out"):
        compute_memorability(dataset, scorer=failing, overwrite=True)
    assert dataset.values("memorability") == before
    assert ScoreField(dataset, "memorability").provenance == red.provenance


def test_scores_before_a_model_failure_are_stored(dataset: Any, reds: list[str]) -> None:
    add_images(dataset, reds)
    failing = Scorer(device="cpu", model=Failing(1), batch_size=4)
    with pytest.raises(ScoringError, match="the 4 images scored before are stored"):
        compute_memorability(dataset, scorer=failing)
    assert dataset.count("memorability") == 4
    assert (ScoreField(dataset, "memorability").run_report or {})["state"] == "interrupted"


def test_skip_failures_false_stops_at_a_failure(
    dataset: Any, reds: list[str], bad: dict[str, str], red: Scorer
) -> None:
    add_images(dataset, [*reds[:5], bad["text"], *reds[5:]])
    with pytest.raises(ScoringError, match=r"text.jpg: not an image.*5 images scored before are stored"):
        compute_memorability(dataset, scorer=red, skip_failures=False)
    assert dataset.count("memorability") == 5
    assert "not an image" in dataset.values("memorability_error")[5]


@pytest.mark.parametrize("step", ["start", "write"])
def test_an_interrupt_during_a_write_loses_no_score(
    dataset: Any, reds: list[str], red: Scorer, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_images(dataset, reds)
    original = getattr(ScoreWriter, step)

    def interrupted(*arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(ScoreWriter, step, original)
        raise KeyboardInterrupt

    monkeypatch.setattr(ScoreWriter, step, interrupted)
    monkeypatch.setattr("resmem_plugin.fiftyone.dataset.run._WRITE_BATCH_SIZE", 4)
    with pytest.raises(KeyboardInterrupt):
        compute_memorability(dataset, scorer=red)
    assert dataset.count("memorability") == 4
