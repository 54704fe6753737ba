"""`compute_memorability`: its scores and options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.engines.calibration import Calibration, calibration_id
from resmem_plugin.core.errors import CalibrationWarning, OptionError
from resmem_plugin.core.scoring.progress import Progress
from resmem_plugin.fiftyone import compute_memorability
from tests.fiftyone.conftest import add_images


@pytest.mark.weights
def test_scores_equal_those_of_the_scorer(dataset: Any, photos: dict[str, Path], scorer: Scorer) -> None:
    paths = [str(path) for path in photos.values()][:5]
    add_images(dataset, paths)
    summary = compute_memorability(dataset, device="cpu")
    expected = [score.memorability for score in scorer.score(paths)]
    assert dataset.values("memorability") == pytest.approx(expected, abs=1e-6)
    assert (summary.total, summary.scored, summary.failed, summary.skipped) == (5, 5, 0, 0)
    assert (summary.lowest, summary.highest) == pytest.approx((min(expected), max(expected)))


def test_progress_callback(dataset: Any, reds: list[str], bad: dict[str, str], red: Scorer) -> None:
    add_images(dataset, [*reds, bad["text"]])
    seen: list[Progress] = []
    compute_memorability(dataset, scorer=red, progress=seen.append)
    assert [progress.iteration for progress in seen] == list(range(1, 12))
    assert (seen[-1].total, seen[-1].failed, seen[-1].progress) == (11, 1, 1.0)


def test_invalid_options_are_rejected(dataset: Any, reds: list[str], red: Scorer) -> None:
    add_images(dataset, reds[:1])
    with pytest.raises(OptionError, match="brings its own"):
        compute_memorability(dataset, scorer=red, batch_size=3)
    with pytest.raises(OptionError, match="precision must be"):
        compute_memorability(dataset, precision="int4")
    with pytest.raises(OptionError, match="must be a FiftyOne dataset or view, not list"):
        compute_memorability(reds, scorer=red)
    assert not dataset.has_field("memorability")


def test_16_bit_images_are_scored_with_a_warning(dataset: Any, tmp_path: Path, red: Scorer) -> None:
    from resmem_plugin.core.errors import ClippedImagesWarning

    path = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(path)
    add_images(dataset, [path])
    with pytest.warns(ClippedImagesWarning):
        compute_memorability(dataset, scorer=red)
    assert dataset.values("memorability") == [1.0]


@pytest.mark.weights
def test_int8_reuses_the_calibration_of_the_field(
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
