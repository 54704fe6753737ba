"""In fp32 a file, a FiftyOne field and a cache begun with PyTorch are continued with OpenVINO."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resmem_plugin import Scorer
from resmem_plugin.cli import main
from tests.conftest import ROOT

pytestmark = pytest.mark.weights


@pytest.fixture
def images(photos: dict[str, Path]) -> list[str]:
    return [str(photos[name]) for name in ("coffee.png", "rocket.jpg", "chelsea.png")]


@pytest.fixture
def golden() -> dict[str, float]:
    with open(ROOT / "tests" / "core" / "golden.csv", newline="") as file:
        return {row["image"]: float(row["memorability"]) for row in csv.DictReader(file)}


def test_a_file(
    images: list[str], golden: dict[str, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "scores.csv")
    assert main(["score", *images[:2], "-o", output, "--device", "cpu", "--engine", "pytorch"]) == 0
    assert main(["score", *images, "-o", output, "--device", "cpu", "--engine", "openvino", "--resume"]) == 0
    assert "2 of 3 images were done already, 3 left to score" in capsys.readouterr().err  # of one cut batch
    with open(output, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["provenance"] for row in rows}) == 1
    for row in rows:
        assert float(row["memorability"]) == pytest.approx(golden[Path(row["path"]).name], abs=1e-5)


def test_a_field(images: list[str], golden: dict[str, float], database: str) -> None:
    import fiftyone as fo

    from resmem_plugin.fiftyone import compute_memorability

    dataset: Any = fo.Dataset.from_images(images, progress=False)
    try:
        compute_memorability(dataset[:2], scorer=Scorer(device="cpu", engine="pytorch"))
        summary = compute_memorability(dataset, scorer=Scorer(device="cpu", engine="openvino"))
        assert (summary.skipped, summary.scored) == (2, 1)
        for path, score in zip(*dataset.values(["filepath", "memorability"]), strict=True):
            assert score == pytest.approx(golden[Path(path).name], abs=1e-5)
    finally:
        dataset.delete()


def test_a_cache(images: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "scores.sqlite"
    before = Scorer(device="cpu", engine="pytorch", cache=cache).score(images)
    scorer = Scorer(device="cpu", engine="openvino", cache=cache)
    monkeypatch.setattr(type(scorer.engine), "forward", None)  # nothing is left to compute
    after = scorer.score(images)
    np.testing.assert_array_equal([score.memorability for score in after], [score.memorability for score in before])
