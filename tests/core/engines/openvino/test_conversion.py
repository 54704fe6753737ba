"""The network converted for OpenVINO: converted once, shared between processes, converted again when it is damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.engines.openvino import conversion
from resmem_plugin.core.engines.openvino.engine import OpenVINOEngine, shared_core
from resmem_plugin.core.errors import CacheWarning
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.network.weights import find_weights

SCORE = """
import sys
from resmem_plugin import Scorer
(score,) = Scorer().score(sys.argv[1:])
print(score.memorability)
assert "torch" not in sys.modules or {torch}
"""


def _start(photo: Path, *, torch: bool, cache: Path | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **({"RESMEM_CACHE_DIR": str(cache)} if cache else {})}
    command = [sys.executable, "-c", SCORE.replace("{torch}", str(torch)), str(photo)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.weights
def test_a_converted_network_needs_no_torch(scorer: Scorer, photos: dict[str, Path]) -> None:
    photo = photos["rocket.jpg"]
    expected = scorer.score([photo])[0].memorability
    with _start(photo, torch=False) as process:
        assert float(process.communicate()[0]) == expected
    assert process.returncode == 0


@pytest.mark.weights
def test_two_processes_convert_at_once_and_a_damaged_copy_is_converted_again(
    scorer: Scorer, photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skip_conversion: None
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
def test_scores_do_not_need_a_writable_cache_folder(
    scorer: Scorer,
    photos: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    skip_conversion: None,
) -> None:
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(tmp_path / "a file"))
    (tmp_path / "a file").touch()
    with pytest.warns(CacheWarning, match="RESMEM_CACHE_DIR"):
        other = OpenVINOEngine(find_weights(), precision="fp32")
    batch = pixels(Image.open(photos["rocket.jpg"]))[None]
    assert other.forward(batch) == pytest.approx(scorer.engine.forward(batch), abs=1e-6)
