from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.engines import resolve
from resmem_plugin.core.engines.openvino import conversion
from resmem_plugin.core.engines.openvino.engine import OpenVINOEngine, has_bf16, shared_core
from resmem_plugin.core.engines.resolve import Choice, choose
from resmem_plugin.core.errors import CacheWarning, MissingPackageError, OptionError
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.network.weights import find_weights
from tests.models import Red

Batch: TypeAlias = "npt.NDArray[np.uint8]"

SCORE = """
import sys
from resmem_plugin import Scorer
(score,) = Scorer().score(sys.argv[1:])
print(score.memorability)
assert "torch" not in sys.modules or {torch}
"""

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
def engine() -> OpenVINOEngine:
    return OpenVINOEngine(find_weights(), precision="fp32")


@pytest.fixture(scope="module")
def batch(photos: dict[str, Path]) -> Batch:
    return np.stack([pixels(Image.open(path)) for path in photos.values()])


def _start(photo: Path, *, torch: bool, cache: Path | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **({"RESMEM_CACHE_DIR": str(cache)} if cache else {})}
    command = [sys.executable, "-c", SCORE.replace("{torch}", str(torch)), str(photo)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.weights
def test_it_is_what_scores_on_a_cpu(scorer: Scorer) -> None:
    assert isinstance(scorer.engine, OpenVINOEngine)
    assert (scorer.provenance.engine, scorer.provenance.precision) == ("openvino", "fp32")


@pytest.mark.weights
def test_scores_and_embeddings_are_pytorchs(engine: OpenVINOEngine, batch: Batch) -> None:
    torch_engine = Scorer(device="cpu", engine="pytorch").engine
    assert torch_engine.name == "pytorch"
    assert engine.forward(batch) == pytest.approx(torch_engine.forward(batch), abs=1e-6)
    expected = torch_engine.embed(batch[:4])
    embeddings = engine.embed(batch[:4])
    assert embeddings.shape == (4, 256)
    assert embeddings.dtype == np.float32
    assert np.abs(embeddings - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.weights
def test_any_batch_and_memory_layout(engine: OpenVINOEngine, batch: Batch) -> None:
    expected = engine.forward(batch)
    assert np.concatenate([engine.forward(batch[number : number + 1]) for number in range(3)]) == pytest.approx(
        expected[:3], abs=1e-6
    )
    assert engine.forward(np.asfortranarray(batch[:3])) == pytest.approx(expected[:3], abs=1e-6)
    kept = expected.copy()
    engine.forward(batch[:1])
    assert (expected == kept).all()  # the caller's result is the caller's


@pytest.mark.weights
def test_once_converted_it_needs_no_torch(scorer: Scorer, photos: dict[str, Path]) -> None:
    photo = photos["rocket.jpg"]
    expected = scorer.score([photo])[0].memorability
    with _start(photo, torch=False) as process:
        assert float(process.communicate()[0]) == expected
    assert process.returncode == 0


@pytest.mark.weights
def test_two_processes_convert_at_once_and_what_is_damaged_is_made_again(
    scorer: Scorer, photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, cache = photos["rocket.jpg"], tmp_path / "cache"
    expected = scorer.score([photo])[0].memorability
    for process in [_start(photo, torch=True, cache=cache) for _ in range(2)]:
        with process:
            assert float(process.communicate()[0]) == expected
        assert process.returncode == 0
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(cache))
    core, weights = shared_core(), find_weights()
    folder = conversion.converted_folder(weights)
    assert list(cache.iterdir()) == [folder]  # nothing unfinished, and no second copy of the weights
    assert conversion._read(core, folder) is not None

    constants = folder / "resmem.bin"
    os.truncate(constants, constants.stat().st_size - 1)
    assert conversion._read(core, folder) is None
    (folder / "resmem.xml").write_text("<net")
    again = OpenVINOEngine(weights, precision="fp32")
    assert again.forward(pixels(Image.open(photo))[None]) == pytest.approx([expected], abs=1e-6)
    assert conversion._read(core, folder) is not None
    assert list(cache.iterdir()) == [folder]
    (folder / "manifest.json").write_text(json.dumps({}))
    assert conversion._read(core, folder) is None


@pytest.mark.weights
def test_a_cache_that_cannot_be_written_costs_no_score(
    engine: OpenVINOEngine,
    batch: Batch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(tmp_path / "a file"))
    (tmp_path / "a file").touch()
    with pytest.warns(CacheWarning, match="RESMEM_CACHE_DIR"):
        other = OpenVINOEngine(find_weights(), precision="fp32")
    assert other.forward(batch[:1]) == pytest.approx(engine.forward(batch[:1]), abs=1e-6)


@pytest.mark.weights
def test_engines_come_and_go_and_signals_do_no_harm() -> None:
    subprocess.run([sys.executable, "-c", TWO_ENGINES], check=True)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "_is_cpu", lambda device: device in ("auto", "cpu"))


@pytest.mark.usefixtures("no_gpu")
def test_what_auto_comes_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose() == choose(device="cpu") == Choice("openvino", "cpu", "fp32")
    assert choose(engine="pytorch", device="cpu") == Choice("pytorch", "cpu", "fp32")
    assert choose(device="cpu", precision="fp16") == Choice("pytorch", "cpu", "fp16")
    monkeypatch.setattr(resolve, "_has_bf16", lambda: True)
    assert choose(device="cpu", precision="bf16") == Choice("openvino", "cpu", "bf16")
    monkeypatch.setattr(resolve, "_has_bf16", lambda: False)
    assert choose(device="cpu", precision="bf16") == Choice("pytorch", "cpu", "bf16")
    monkeypatch.setattr(resolve, "_is_installed", lambda: False)
    assert choose(device="cpu") == Choice("pytorch", "cpu", "fp32")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "onnx"}, "engine must be auto, pytorch or openvino, not 'onnx'"),
        ({"engine": "openvino", "device": "cuda"}, "runs on the CPU.*engine='pytorch'"),
        ({"engine": "openvino", "precision": "fp16"}, "precision must be auto, fp32, bf16 or int8 .* not 'fp16'"),
        ({"engine": "openvino", "model": Red()}, "model of your own runs with PyTorch"),
        ({"engine": "nothing", "model": Red()}, "leave engine='nothing' out"),
    ],
)
def test_what_cannot_be_had_is_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Scorer(**options)  # type: ignore[arg-type]


def test_a_processor_without_bfloat16_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "_has_bf16", lambda: False)
    with pytest.raises(OptionError, match=r"no bfloat16.*precision='fp32'"):
        Scorer(engine="openvino", precision="bf16")


def test_it_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=r'pip install "resmem-plugin\[openvino\]"'):
        choose("openvino")


@pytest.mark.weights
@pytest.mark.skipif(not has_bf16(), reason="this processor has no bfloat16")
def test_bf16_ranks_photographs_as_fp32_does(engine: OpenVINOEngine, batch: Batch) -> None:
    quick = Scorer(device="cpu", precision="bf16")
    assert (quick.provenance.engine, quick.provenance.precision) == ("openvino", "bf16")
    crops = np.concatenate([batch, batch[:, ::-1], batch[:, :, ::-1], np.swapaxes(batch, 1, 2)])
    exact, half = engine.forward(crops), quick.engine.forward(np.ascontiguousarray(crops))
    assert np.abs(half - exact).max() < 0.015
    ranks = np.argsort(np.argsort([exact, half]))
    assert np.corrcoef(ranks).min() >= 0.995
