"""Chooses engine, device and precision before any engine is imported, without torch where there can be no GPU."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import sys
from typing import NamedTuple

from resmem_plugin.core.engines.temporary import temporary_folder_named
from resmem_plugin.core.errors import EngineWarning, MissingPackageError, OptionError, warn

ENGINES = ("auto", "pytorch", "openvino")
DEVICES = ("auto", "cpu", "cuda", "mps")
"""As a form lists them; "cuda:N" is another."""
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")

_OPENVINO_PRECISIONS = tuple(name for name in PRECISIONS if name != "fp16")
_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", r"C:\Windows\System32\nvcuda.dll")
"""One of these exists wherever torch could find a GPU on Linux, in WSL, with ROCm or on Windows."""


class Choice(NamedTuple):
    """Engine, device and precision, with no "auto" left.

    Attributes:
        engine: "pytorch" or "openvino".
        device: "cpu", "cuda", "cuda:N" or "mps".
        precision: "fp32", "bf16", "fp16" or "int8".
    """

    engine: str
    device: str
    precision: str


@temporary_folder_named()
def choose(engine: str = "auto", device: str = "auto", precision: str = "auto") -> Choice:
    """Resolve "auto": OpenVINO on a CPU if it is installed and has the precision, else PyTorch.

    Raises:
        MissingPackageError: for OpenVINO if it is not installed.
        OptionError: for a value that does not exist, or is not available on this machine.
    """
    if engine not in ENGINES:
        raise OptionError(f"engine must be {', '.join(ENGINES[:-1])} or {ENGINES[-1]}, not {engine!r}")
    if engine == "openvino":
        return _openvino(device, precision)
    may_use_openvino = engine == "auto" and _is_installed() and precision in _OPENVINO_PRECISIONS and _is_cpu(device)
    fault = _import_fault() if may_use_openvino else None
    if may_use_openvino and fault is None and (precision != "bf16" or _has_bf16()):
        return _openvino(device, precision)
    if fault is not None:
        if precision == "int8":
            raise OptionError(fault)
        warn(f"{fault}. PyTorch is used instead", EngineWarning)
    if precision == "int8":
        raise OptionError(
            "precision='int8' is for the published network, on a CPU, with OpenVINO: leave model and engine out, use "
            "device='cpu', and pip install 'resmem-plugin[int8]'"
        )
    from resmem_plugin.core.engines.pytorch.engine import resolve

    choice = Choice("pytorch", *resolve(device, precision))
    if (choice.device, choice.precision) == ("cpu", "bf16") and _emulates_bf16():
        warn(
            "this processor has no bfloat16: precision='bf16' is emulated, several times slower than precision='fp32'",
            EngineWarning,
        )
    return choice


def _openvino(device: str, precision: str) -> Choice:
    if not _is_installed():
        raise MissingPackageError('engine="openvino" needs OpenVINO: pip install "resmem-plugin[openvino]"')
    if device not in ("auto", "cpu"):
        raise OptionError(f"the openvino engine runs on the CPU, not on device={device!r}: use engine='pytorch' there")
    if precision not in _OPENVINO_PRECISIONS:
        raise OptionError(
            f"precision must be {', '.join(_OPENVINO_PRECISIONS[:-1])} or int8 with the openvino engine, not "
            f"{precision!r}"
        )
    fault = _import_fault()
    if fault is not None:
        raise OptionError(fault)
    if precision == "bf16" and not _has_bf16():
        raise OptionError(
            "this processor has no bfloat16 (AVX-512 BF16 or AMX on x86): use precision='fp32', which is faster here, "
            "or engine='pytorch', which emulates it slowly"
        )
    return Choice("openvino", "cpu", "fp32" if precision == "auto" else precision)


def _is_installed() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _import_fault() -> str | None:
    """Why OpenVINO, which is installed, cannot be imported, and the cure; None if it can."""
    try:
        importlib.import_module("resmem_plugin.core.engines.openvino")
    except Exception as error:  # a missing library or instruction, or whatever its telemetry raises
        return (
            f"OpenVINO cannot be imported ({type(error).__name__}: {error}): reinstall it with pip install "
            "--force-reinstall openvino, or use engine='pytorch'"
        )
    return None


def _emulates_bf16() -> bool:
    """Whether this processor is known to lack bfloat16; only Linux says."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return not {"avx512_bf16", "amx_bf16", "bf16"} & set(file.read().split())
    except OSError:
        return False


def _has_bf16() -> bool:
    from resmem_plugin.core.engines.openvino.engine import has_bf16

    return has_bf16()


def _is_cpu(device: str) -> bool:
    """Whether that device is the CPU; torch is imported only if it is loaded already, or there may be a GPU."""
    if device != "auto":
        return device == "cpu"
    is_mac = (platform.system(), platform.machine()) == ("Darwin", "arm64")
    if "torch" not in sys.modules and not is_mac and not any(map(os.path.exists, _GPU_DRIVERS)):
        return True
    from resmem_plugin.core.engines.pytorch.engine import resolve

    return resolve("auto", "auto")[0] == "cpu"
