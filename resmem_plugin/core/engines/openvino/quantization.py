"""int8 by post-training quantisation with NNCF, which keeps wide what costs accuracy and hardly any time.

Measured on photographs that did not calibrate (benchmarks/RESULTS.md): most of the error that quantising everything
makes comes from the weights of the ResNet's first convolution and the activations of the regression head, which are 1 %
of the work, and half of what is then left from the sums of its blocks.
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

from resmem_plugin.core.errors import MissingPackageError

_FP32_OPS = frozenset(("AvgPool", "Divide", "MatMul", "Multiply", "Power", "ReduceMean"))
_COLOURS = 3


def quantize(model: openvino.Model, images: npt.NDArray[np.uint8]) -> openvino.Model:
    """The network with convolutions in int8, calibrated on uint8 images (N, 227, 227, 3); the rest stays fp32.

    Raises:
        MissingPackageError: if NNCF is not installed.
    """
    nncf = _load_nncf()
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters

    wide = nncf.IgnoredScope(names=list(_fp32_nodes(model)), validate=False)
    dataset = nncf.Dataset([{0: image[None]} for image in images])
    with contextlib.redirect_stdout(sys.stderr):  # NNCF draws its progress where results may be going
        return nncf.quantize(
            model,
            dataset,
            subset_size=len(images),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=wide,
            advanced_parameters=AdvancedQuantizationParameters(
                disable_bias_correction=True, disable_channel_alignment=True
            ),
        )


def _fp32_nodes(model: openvino.Model) -> Iterator[str]:
    """The names of what stays wide: the convolutions that see the picture, sums, normalisation, pooling, the head."""
    for operation in model.get_ordered_ops():
        kind = operation.get_type_name()
        sees_picture = kind == "Convolution" and operation.input(1).get_shape()[1] == _COLOURS
        if kind in _FP32_OPS or sees_picture or (kind == "Add" and not _adds_bias(operation)):
            yield operation.friendly_name


def _adds_bias(addition: Any) -> bool:
    """Whether it adds a constant to a convolution, of which it then is a part."""
    return any(
        value.get_node().get_type_name() in ("Convolution", "GroupConvolution") for value in addition.input_values()
    )


def _load_nncf() -> Any:
    loggers = logging.getLoggerClass()  # NNCF puts its own in its place
    told = os.environ.get("NNCF_CI")
    os.environ["NNCF_CI"] = "true"  # else it tells its maker what it is used for
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
        if told is None:
            del os.environ["NNCF_CI"]
        else:
            os.environ["NNCF_CI"] = told
    # Of the logger alone: nncf.set_log_level would set that of every handler on it, whoever else they belong to.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf
