"""Estimates how fast OpenVINO will score on this CPU, by timing one large matrix product."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import openvino

from resmem_plugin.core.engines.base import FLOPS_PER_IMAGE
from resmem_plugin.core.engines.openvino.engine import shared_core

_CHANNELS, _SIDE, _BATCH = 1024, 28, 8
_TYPES = {"fp32": openvino.Type.f32, "bf16": openvino.Type.bf16, "int8": openvino.Type.f32}


@functools.cache
def expected_images_per_s(precision: str) -> float:
    """Estimate images per second with OpenVINO on this CPU, which comes near its peak throughput.

    Takes about a third of a second, once per process.
    """
    return peak_throughput(precision, times=2)()


def peak_throughput(precision: str, times: int = 20) -> Callable[[], float]:
    """A function that times a 1x1 convolution, and returns its peak throughput in images of ResMem per second."""
    x = openvino.opset13.parameter([_BATCH, _CHANNELS, _SIDE, _SIDE], np.float32)
    weights = np.random.default_rng(0).standard_normal((_CHANNELS, _CHANNELS, 1, 1), dtype=np.float32)
    sides: tuple[Any, Any] = (x, openvino.opset13.constant(weights))
    if precision == "int8":
        sides = _quantized(sides[0], 0, 256), _quantized(sides[1], -1, 255)
    product = openvino.opset13.convolution(*sides, [1, 1], [0, 0], [0, 0], [1, 1])
    options = {
        openvino.properties.hint.inference_precision: _TYPES[precision],
        openvino.properties.hint.performance_mode: openvino.properties.hint.PerformanceMode.LATENCY,
    }
    model = openvino.Model([product], [x])
    request = shared_core().compile_model(model, "CPU", options).create_infer_request()
    images = {0: np.ones((_BATCH, _CHANNELS, _SIDE, _SIDE), np.float32)}

    def measure() -> float:
        times_s = []
        for _ in range(times):
            start_s = time.perf_counter()
            request.infer(images, share_inputs=True, share_outputs=True)
            times_s.append(time.perf_counter() - start_s)
        operations = 2 * _BATCH * _SIDE**2 * _CHANNELS**2
        return operations / min(times_s) / FLOPS_PER_IMAGE

    return measure


def _quantized(values: Any, low: float, levels: int) -> Any:
    """Values from `low` to 1 in steps, which OpenVINO computes in int8."""
    return openvino.opset13.fake_quantize(values, *(np.float32(bound) for bound in (low, 1, low, 1)), levels)
