from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from resmem_plugin import Provenance, Score, Scorer, score_images
from resmem_plugin.core.errors import FailedImagesWarning, OptionError, ScoringError
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.scoring.progress import Progress
from tests.conftest import flat
from tests.models import Red


def test_the_signature_is_the_designs() -> None:
    parameters = inspect.signature(Scorer).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "device": "auto",
        "engine": "auto",
        "precision": "auto",
        "batch_size": None,
        "num_workers": None,
        "decode": "exact",
        "weights": None,
        "model": None,
        "cache": None,
        "exif_transpose": False,
        "storage_options": None,
        "calibration": None,
        "processes": None,
    }


def test_a_front_end_may_decode_and_batch_by_itself(red: Scorer) -> None:
    image = red.reader.read(flat(51)).image
    assert red.engine.forward(np.stack([pixels(image)])) == pytest.approx([0.2])
    with pytest.raises(AttributeError):
        red.engine = red.engine  # type: ignore[misc]


def test_scores_are_frozen_and_in_order(red: Scorer) -> None:
    scores = red.score([flat(0), flat(51), flat(255)])
    assert [score.index for score in scores] == [0, 1, 2]
    assert [score.memorability for score in scores] == pytest.approx([0, 0.2, 1])
    assert scores[0] == Score(index=0, memorability=0.0, error=None)
    with pytest.raises(AttributeError):
        scores[0].memorability = 1.0  # type: ignore[misc]


def test_nothing_to_score(red: Scorer) -> None:
    assert red.score([]) == []
    assert list(red.iter_scores(iter([]))) == []


@pytest.mark.parametrize(
    "one", ["a.jpg", b"bytes", Path("a.jpg"), Image.new("RGB", (4, 4)), flat(1), np.zeros((4, 4), np.uint8)]
)
def test_one_image_is_no_list_of_images(one: Any, red: Scorer) -> None:
    with pytest.raises(TypeError, match=r"for one image: \["):
        red.score(one)
    with pytest.raises(TypeError, match=r"for one image: \["):
        next(red.iter_scores(one))


def test_arrays_of_paths_and_of_images(red: Scorer, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (51, 0, 0)).save(tmp_path / "a.png")
    assert red.score(np.array([str(tmp_path / "a.png")]))[0].memorability == pytest.approx(0.2)
    assert len(red.score(np.zeros((3, 8, 8, 3), np.uint8))) == 3


def test_missing_files_are_found_before_any_is_scored(red: Scorer) -> None:
    calls: list[Progress] = []
    with pytest.raises(ScoringError, match=r"2 of 4 files do not exist.*a\.jpg, b\.jpg.*coerce") as caught:
        red.score([flat(1), flat(2), "a.jpg", Path("b.jpg")], progress=calls.append)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert caught.value.scores == []
    assert calls == []


def test_what_was_scored_comes_with_the_error(red: Scorer) -> None:
    with pytest.raises(ScoringError, match="<3 bytes>: not an image") as caught:
        red.score([flat(0), flat(51), b"bad", flat(1)])
    assert [score.memorability for score in caught.value.scores] == pytest.approx([0.0, 0.2])


def test_what_was_scored_survives_the_model() -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        if x.max() > 0.5:
            raise RuntimeError("the card fell off the bus")
        return x[:, 0].mean(dim=(1, 2))

    scorer = Scorer(device="cpu", model=model, batch_size=2)
    with pytest.raises(ScoringError, match=r"after 4 of 6 images.*fell off the bus") as caught:
        scorer.score([flat(value) for value in (0, 1, 2, 3, 200, 4)], errors="coerce")
    assert len(caught.value.scores) == 4


def test_progress_is_told(red: Scorer, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[Progress] = []
    red.score([flat(0), b"bad", flat(1)], errors="coerce", progress=calls.append)
    assert [(call.iteration, call.total, call.failed) for call in calls] == [(1, 3, 0), (2, 3, 1), (3, 3, 1)]
    assert calls[-1].progress == 1
    assert capsys.readouterr() == ("", "")
    red.score([flat(0)], progress=None)  # not a terminal
    red.score([flat(0)], progress=False)
    assert capsys.readouterr() == ("", "")
    red.score([flat(0)], progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1/1" in captured.err


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "tensorrt"},
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"num_workers": -1},
        {"decode": "quick"},
        {"cache": "scores.csv"},
        {"weights": "model.pt"},
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        Scorer(model=Red(), **options)


def test_errors_are_raised_or_coerced(red: Scorer) -> None:
    with pytest.raises(OptionError, match="'raise' or 'coerce'"):
        red.score([], errors="ignore")  # type: ignore[arg-type]


def test_nan_from_the_network_has_a_reason() -> None:
    scorer = Scorer(device="cpu", model=lambda x: x[:, 0].mean(dim=(1, 2)) / 0 * 0)
    score = scorer.score([flat(1)], errors="coerce")[0]
    assert math.isnan(score.memorability)
    assert "network returned nan" in str(score.error)


def test_score_images_is_an_array() -> None:
    with pytest.warns(FailedImagesWarning, match=r"1 of 3 images have no score.*<3 bytes>") as caught:
        scores = score_images([flat(51), b"bad", flat(255)], model=Red(), device="cpu")
    assert caught[0].filename == __file__
    assert scores.dtype == np.float32
    assert scores == pytest.approx([0.2, math.nan, 1.0], nan_ok=True)


def test_provenance_is_stable() -> None:
    provenance = Provenance(
        weights="8e4b", preprocessing="1", engine="pytorch", precision="fp32", decode="exact",
        exif_transpose=False, package_version="0.1.0",
    )  # fmt: skip
    assert provenance.id == "09b412e63d9d"  # stored beside scores: it must never change
