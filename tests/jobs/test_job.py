"""A job that is resumed: failed images, `--retry-failed`, and the calibration of int8."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from resmem_plugin.core.engines.calibration import Calibration, calibration_id
from resmem_plugin.core.engines.resolve import Choice
from resmem_plugin.core.network.weights import WeightsFile
from resmem_plugin.core.scoring import scorer
from tests.conftest import flat
from tests.jobs.runs import SUFFIXES, score
from tests.models import RedEngine


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_failed_images_are_scored_again_only_with_retry_failed(
    suffix: str, image_folder: Path, use_engine: Callable[[RedEngine], RedEngine]
) -> None:
    out = f"out.{suffix}"
    use_engine(RedEngine(batch_dependent=False))
    assert score("images", "-o", out) == 1
    finished, changed_s = Path(out).read_bytes(), os.stat(out).st_mtime_ns
    engine = use_engine(RedEngine(batch_dependent=False))
    assert score("images", "-o", out, "--resume") == 1  # the file keeps its errors
    assert (engine.scored, os.stat(out).st_mtime_ns) == (0, changed_s)
    assert score("images", "-o", out, "--resume", "--retry-failed") == 1
    assert (engine.scored, Path(out).read_bytes()) == (0, finished)
    for path in Path("images").glob("?5.png"):
        Image.fromarray(flat(200)).save(path)
    assert score("images", "-o", out, "--resume") == 1
    assert score("images", "-o", out, "--resume", "--retry-failed") == 0
    assert engine.scored == 4
    assert score("images", "-o", f"whole.{suffix}") == 0
    assert Path(out).read_bytes() == Path(f"whole.{suffix}").read_bytes()
    assert not Path(f"{out}.partial").exists()


def test_resume_after_an_interrupted_retry_failed(
    image_folder: Path, use_engine: Callable[[RedEngine], RedEngine]
) -> None:
    use_engine(RedEngine(batch_dependent=False))
    score("images", "-o", "out.csv")
    finished = Path("out.csv").read_bytes()
    for path in Path("images").glob("?5.png"):
        Image.fromarray(flat(200)).save(path)
    use_engine(RedEngine(fails_at=1, batch_dependent=False))
    retry = ["images", "-o", "out.csv", "--resume", "--retry-failed", "--batch-size", "1"]
    assert score(*retry) == 1
    assert Path("out.csv").read_bytes() == finished
    engine = use_engine(RedEngine(batch_dependent=False))
    assert score(*retry) == 0
    assert engine.scored == 3
    assert score("images", "-o", "whole.csv") == 0
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_int8_calibration_is_named_resumed_or_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, count in (("scored", 6), ("named", 2)):
        (tmp_path / name).mkdir()
        for number in range(count):
            Image.fromarray(flat(number)).save(f"{name}/{number}.png")
    calibrations: list[Calibration] = []

    def load(weights: WeightsFile, choice: Choice, calibration: Calibration) -> RedEngine:
        calibrations.append(calibration)
        engine = RedEngine(fails_at=4 if len(calibrations) == 1 else None)
        engine.precision, engine.calibration = choice.precision, calibration_id(calibration)
        return engine

    monkeypatch.setattr(scorer, "load_engine", load)
    command = ("scored", "--precision", "int8", "-o")
    assert score(*command, "a.csv", "--calibration", "named") == 1  # the engine fails in the second batch
    assert score(*command, "a.csv", "--resume") == 0
    assert score(*command, "b.csv") == 0
    named, before, sample = calibrations
    assert not isinstance(named, str)
    assert not isinstance(sample, str)
    assert (len(named), len(sample)) == (2, 6)
    assert isinstance(before, str)
    assert before == calibration_id(named)
    assert score(*command, "c.csv", "--calibration", before) == 0
    assert calibrations[3] == before
    assert len(Path("a.csv").read_text().splitlines()) == 7
