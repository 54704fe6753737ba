from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from benchmarks.gpu import random_network, smooth_images
from resmem_plugin import ResMem, Scorer, transformer
from resmem_plugin.core.engines.pytorch.cuda import CUDAEngine
from resmem_plugin.core.engines.pytorch.engine import Model, PyTorchEngine
from resmem_plugin.core.errors import EvalModeError, OptionError, ScoringError
from resmem_plugin.core.images.preprocess import pixels
from tests import upstream
from tests.conftest import flat
from tests.models import MemoryLimited, MemoryLimitedWithEmbeddings, Red, WithWrongEmbeddings


@pytest.fixture(scope="module")
def paths(photos: dict[str, Path]) -> list[Path]:
    return [photos[name] for name in ("rocket.jpg", "coffee.png", "moon.png", "retina.jpg", "chelsea.png", "china.jpg")]


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore:this processor has no bfloat16:UserWarning")
@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 1e-2), ("fp16", 2e-3)])
def test_half_precision_stays_near_fp32(scorer: Scorer, paths: list[Path], precision: str, tolerance: float) -> None:
    exact = [score.memorability for score in scorer.score(paths[:3])]
    one, four = (Scorer(device="cpu", precision=precision, batch_size=size) for size in (1, 4))
    alone, together = ([score.memorability for score in half.score(paths[:3])] for half in (one, four))
    assert alone == pytest.approx(exact, abs=tolerance)
    assert alone == pytest.approx(together, abs=1e-3)
    assert one.provenance.id == four.provenance.id != scorer.provenance.id


@pytest.mark.parametrize("option", [{"precision": "int8"}, {"device": "tpu"}, {"device": "xpu"}, {"device": "cuda:99"}])
def test_unavailable_devices_and_precisions_are_errors(option: dict[str, str]) -> None:
    with pytest.raises(OptionError, match=next(iter(option))):
        Scorer(model=Red(), **option)  # type: ignore[arg-type]


def test_the_callers_network_is_not_changed(photos: dict[str, Path]) -> None:
    network = ResMem(pretrained=True)
    engine = PyTorchEngine(network, device="cpu")
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert isinstance(network.features.bn1, torch.nn.BatchNorm2d)
    image = Image.open(photos["coffee.png"])
    batch = pixels(image)[None].copy()
    with torch.inference_mode():
        expected = network.eval()(transformer(image))
    assert engine.forward(batch) == pytest.approx(expected.numpy(), abs=1e-6)  # folded and channels-last


def test_training_mode_is_an_error_on_every_forward() -> None:
    engine = PyTorchEngine(Red(), device="cpu")
    batch = np.zeros((1, 227, 227, 3), np.uint8)
    engine.forward(batch)
    assert isinstance(engine.model, Red)
    engine.model.train()
    with pytest.raises(EvalModeError, match="training mode"):
        engine.forward(batch)


def test_an_out_of_memory_batch_is_halved() -> None:
    scorer = Scorer(device="cpu", model=MemoryLimited(largest=3), batch_size=16)
    scores = scorer.score([flat(value) for value in range(20)])
    assert [score.memorability for score in scores] == pytest.approx([value / 255 for value in range(20)], abs=1e-6)


def test_out_of_memory_on_one_image_is_an_error() -> None:
    with pytest.raises(ScoringError, match="OutOfMemoryError") as caught:
        Scorer(device="cpu", model=MemoryLimited(largest=0)).score([flat(1)])
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


def _batch(photos: dict[str, Path], *names: str) -> npt.NDArray[np.uint8]:
    return np.stack([pixels(Image.open(photos[name])) for name in names])


@pytest.mark.weights
def test_scores_follow_from_embeddings(scorer: Scorer, photos: dict[str, Path]) -> None:
    batch = _batch(photos, "coffee.png", "moon.png", "rocket.jpg")
    embeddings = scorer.engine.embed(batch)
    assert embeddings.shape == (3, 256)
    assert embeddings.dtype == np.float32
    last = ResMem(pretrained=True).fc12
    with torch.inference_mode():
        scores = torch.sigmoid(last(torch.from_numpy(embeddings))).numpy().ravel()
    assert scores == pytest.approx(scorer.engine.forward(batch), abs=1e-6)
    assert scorer.engine.embed(batch[1:2])[0] == pytest.approx(embeddings[1], abs=1e-4)


@pytest.mark.weights
@upstream.quiet
def test_features_are_the_outputs_of_upstreams_resnet(scorer: Scorer, photos: dict[str, Path]) -> None:
    batch = _batch(photos, "coffee.png", "moon.png")
    with torch.inference_mode():
        expected = upstream.model().features(torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255).numpy()
    assert expected.shape == (2, 1000)
    assert scorer.engine.features(batch) == pytest.approx(expected, abs=1e-4)


def test_embeddings_of_a_callers_model() -> None:
    engine = PyTorchEngine(MemoryLimitedWithEmbeddings(largest=3), device="cpu")
    batch = np.random.default_rng(0).integers(0, 256, (8, 227, 227, 3), dtype=np.uint8)
    assert engine.can_embed
    assert engine.embed(batch) == pytest.approx(batch.mean(axis=(1, 2)) / 255, abs=1e-5)
    assert (engine.features(batch) == engine.embed(batch)).all()
    assert isinstance(engine.model, MemoryLimitedWithEmbeddings)
    engine.model.train()
    with pytest.raises(EvalModeError, match="training mode"):
        engine.embed(batch)


def test_embeddings_of_a_model_without_them_are_an_error(red: Scorer) -> None:
    assert not red.engine.can_embed
    with pytest.raises(OptionError, match=r"a Red, has no embeddings: give it a method embed"):
        red.engine.embed(np.zeros((1, 227, 227, 3), np.uint8))


def test_embeddings_of_a_wrong_shape_are_an_error() -> None:
    with pytest.raises(OptionError, match=r"embed returned shape \(2, 3, 227, 227\) for 2 images"):
        PyTorchEngine(WithWrongEmbeddings(), device="cpu").embed(np.zeros((2, 227, 227, 3), np.uint8))


def test_a_function_can_be_the_model() -> None:
    scorer = Scorer(device="cpu", model=lambda x: x[:, 1].amax(dim=(1, 2)))
    assert scorer.score([flat(51)])[0].memorability == pytest.approx(0.2)
    assert scorer.provenance.weights.startswith("function:")


def test_a_model_must_return_one_number_per_image() -> None:
    with pytest.raises(OptionError, match=r"shape \(2, 3\) for 2 images"):
        Scorer(device="cpu", model=lambda x: x.mean(dim=(2, 3))).score([flat(1), flat(2)])
    with pytest.raises(OptionError, match="a list for 1 images"):
        Scorer(device="cpu", model=lambda x: x.tolist()).score([flat(1)])


def test_provenance_differs_between_models() -> None:
    def scorer(bias: float) -> Scorer:
        linear = torch.nn.Linear(1, 1)
        with torch.no_grad():
            linear.weight.fill_(1)
            linear.bias.fill_(bias)
        return Scorer(device="cpu", model=torch.nn.Sequential(Red(), linear))

    assert scorer(0).provenance == scorer(0).provenance
    assert scorer(0).provenance.id != scorer(0.5).provenance.id
    models: list[Model] = [torch.nn.Sequential(Red(), last) for last in (torch.nn.ReLU(), torch.nn.Sigmoid())]
    models += [lambda x: x[:, 0].mean(dim=(1, 2)), lambda x: x[:, 1].mean(dim=(1, 2))]
    assert len({Scorer(device="cpu", model=model).provenance.id for model in models}) == 4


@contextlib.contextmanager
def _matmul_precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.weights
@pytest.mark.parametrize("state", [lambda: torch.autocast("cpu", torch.bfloat16), _matmul_precision])
def test_fp32_ignores_autocast_and_matmul_precision(
    state: Callable[[], AbstractContextManager[None]], scorer: Scorer, paths: list[Path]
) -> None:
    expected = [score.memorability for score in scorer.score(paths)]
    with state():
        settings = torch.get_float32_matmul_precision()
        assert [score.memorability for score in scorer.score(paths)] == pytest.approx(expected, abs=1e-6)
        assert torch.get_float32_matmul_precision() == settings


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_is_an_error_that_names_spawn(red: Scorer) -> None:
    red.score([flat(1)])
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            red.engine.forward(np.zeros((1, 227, 227, 3), np.uint8))
        except BaseException as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as file:
        assert "spawn" in file.read()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none here")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("fp16", 0.02), ("bf16", 0.1)])
def test_cuda_scores_agree_with_the_cpu(precision: str, tolerance: float) -> None:
    network = random_network()
    batch = np.stack(smooth_images(4, 227, 227))
    expected = PyTorchEngine(network, device="cpu").forward(batch)
    assert len(set(expected.round(2))) == 4
    scorer = Scorer(model=network, device="cuda", precision=precision)
    assert isinstance(scorer.engine, CUDAEngine)
    for size in (4, 3, 1, 4):  # a graph is captured at 4 and at 1
        assert scorer.engine.forward(batch[:size]) == pytest.approx(expected[:size], abs=tolerance)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none here")
def test_cuda_submits_batches_asynchronously_for_any_model() -> None:
    batches = [np.full((size, 227, 227, 3), size, np.uint8) for size in (3, 1, 4)]
    for model in (Red(), lambda x: x[:, 0].mean(dim=(1, 2)), MemoryLimited(largest=2)):
        engine = CUDAEngine(model, precision="fp32")
        waiting = [engine.submit(batch) for batch in batches]
        for batch, finish in zip(batches, waiting, strict=True):
            assert finish() == pytest.approx(batch[:, 0, 0, 0] / 255, abs=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none here")
def test_cuda_embeddings_agree_with_the_cpu() -> None:
    network = random_network()
    batch = np.stack(smooth_images(4, 227, 227))
    expected = PyTorchEngine(network, device="cpu").embed(batch)
    found = PyTorchEngine(network, device="cuda", precision="fp32").embed(batch)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)
