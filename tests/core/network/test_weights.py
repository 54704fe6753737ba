from __future__ import annotations

import logging
import stat
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from resmem_plugin import ResMem, Scorer
from resmem_plugin.core.errors import CacheWarning, WeightsCorruptError, WeightsNotFoundError
from resmem_plugin.core.network import pretrained, weights

pytestmark = pytest.mark.weights


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def installed() -> Path:
    return weights.find_weights().path


def test_weights_are_found_without_importing_resmem() -> None:
    sys.modules.pop("resmem", None)
    assert weights.find_weights().path.name == "model.pt"
    assert "resmem" not in sys.modules


def test_resmem_weights_variable_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESMEM_WEIGHTS", str(tmp_path / "none.pt"))
    with pytest.raises(WeightsNotFoundError, match=r"none\.pt.*RESMEM_WEIGHTS.*pip install"):
        Scorer(device="cpu")


def test_weights_that_are_not_installed_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(WeightsNotFoundError, match=r'pip install "resmem-plugin\[weights\]".*Non-commercial'):
        weights.find_weights()


def test_a_git_lfs_pointer_is_an_error(tmp_path: Path) -> None:
    pointer = tmp_path / "model.pt"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:8e4b8ab0\nsize 527697574\n")
    with pytest.raises(WeightsCorruptError, match=r"git-lfs pointer.*git lfs pull"):
        Scorer(device="cpu", weights=pointer)


def test_truncated_weights_are_an_error(installed: Path, tmp_path: Path) -> None:
    cut = tmp_path / "model.pt"
    with installed.open("rb") as file:
        cut.write_bytes(file.read(1 << 20))
    with pytest.raises(WeightsCorruptError, match=r"1,048,576 bytes.*truncated.*--force-reinstall"):
        Scorer(device="cpu", weights=cut)


def test_a_custom_weights_file_needs_its_sha256(tmp_path: Path, skip_conversion: None, own_cache: Path) -> None:
    path = tmp_path / "mine.safetensors"
    mine = ResMem(pretrained=True)
    with torch.no_grad():
        mine.fc12.bias.zero_()
    safetensors.torch.save_file(mine.state_dict(), path)
    with pytest.raises(WeightsCorruptError, match=r"mine\.safetensors#sha256=[0-9a-f]{64}") as caught:
        Scorer(device="cpu", weights=path)
    named = str(caught.value).partition("weights='")[2].rstrip("'")
    assert Scorer(device="cpu", weights=named).provenance.weights == named.rpartition("=")[2]


def test_the_weights_of_another_network_are_an_error(tmp_path: Path, own_cache: Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"fc.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsCorruptError) as caught:
        weights.verify(weights.WeightsFile(path=path))
    digest = str(caught.value).rpartition("=")[2].rstrip("'")
    with pytest.raises(WeightsCorruptError, match=r"does not hold ResMem's state dict: 957 entries"):
        Scorer(device="cpu", weights=f"{path}#sha256={digest}")
    assert not own_cache.exists()


def test_weights_are_converted_once_and_a_damaged_copy_is_converted_again(
    own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = weights.find_weights()
    with caplog.at_level(logging.WARNING):
        state = pretrained.load_weights(found)
    assert "Non-commercial" in caplog.text  # the licence, once
    assert [path.name for path in own_cache.iterdir()] == [found.cached.name]
    assert stat.S_IMODE(own_cache.stat().st_mode) == 0o700
    made = found.cached.stat().st_mtime_ns
    caplog.clear()
    state["fc12.bias"].add_(1)  # a private map: the file does not change
    again = pretrained.load_weights(found)
    assert found.cached.stat().st_mtime_ns == made
    assert caplog.text == ""
    assert not torch.equal(again["fc12.bias"], state["fc12.bias"])
    with found.cached.open("rb") as file:
        start = file.read(1000)
    found.cached.unlink()  # not truncated in place: it is mapped
    found.cached.write_bytes(start)
    assert torch.equal(pretrained.load_weights(found)["fc12.bias"], again["fc12.bias"])
    assert found.cached.stat().st_size > 1000


def test_a_cached_file_of_other_weights_is_replaced(own_cache: Path) -> None:
    found = weights.find_weights()
    own_cache.mkdir()
    safetensors.torch.save_file({"fc.weight": torch.zeros(1)}, found.cached)
    assert len(pretrained.load_weights(found)) == 956


def test_weights_load_without_a_writable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(in_the_way / "cache"))
    with pytest.warns(CacheWarning, match=r"every start will be slower.*RESMEM_CACHE_DIR"):
        state = pretrained.load_weights(weights.find_weights())
    assert len(state) == 956
