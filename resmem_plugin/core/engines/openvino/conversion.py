"""Converts the network to OpenVINO's own format (IR), once, with torch; later starts read it without torch.

An int8 network is kept for each set of images that it was calibrated on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openvino

from resmem_plugin.core.cache.folder import cache_folder, has_cache_folder, report
from resmem_plugin.core.engines.calibration import Calibration, calibration_id
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.preprocess import INPUT_SHAPE
from resmem_plugin.core.network.weights import WeightsFile, verify

if TYPE_CHECKING:
    from resmem_plugin.core.network.resmem import ResMemNetwork

_FORMAT = "2"
"""Raised whenever a release converts to another graph."""

_GRAPH, _CONSTANTS, _MANIFEST = "resmem.xml", "resmem.bin", "manifest.json"

_logger = logging.getLogger(__name__)


def load_converted(core: openvino.Core, weights: WeightsFile) -> openvino.Model:
    """Load the network for OpenVINO: uint8 images (B, 227, 227, 3) -> memorability (B,), embeddings (B, 256),
    features (B, 1000).

    It is read from the cache folder; if it is missing there, or damaged, it is converted and written. Two processes may
    do so at once.

    Raises:
        WeightsCorruptError: if the weights are damaged.
    """
    if not weights.trusted:
        verify(weights)
    return _cached(core, converted_folder(weights), lambda: _convert(weights))


def load_quantized(core: openvino.Core, weights: WeightsFile, calibration: Calibration) -> openvino.Model:
    """Load the network in int8, calibrated on these images, or from the cache folder by this id.

    Raises:
        WeightsCorruptError: if the weights are damaged.
        OptionError: if the cache folder has no calibration of that id.
        MissingPackageError: if it must be calibrated and NNCF is not installed.
    """
    if not weights.trusted:
        verify(weights)
    name = calibration_id(calibration)
    folder = converted_folder(weights, f"int8-{name}")

    def calibrate() -> openvino.Model:
        if isinstance(calibration, str):
            raise OptionError(
                f"no int8 network of calibration {calibration!r} is in {cache_folder()}: give the images to calibrate "
                "on"
            )
        from resmem_plugin.core.engines.openvino.quantization import quantize

        _logger.info("calibrating int8 on %d images, once: this takes some seconds", len(calibration))
        return quantize(load_converted(core, weights), calibration)

    return _cached(core, folder, calibrate, calibration_sha256=name)


def converted_folder(weights: WeightsFile, form: str = "fp32") -> Path:
    """The folder of the converted network; its form is "fp32", or "int8-" and the id of a calibration."""
    version = openvino.__version__.partition("-")[0]
    return cache_folder() / f"openvino-{version}-{form}-{_FORMAT}-{weights.sha256}"


def _cached(core: openvino.Core, folder: Path, convert: Callable[[], openvino.Model], **about: str) -> openvino.Model:
    """The network in the folder; if there is none, the one that `convert` returns, which is then written there."""
    if not has_cache_folder():
        return convert()
    cached = _read(core, folder)
    if cached is not None:
        return cached
    converted = convert()
    try:
        _write(converted, folder, about)
    except OSError as error:
        report(folder.parent, error)
        return converted
    return _read(core, folder) or converted  # from the file, which is mapped: half the memory


def _read(core: openvino.Core, folder: Path) -> openvino.Model | None:
    if not _is_complete(folder):
        return None
    try:
        return core.read_model(folder / _GRAPH)
    except RuntimeError:
        return None


def _is_complete(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        return bool(_measured(folder).items() <= manifest.items())
    except (OSError, ValueError, AttributeError):
        return False


def _measured(folder: Path) -> dict[str, Any]:
    """The hash of the graph and the size of the constants. Hashing these would take longer than a score."""
    graph = hashlib.sha256((folder / _GRAPH).read_bytes()).hexdigest()
    return {"graph_sha256": graph, "constants_bytes": (folder / _CONSTANTS).stat().st_size}


def _convert(weights: WeightsFile) -> openvino.Model:
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    from resmem_plugin.core.network.pretrained import load_resmem

    _logger.info("converting the network for OpenVINO, once: this takes some seconds")
    frontend = FrontEndManager().load_by_framework("pytorch")  # openvino.convert_model sends telemetry
    example = torch.zeros((2, *INPUT_SHAPE), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is deprecated
        decoder = TorchScriptPythonDecoder(_entry(load_resmem(weights, keep=False)), example_input=example)
        model: openvino.Model = frontend.convert(frontend.load(decoder))
    model.reshape([-1, *INPUT_SHAPE])
    _simplify(model)
    return model


def _simplify(model: openvino.Model) -> None:
    """Fold constants and fuse operations, as OpenVINO's own converter does: a start is a third of a second faster."""
    with contextlib.suppress(ImportError):  # not public; without it scores are the same
        from openvino._offline_transformations import apply_moc_transformations

        apply_moc_transformations(model, False)


def _entry(network: ResMemNetwork) -> Any:
    """The network from uint8 images to memorability, embeddings and features, in eval mode."""
    import torch
    from torch import Tensor, nn

    class FromBytes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            x = batch.permute(0, 3, 1, 2).to(torch.float32) / 255
            features = self.network.features(x)
            embeddings = self.network.embed_branches(self.network.convolutions(x), features)
            return self.network.regress(embeddings).reshape(-1), embeddings, features

    return FromBytes().eval().requires_grad_(False)


def _write(model: openvino.Model, folder: Path, about: Mapping[str, str]) -> None:
    """Write a temporary folder and rename it; one that another process renamed first stays."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        try:
            openvino.save_model(model, unfinished / _GRAPH, compress_to_fp16=False)
        except RuntimeError as error:  # a full disk, say
            raise OSError(str(error)) from error
        (unfinished / _MANIFEST).write_text(json.dumps({**_measured(unfinished), **about}))
        if not _is_complete(folder):
            with contextlib.suppress(FileNotFoundError):
                os.rename(folder, unfinished / "damaged")
        try:
            os.rename(unfinished, folder)
        except OSError:
            if not _is_complete(folder):
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
