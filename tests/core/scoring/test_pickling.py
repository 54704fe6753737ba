"""A `Scorer` in another process: pickled as its options and the hash of its weights, or with a model."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from resmem_plugin import ResMem, Scorer
from resmem_plugin.core.errors import OptionError, WeightsCorruptError
from tests.conftest import flat
from tests.models import Red


def red_mean(x: Tensor) -> Tensor:
    return x[:, 0].mean(dim=(1, 2))


def _scored_elsewhere(scorer: Scorer, image: object) -> tuple[str, float]:
    return scorer.provenance.id, scorer.score([image])[0].memorability


def _in_a_new_process(scorer: Scorer, image: object) -> tuple[str, float]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_scored_elsewhere, scorer, image).result()


@pytest.mark.weights
def test_the_published_network_scores_the_same_in_another_process(scorer: Scorer, photos: dict[str, Path]) -> None:
    provenance, score = _in_a_new_process(scorer, photos["coffee.png"])
    assert provenance == scorer.provenance.id
    assert score == pytest.approx(scorer.score([photos["coffee.png"]])[0].memorability, abs=1e-6)


@pytest.mark.weights
def test_the_weights_are_not_in_the_pickle(scorer: Scorer) -> None:
    pickled = pickle.dumps(scorer)
    assert len(pickled) < 2000
    assert pickle.loads(pickled).options.precision == "fp32"  # "auto" might be another one elsewhere


@pytest.mark.weights
def test_other_weights_in_the_other_process_are_refused(scorer: Scorer) -> None:
    pickled = pickle.dumps(scorer).replace(scorer.provenance.weights.encode(), b"0" * 64)
    with pytest.raises(WeightsCorruptError, match=r"pickled with the weights 000.*install the same weights here"):
        pickle.loads(pickled)


def test_a_module_is_pickled_with_the_scorer() -> None:
    scorer = Scorer(device="cpu", model=Red(), batch_size=3)
    provenance, score = _in_a_new_process(scorer, flat(51))
    assert provenance == scorer.provenance.id
    assert score == pytest.approx(0.2)


def test_a_module_is_pickled_as_it_was_given() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 227**2, 1), nn.Sigmoid())
    scorer = Scorer(device="cpu", model=model)
    before = scorer.score([flat(200)])[0].memorability
    with torch.no_grad():
        next(model[1].parameters()).add_(1)
    loaded = pickle.loads(pickle.dumps(scorer))
    assert loaded.score([flat(200)])[0].memorability == before
    assert loaded.provenance == scorer.provenance


@pytest.mark.weights
def test_resmem_as_a_model_keeps_its_scores(photos: dict[str, Path]) -> None:
    scorer = Scorer(device="cpu", model=ResMem(pretrained=True))
    loaded = pickle.loads(pickle.dumps(scorer))
    images = [photos["rocket.jpg"]]
    assert loaded.score(images)[0].memorability == pytest.approx(scorer.score(images)[0].memorability, abs=1e-6)
    assert loaded.provenance == scorer.provenance


def test_a_function_keeps_its_provenance() -> None:
    scorer = Scorer(device="cpu", model=red_mean)
    assert pickle.loads(pickle.dumps(scorer)).provenance.id == scorer.provenance.id


def _local_function() -> Callable[[Tensor], Tensor]:
    def local(x: Tensor) -> Tensor:
        return red_mean(x)

    return local


def _local_module() -> nn.Module:
    class Local(Red):
        pass

    return Local()


@pytest.mark.parametrize("model", [lambda x: red_mean(x), partial(lambda x: x), _local_function(), _local_module()])
def test_a_lambda_or_a_local_class_is_refused(model: Callable[[Tensor], Tensor]) -> None:
    scorer = Scorer(device="cpu", model=model)
    with pytest.raises(OptionError, match=r"cannot be pickled .* at the top level of a module"):
        pickle.dumps(scorer)


def test_options_are_kept(tmp_path: Path) -> None:
    scorer = Scorer(
        device="cpu", model=Red(), batch_size=2, num_workers=3, cache=tmp_path / "a.sqlite", exif_transpose=True
    )
    loaded = pickle.loads(pickle.dumps(scorer))
    assert (loaded.batch_size, loaded.num_workers) == (2, 3)
    assert loaded.options.cache == scorer.options.cache
    assert loaded.provenance == scorer.provenance


class NamedScorer(Scorer):
    """A subclass."""


def test_a_subclass_stays_one() -> None:
    assert type(pickle.loads(pickle.dumps(NamedScorer(device="cpu", model=Red())))) is NamedScorer


@pytest.mark.weights
def test_int8_must_be_calibrated_first() -> None:
    with pytest.raises(OptionError, match=r"name images with Scorer\(precision='int8', calibration=...\)"):
        pickle.dumps(Scorer(device="cpu", precision="int8"))


@pytest.mark.weights
def test_with_fast_decoding_the_device_is_kept() -> None:
    scorer = Scorer(device="cpu", decode="fast")
    loaded = pickle.loads(pickle.dumps(Scorer.of(replace(scorer.options, device="auto"))))
    assert loaded.options.device == scorer.provenance.device == "cpu"


def test_a_copy_needs_no_pickling() -> None:
    scorer = Scorer(device="cpu", model=lambda x: red_mean(x))
    assert copy.copy(scorer).provenance == scorer.provenance
