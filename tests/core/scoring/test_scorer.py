"""`Scorer`: options, order, errors."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from resmem_plugin import Provenance, Score, Scorer
from resmem_plugin.core.errors import OptionError, ScoringError
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.scoring.progress import Progress
from tests.conftest import flat
from tests.models import Red


def test_signature_and_defaults_of_scorer() -> None:
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
        "max_pixels": None,
        "base64": False,
    }


def test_reader_and_engine_are_usable_directly(red: Scorer) -> None:
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


def test_an_empty_list_has_no_scores(red: Scorer) -> None:
    assert red.score([]) == []
    assert list(red.iter_scores(iter([]))) == []


@pytest.mark.parametrize(
    "one", ["a.jpg", b"bytes", Path("a.jpg"), Image.new("RGB", (4, 4)), flat(1), np.zeros((4, 4), np.uint8)]
)
def test_one_image_instead_of_a_list_is_an_error(one: Any, red: Scorer) -> None:
    with pytest.raises(TypeError, match=r"for one image: \["):
        red.score(one)
    with pytest.raises(TypeError, match=r"for one image: \["):
        next(red.iter_scores(one))


def test_arrays_of_paths_and_of_images(red: Scorer, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (51, 0, 0)).save(tmp_path / "a.png")
    assert red.score(np.array([str(tmp_path / "a.png")]))[0].memorability == pytest.approx(0.2)
    assert len(red.score(np.zeros((3, 8, 8, 3), np.uint8))) == 3


def test_missing_files_are_raised_before_any_is_scored(red: Scorer) -> None:
    calls: list[Progress] = []
    with pytest.raises(ScoringError, match=r"2 of 4 files do not exist.*a\.jpg, b\.jpg.*coerce") as caught:
        red.score([flat(1), flat(2), "a.jpg", Path("b.jpg")], progress=calls.append)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert caught.value.scores == []
    assert calls == []


def test_scores_before_an_error_come_with_it(red: Scorer) -> None:
    with pytest.raises(ScoringError, match="<3 bytes>: not an image") as caught:
        red.score([flat(0), flat(51), b"bad", flat(1)])
    assert [score.memorability for score in caught.value.scores] == pytest.approx([0.0, 0.2])


def test_scores_before_the_model_fails_come_with_the_error() -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        if x.max() > 0.5:
            raise RuntimeError("the card fell off the bus")
        return x[:, 0].mean(dim=(1, 2))

    scorer = Scorer(device="cpu", model=model, batch_size=2)
    with pytest.raises(ScoringError, match=r"after 4 of 6 images.*fell off the bus") as caught:
        scorer.score([flat(value) for value in (0, 1, 2, 3, 200, 4)], errors="coerce")
    assert len(caught.value.scores) == 4


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
def test_an_invalid_option_is_an_error_that_names_it(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        Scorer(model=Red(), **options)


def test_errors_must_be_raise_or_coerce(red: Scorer) -> None:
    with pytest.raises(OptionError, match="'raise' or 'coerce'"):
        red.score([], errors="ignore")  # type: ignore[arg-type]


def test_nan_from_the_network_is_an_error() -> None:
    scorer = Scorer(device="cpu", model=lambda x: x[:, 0].mean(dim=(1, 2)) / 0 * 0)
    score = scorer.score([flat(1)], errors="coerce")[0]
    assert math.isnan(score.memorability)
    assert "network returned nan" in str(score.error)


def test_provenance_id_is_stable() -> None:
    provenance = Provenance(
        weights="8e4b", preprocessing="1", engine="pytorch", precision="fp32", decode="exact",
        exif_transpose=False, package_version="0.1.0",
    )  # fmt: skip
    assert provenance.id == "09b412e63d9d"  # stored beside scores: it must never change
