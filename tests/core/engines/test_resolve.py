"""Which engine, device and precision are chosen, and the errors for those that are not available."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.engines import resolve
from resmem_plugin.core.engines.resolve import Choice, choose
from resmem_plugin.core.errors import EngineWarning, MissingPackageError, OptionError
from tests.models import Red


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "_is_cpu", lambda device: device in ("auto", "cpu"))


@pytest.mark.usefixtures("no_gpu")
def test_what_auto_resolves_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose() == choose(device="cpu") == Choice("openvino", "cpu", "fp32")
    assert choose(engine="pytorch", device="cpu") == Choice("pytorch", "cpu", "fp32")
    assert choose(device="cpu", precision="fp16") == Choice("pytorch", "cpu", "fp16")
    monkeypatch.setattr(resolve, "_has_bf16", lambda: True)
    assert choose(device="cpu", precision="bf16") == Choice("openvino", "cpu", "bf16")
    monkeypatch.setattr(resolve, "_has_bf16", lambda: False)
    monkeypatch.setattr(resolve, "_emulates_bf16", lambda: False)
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
def test_unavailable_engines_and_precisions_are_errors(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Scorer(**options)  # type: ignore[arg-type]


def test_bf16_without_processor_support_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "_has_bf16", lambda: False)
    with pytest.raises(OptionError, match=r"no bfloat16.*precision='fp32'"):
        Scorer(engine="openvino", precision="bf16")


def test_missing_openvino_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=r'pip install "resmem-plugin\[openvino\]"'):
        choose("openvino")


@pytest.mark.usefixtures("no_gpu")
def test_openvino_that_cannot_be_imported_gives_way_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "_import_fault", lambda: "OpenVINO cannot be imported (RuntimeError: no home)")
    with pytest.warns(EngineWarning, match="no home.*PyTorch is used instead"):
        assert choose(device="cpu") == Choice("pytorch", "cpu", "fp32")
    for named in ({"engine": "openvino"}, {"device": "cpu", "precision": "int8"}):
        with pytest.raises(OptionError, match="cannot be imported"):
            choose(**named)


def test_import_fault_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve._import_fault() is None
    monkeypatch.setitem(sys.modules, "resmem_plugin.core.engines.openvino", None)
    assert re.search(r"cannot be imported .*reinstall.*engine='pytorch'", resolve._import_fault() or "")


def test_emulated_bf16_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "_emulates_bf16", lambda: True)
    with pytest.warns(EngineWarning, match=r"several times slower than precision='fp32'"):
        choose("pytorch", "cpu", "bf16")
    choose("pytorch", "cpu", "fp32")


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux says")
def test_bf16_is_found_as_openvino_finds_it() -> None:
    assert resolve._emulates_bf16() == (not resolve._has_bf16())
