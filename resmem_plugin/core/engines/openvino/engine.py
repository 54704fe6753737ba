"""OpenVINO on a CPU: the fastest engine there, and without torch once the network has been converted."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import openvino

from resmem_plugin.core.engines.base import check_not_forked
from resmem_plugin.core.engines.calibration import Calibration, calibration_id
from resmem_plugin.core.engines.openvino.conversion import load_converted, load_quantized
from resmem_plugin.core.network.weights import WeightsFile

_INFERENCE_TYPES = {"fp32": openvino.Type.f32, "bf16": openvino.Type.bf16, "int8": openvino.Type.f32}
"""The type of all operations that are not int8: fp32 with int8, so that scores are equal on every processor."""

_SCORES, _EMBEDDINGS, _FEATURES = 0, 1, 2


class OpenVINOEngine:
    """Runs ResMem with OpenVINO, on all cores of the CPU.

    Args:
        weights: the weights file.
        precision: "fp32", "int8", or "bf16" where `has_bf16()`.
        calibration: for int8, the images to calibrate on, or the id of a calibration in the cache folder.

    Raises:
        OptionError: for int8 without a calibration, or with an id that the cache folder does not have.
        MissingPackageError: for a new calibration without NNCF.
        WeightsError: if the weights are damaged.
    """

    name = "openvino"
    device_type = "cpu"
    batch_size = 8  # larger batches are not faster, only slower to interrupt
    can_embed = True
    lookahead = 0
    decode_jpegs = None

    def __init__(self, weights: WeightsFile, *, precision: str, calibration: Calibration | None = None) -> None:
        self.precision = precision
        self.weights = weights.sha256
        self.calibration = None if calibration is None else calibration_id(calibration)
        core = shared_core()
        network = load_converted(core, weights) if calibration is None else load_quantized(core, weights, calibration)
        options = {
            openvino.properties.hint.inference_precision: _INFERENCE_TYPES[precision],
            openvino.properties.hint.performance_mode: openvino.properties.hint.PerformanceMode.LATENCY,
        }
        self._request = core.compile_model(network, "CPU", options).create_infer_request()
        self._lock = threading.Lock()
        self._process = os.getpid()

    def forward(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB images (B, 227, 227, 3) -> memorability (B,).

        Raises:
            ForkError: in a process forked from the one that loaded the network.
        """
        return self._run(batch, _SCORES)

    def submit(self, batch: npt.NDArray[np.uint8]) -> Callable[[], npt.NDArray[np.float32]]:
        """A function that runs `forward` on the batch."""
        return functools.partial(self.forward, batch)

    def embed(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB images (B, 227, 227, 3) -> activations of the head's last hidden layer (B, 256).

        Raises:
            ForkError: in a process forked from the one that loaded the network.
        """
        return self._run(batch, _EMBEDDINGS)

    def features(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB images (B, 227, 227, 3) -> the ResNet's outputs (B, 1000).

        Raises:
            ForkError: in a process forked from the one that loaded the network.
        """
        return self._run(batch, _FEATURES)

    def _run(self, batch: npt.NDArray[np.uint8], output: int) -> npt.NDArray[np.float32]:
        check_not_forked(self._process)
        with self._lock:  # one request uses all cores
            self._request.infer({0: np.ascontiguousarray(batch)}, share_inputs=True)
            result: npt.NDArray[np.float32] = self._request.get_output_tensor(output).data.copy()
        return result


@functools.cache
def shared_core() -> openvino.Core:
    """The process's one Core, which is never freed.

    Each Core of OpenVINO 2026 replaces its thread's signal stack, and restores the previous one when it is freed. If
    two are freed in the order of their creation, the second restores a freed stack, and the next signal corrupts it.
    """
    return openvino.Core()


def has_bf16() -> bool:
    """Whether this processor computes in bfloat16, with AVX-512 BF16 or AMX; others are faster in fp32."""
    return "BF16" in shared_core().get_property("CPU", openvino.properties.device.capabilities)
