"""Loads the engine that was chosen; callers that need the same network share one copy of it."""

from __future__ import annotations

import copy
import pickle
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from resmem_plugin.core.engines.calibration import Calibration, calibration_id
from resmem_plugin.core.engines.resolve import Choice
from resmem_plugin.core.engines.temporary import temporary_folder_named
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.network.weights import WeightsFile

if TYPE_CHECKING:
    from resmem_plugin.core.engines.base import Engine
    from resmem_plugin.core.engines.pytorch.engine import Model, PyTorchEngine

_MAX_CACHED = 2

_loading = threading.Lock()
_loaded: OrderedDict[tuple[WeightsFile, Choice, str | None], Engine] = OrderedDict()


def load_engine(weights: WeightsFile, choice: Choice, calibration: Calibration | None = None) -> Engine:
    """Load the network with these weights; int8 is calibrated on images, or loaded from the cache by its id.

    Raises:
        WeightsError: if the weights are damaged.
        OptionError: if the cache has no calibration of that id.
        MissingPackageError: for a new calibration without NNCF.
    """
    key = weights, choice, None if calibration is None else calibration_id(calibration)
    with _loading:  # otherwise two threads would load the same network twice
        if key not in _loaded:
            _loaded[key] = _load(weights, choice, calibration)
        _loaded.move_to_end(key)
        while len(_loaded) > _MAX_CACHED:
            _loaded.popitem(last=False)
        return _loaded[key]


def engine_for_model(model: Model, choice: Choice, weights_id: str | None = None) -> PyTorchEngine:
    """The engine for a caller's own network; with `weights_id` if another process has computed that."""
    return _pytorch(model, choice, weights=weights_id)


def picklable_model(model: Model) -> Model:
    """A copy of a model that another process can load: on the CPU.

    Raises:
        OptionError: if it cannot be pickled, as a lambda or a local class cannot.
    """
    copied = copy.deepcopy(model).to("cpu") if hasattr(model, "to") else model
    try:
        pickle.Pickler(_Discard()).dump(copied)
    except Exception as error:  # PicklingError, AttributeError, or what the model raises
        raise OptionError(
            f"the model cannot be pickled ({error}): define its functions and classes at the top level of a module"
        ) from error
    return copied


class _Discard:
    """A file that keeps nothing."""

    def write(self, data: Any) -> int:
        """Accept and drop the data."""
        return len(data)


def expected_images_per_s(choice: Choice) -> float | None:
    """Estimate images per second on this CPU, from a short measurement; None on a GPU."""
    if choice.device != "cpu":
        return None
    if choice.engine == "openvino":
        from resmem_plugin.core.engines.openvino import throughput

        return throughput.expected_images_per_s(choice.precision)
    from resmem_plugin.core.engines.pytorch import throughput as pytorch_throughput

    return pytorch_throughput.expected_images_per_s(choice.precision)


@temporary_folder_named()
def _load(weights: WeightsFile, choice: Choice, calibration: Calibration | None) -> Engine:
    if choice.engine == "openvino":
        from resmem_plugin.core.engines.openvino.engine import OpenVINOEngine

        return OpenVINOEngine(weights, precision=choice.precision, calibration=calibration)
    from resmem_plugin.core.network.pretrained import load_resmem

    return _pytorch(load_resmem(weights), choice, weights=weights.sha256, own=True)


def _pytorch(model: Model, choice: Choice, **options: Any) -> PyTorchEngine:
    from resmem_plugin.core.engines.pytorch.cuda import CUDAEngine
    from resmem_plugin.core.engines.pytorch.engine import PyTorchEngine

    kind = CUDAEngine if choice.device.startswith("cuda") else PyTorchEngine
    return kind(model, device=choice.device, precision=choice.precision, **options)
