"""Builds the engine that was chosen; those who ask for the same network share one copy of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from resmem_plugin.core.calibration import Calibration, calibration_id
from resmem_plugin.core.engines.choice import Choice
from resmem_plugin.core.weights import WeightsFile

if TYPE_CHECKING:
    from resmem_plugin.core.engines.base import Engine
    from resmem_plugin.core.engines.pytorch import Model

_SHARED = 2

_loading = threading.Lock()
_loaded: OrderedDict[tuple[WeightsFile, Choice, str | None], Engine] = OrderedDict()


def load_engine(weights: WeightsFile, choice: Choice, calibration: Calibration | None = None) -> Engine:
    """The network with these weights; int8 calibrated on images, or as it was kept under an id.

    Raises:
        WeightsError: if the weights are not what they should be.
        OptionError: if no calibration is kept under the id.
        MissingPackageError: for a new calibration without NNCF.
    """
    key = weights, choice, None if calibration is None else calibration_id(calibration)
    with _loading:  # else two threads would load the same network twice
        if key not in _loaded:
            _loaded[key] = _load(weights, choice, calibration)
        _loaded.move_to_end(key)
        while len(_loaded) > _SHARED:
            _loaded.popitem(last=False)
        return _loaded[key]


def callers_engine(model: Model, choice: Choice) -> Engine:
    """What runs a network of the caller's."""
    return _pytorch(model, choice)


def expected_images_per_s(choice: Choice) -> float | None:
    """About how many images a second it will score on this CPU, from a measurement of a moment; None on a GPU."""
    if choice.device != "cpu":
        return None
    if choice.engine == "openvino":
        from resmem_plugin.core.engines import limit

        return limit.expected_images_per_s(choice.precision)
    from resmem_plugin.core.engines import pytorch

    return pytorch.expected_images_per_s(choice.precision)


def _load(weights: WeightsFile, choice: Choice, calibration: Calibration | None) -> Engine:
    if choice.engine == "openvino":
        from resmem_plugin.core.engines.openvino import OpenVINOEngine

        return OpenVINOEngine(weights, precision=choice.precision, calibration=calibration)
    from resmem_plugin.core.pretrained import load_resmem

    return _pytorch(load_resmem(weights), choice, weights=weights.sha256, own=True)


def _pytorch(model: Model, choice: Choice, **options: Any) -> Engine:
    from resmem_plugin.core.engines.cuda import CUDAEngine
    from resmem_plugin.core.engines.pytorch import PyTorchEngine

    kind = CUDAEngine if choice.device.startswith("cuda") else PyTorchEngine
    return kind(model, device=choice.device, precision=choice.precision, **options)
