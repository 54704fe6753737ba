"""The OpenVINO engine: its scores, embeddings and precisions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.engines.openvino.engine import OpenVINOEngine, has_bf16
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.network.weights import find_weights

Batch: TypeAlias = "npt.NDArray[np.uint8]"
Scores: TypeAlias = "npt.NDArray[np.float32]"

TWO_ENGINES = """
import os, signal
from resmem_plugin.core.engines.openvino.engine import OpenVINOEngine
from resmem_plugin.core.network.weights import find_weights

signal.signal(signal.SIGCHLD, lambda *_: None)
first, second = (OpenVINOEngine(find_weights(), precision="fp32") for _ in range(2))
del first
del second
for _ in range(500):
    heap = [str(number) for number in range(2000)]
    os.kill(os.getpid(), signal.SIGCHLD)
"""


@pytest.fixture(scope="module")
def engine(cache_folder: Path) -> OpenVINOEngine:
    return OpenVINOEngine(find_weights(), precision="fp32")


@pytest.fixture(scope="module")
def batch(photos: dict[str, Path]) -> Batch:
    return np.stack([pixels(Image.open(path)) for path in photos.values()])


@pytest.fixture(scope="module")
def scores(engine: OpenVINOEngine, batch: Batch) -> Scores:
    return engine.forward(batch)


@pytest.mark.weights
def test_openvino_is_the_default_engine_on_a_cpu(scorer: Scorer) -> None:
    assert isinstance(scorer.engine, OpenVINOEngine)
    assert (scorer.provenance.engine, scorer.provenance.precision) == ("openvino", "fp32")


@pytest.mark.weights
def test_scores_and_embeddings_agree_with_pytorch(engine: OpenVINOEngine, batch: Batch, scores: Scores) -> None:
    torch_engine = Scorer(device="cpu", engine="pytorch").engine
    assert torch_engine.name == "pytorch"
    assert scores == pytest.approx(torch_engine.forward(batch), abs=1e-6)
    expected = torch_engine.embed(batch[:4])
    embeddings = engine.embed(batch[:4])
    assert embeddings.shape == (4, 256)
    assert embeddings.dtype == np.float32
    assert np.abs(embeddings - expected).max() < 1e-5 * np.abs(expected).max()
    features = engine.features(batch[:4])
    assert features.shape == (4, 1000)
    assert np.abs(features - torch_engine.features(batch[:4])).max() < 1e-5 * np.abs(features).max()


@pytest.mark.weights
def test_scores_do_not_depend_on_batch_size_and_memory_layout(
    engine: OpenVINOEngine, batch: Batch, scores: Scores
) -> None:
    kept = scores.copy()
    alone = np.concatenate([engine.forward(batch[number : number + 1]) for number in range(3)])
    assert alone == pytest.approx(scores[:3], abs=1e-6)
    assert engine.forward(np.asfortranarray(batch[:3])) == pytest.approx(scores[:3], abs=1e-6)
    assert (scores == kept).all()  # a later forward pass does not overwrite a result


@pytest.mark.weights
def test_signals_after_engines_are_deleted_do_not_crash() -> None:
    subprocess.run([sys.executable, "-c", TWO_ENGINES], check=True)


@pytest.mark.weights
@pytest.mark.skipif(not has_bf16(), reason="this processor has no bfloat16")
def test_bf16_ranks_photographs_as_fp32_does(engine: OpenVINOEngine, batch: Batch, scores: Scores) -> None:
    quick = Scorer(device="cpu", precision="bf16")
    assert (quick.provenance.engine, quick.provenance.precision) == ("openvino", "bf16")
    turned = np.concatenate([batch[:, ::-1], batch[:, :, ::-1], np.swapaxes(batch, 1, 2)])
    exact = np.concatenate([scores, engine.forward(turned)])
    half = quick.engine.forward(np.concatenate([batch, turned]))
    assert np.abs(half - exact).max() < 0.015
    ranks = np.argsort(np.argsort([exact, half]))
    assert np.corrcoef(ranks).min() >= 0.995
