"""int8 by post-training quantisation with NNCF, which keeps in fp32 what costs accuracy and hardly any time.

Measured on photographs outside the calibration set (benchmarks/RESULTS.md): most of the error of a full quantisation
comes from the weights of the ResNet's first convolution and the activations of the regression head, which are 1 % of
the work, and half of the rest from the sums of its blocks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from resmem_plugin.core.engines.openvino.home import usable_home
from resmem_plugin.core.errors import MissingPackageError

_FP32_OPS = frozenset(("AvgPool", "Divide", "MatMul", "Multiply", "Power", "ReduceMean"))
_CHANNELS = 3


@usable_home()
def quantize(model: openvino.Model, images: npt.NDArray[np.uint8]) -> openvino.Model:
    """The network with convolutions in int8, calibrated on uint8 images (N, 227, 227, 3); the rest stays fp32.

    Raises:
        MissingPackageError: if NNCF is not installed.
    """
    nncf = _load_nncf()
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters

    fp32 = nncf.IgnoredScope(names=list(_fp32_nodes(model)), validate=False)
    dataset = nncf.Dataset([{0: image[None]} for image in images])
    with contextlib.redirect_stdout(sys.stderr):  # NNCF prints its progress to stdout
        return nncf.quantize(
            model,
            dataset,
            subset_size=len(images),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=fp32,
            advanced_parameters=AdvancedQuantizationParameters(
                disable_bias_correction=True, disable_channel_alignment=True
            ),
        )


def _fp32_nodes(model: openvino.Model) -> Iterator[str]:
    """The names of the nodes that stay in fp32: the first convolutions, sums, normalisation, pooling, the head."""
    for operation in model.get_ordered_ops():
        kind = operation.get_type_name()
        is_first = kind == "Convolution" and operation.input(1).get_shape()[1] == _CHANNELS
        if kind in _FP32_OPS or is_first or (kind == "Add" and not _adds_bias(operation)):
            yield operation.friendly_name


def _adds_bias(addition: Any) -> bool:
    """Whether it adds a bias to a convolution, and so is part of it."""
    return any(
        value.get_node().get_type_name() in ("Convolution", "GroupConvolution") for value in addition.input_values()
    )


def _load_nncf() -> Any:
    loggers = logging.getLoggerClass()  # NNCF replaces it
    before = os.environ.get("NNCF_CI")
    os.environ["NNCF_CI"] = "true"  # disables its telemetry
    try:
        import nncf
    except ModuleNotFoundError as error:
        if error.name != "nncf":
            raise
        raise MissingPackageError(
            'precision="int8" is calibrated with NNCF, once: pip install "resmem-plugin[int8]"'
        ) from error
    finally:
        logging.setLoggerClass(loggers)
        if before is None:
            del os.environ["NNCF_CI"]
        else:
            os.environ["NNCF_CI"] = before
    # Not nncf.set_log_level, which would also set the level of other handlers.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf
