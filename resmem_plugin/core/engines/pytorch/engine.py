"""PyTorch on a CPU, on CUDA and on Apple's MPS: channels-last, batch normalisation folded into the convolutions."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from resmem_plugin.core.engines.base import DEVICES_TEXT, check_not_forked
from resmem_plugin.core.errors import EvalModeError, OptionError
from resmem_plugin.core.network.folding import fold_batch_norms
from resmem_plugin.core.network.resmem import ResMemNetwork

if TYPE_CHECKING:
    from resmem_plugin.core.engines.pytorch.nvjpeg import JPEGDecoder

Model: TypeAlias = "nn.Module | Callable[[Tensor], Tensor]"
"""Float images (B, 3, 227, 227) in [0, 1] -> memorability (B, 1) or (B,)."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_AUTO_PRECISION = {"cpu": "fp32", "mps": "fp32", "cuda": "fp16"}
_FP32_PARTS: dict[
    str, tuple[Any, ...]
] = {  # where torch may round fp32 inputs to 10 or 7 bits, as CUDA convolutions do by default
    "cpu": (torch.backends.mkldnn.conv, torch.backends.mkldnn.matmul),  # type: ignore[attr-defined]
    "cuda": (torch.backends.cudnn.conv, torch.backends.cuda.matmul),  # type: ignore[attr-defined]
    "mps": (),
}
_fp32_lock = threading.RLock()
_BATCH_SIZES = {"cpu": 8, "mps": 32, "cuda": 128}  # on a CPU larger batches are not faster, only slower to interrupt


class PyTorchEngine:
    """Runs a network with PyTorch.

    Args:
        model: the network. A module is copied and put into eval mode; the caller's own is left as it is.
        weights: SHA-256 of the weights file. None, for a caller's own model: a hash of its state dict and structure, or
            for a function a unique name.
        device: "auto" (CUDA, then MPS, then the CPU), "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto" (fp16 on CUDA, else fp32), "fp32", "bf16" or "fp16".
        own: change the model in place instead of copying it.

    Raises:
        OptionError: for a device or precision that is not available on this machine.
    """

    name = "pytorch"
    calibration = None
    lookahead = 0
    decode_jpegs: JPEGDecoder | None = None

    def __init__(
        self,
        model: Model,
        *,
        weights: str | None = None,
        device: str = "auto",
        precision: str = "auto",
        own: bool = False,
    ) -> None:
        name, self.precision = resolve(device, precision)
        self.device = torch.device(name)
        self.device_type: str = self.device.type
        self.batch_size = _BATCH_SIZES[self.device_type]
        self.weights = weights or _identity(model)
        if isinstance(model, nn.Module):
            model = (model if own else copy.deepcopy(model)).eval().requires_grad_(False)
            if isinstance(model, ResMemNetwork):
                _optimise(model, DTYPES[self.precision])
            model = model.to(self.device)
        self.model: Model = model
        self._process = os.getpid()

    def forward(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB images (B, 227, 227, 3) -> memorability (B,).

        A batch that does not fit into the device's memory is split in two and retried.

        Raises:
            EvalModeError: if the model was switched to training mode.
            ForkError: in a process forked from the one that loaded the network.
            OptionError: if a caller's model returns something other than one number per image.
        """
        return self._run(self._scores, batch)

    def submit(self, batch: npt.NDArray[np.uint8]) -> Callable[[], npt.NDArray[np.float32]]:
        """A function that runs `forward` on the batch."""
        return functools.partial(self.forward, batch)

    @property
    def can_embed(self) -> bool:
        """Whether the model has what `embed` needs: a method of that name."""
        return callable(getattr(self.model, "embed", None))

    def embed(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB images (B, 227, 227, 3) -> activations of the head's last hidden layer (B, 256).

        Batches are split and errors raised as by `forward`.

        Raises:
            OptionError: if a caller's model has no method `embed`, or it returns something other than (B, D).
        """
        if not self.can_embed:
            raise OptionError(
                f"the model, a {type(self.model).__name__}, has no embeddings: give it a method embed(x), float images "
                "(B, 3, 227, 227) in [0, 1] -> (B, D), or use the published weights"
            )
        return self._run(self._embeddings, batch)

    def features(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB images (B, 227, 227, 3) -> the ResNet's outputs (B, 1000); of a caller's model `embed`.

        Raises:
            OptionError: if a caller's model has no embeddings.
        """
        if isinstance(self.model, ResMemNetwork):
            return self._run(self.model.features, batch)
        return self.embed(batch)

    def _run(self, compute: Callable[[Tensor], Tensor], batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        check_not_forked(self._process)
        self.check_eval_mode()
        try:
            with torch.inference_mode(), self._arithmetic():
                images = torch.from_numpy(batch).to(self.device)
                return compute(self._scaled(images)).to("cpu", torch.float32).numpy()
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        middle = len(batch) // 2
        return np.concatenate([self._run(compute, half) for half in (batch[:middle], batch[middle:])])

    def check_eval_mode(self) -> None:
        """Check that the model is still in eval mode.

        Raises:
            EvalModeError: if it is not.
        """
        if isinstance(self.model, nn.Module) and any(module.training for module in self.model.modules()):
            raise EvalModeError("the model is in training mode, where its scores would be wrong: call model.eval()")

    def _scaled(self, images: Tensor) -> Tensor:
        """uint8 (B, 227, 227, 3) on the device -> float (B, 3, 227, 227) in [0, 1], channels-last for ResMem."""
        x = images.permute(0, 3, 1, 2)  # channels-last without a copy
        if not isinstance(self.model, ResMemNetwork):
            x = x.contiguous()  # a caller's model may not accept channels-last: upstream's does not
        return x.to(torch.float32).div_(255)

    def _scores(self, x: Tensor) -> Tensor:
        scores = self.model(x)
        if not isinstance(scores, Tensor) or scores.numel() != len(x):
            raise OptionError(f"the model returned {_shape(scores)} for {len(x)} images: it must return (B, 1) or (B,)")
        return scores.reshape(-1)

    def _embeddings(self, x: Tensor) -> Tensor:
        embeddings = cast("ResMemNetwork", self.model).embed(x)  # or a caller's model with such a method
        if not isinstance(embeddings, Tensor) or embeddings.dim() != 2 or len(embeddings) != len(x):
            raise OptionError(
                f"the model's embed returned {_shape(embeddings)} for {len(x)} images: it must return (B, D)"
            )
        return embeddings

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """Use the arithmetic of `precision`, whatever the settings of the caller's thread or process."""
        half = self.precision != "fp32"
        with torch.autocast(self.device.type, dtype=DTYPES[self.precision] if half else None, enabled=half):
            parts = () if half else _FP32_PARTS[self.device.type]
            loose = [part for part in parts if part.fp32_precision not in ("ieee", "none")]
            if not loose:
                yield
                return
            with _fp32_lock:  # these settings belong to the process: one thread at a time, and restored
                before = [(part, part.fp32_precision) for part in parts]
                try:
                    for part in parts:
                        part.fp32_precision = "ieee"
                    yield
                finally:
                    for part, precision in before:
                        part.fp32_precision = precision


def resolve(device: str, precision: str) -> tuple[str, str]:
    """Resolve "auto": the device's name and the precision.

    Raises:
        OptionError: for a device or precision that is not available on this machine.
    """
    found = _device(device)
    if precision == "auto":
        return str(found), _AUTO_PRECISION[found.type]
    if precision not in DTYPES:
        raise OptionError(f"precision must be auto, {', '.join(DTYPES)} with the pytorch engine, not {precision!r}")
    return str(found), precision


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise OptionError(f"device must be {DEVICES_TEXT}, not {name!r}") from error
    if device.type not in _BATCH_SIZES:
        raise OptionError(f"device must be {DEVICES_TEXT}, not {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise OptionError(
            f"device={name!r}, but PyTorch sees {torch.cuda.device_count()} CUDA device(s) here: use device='auto' or "
            "'cpu', or install a driver and a CUDA build of torch"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise OptionError("device='mps' needs a Mac with Apple silicon: use device='auto' or 'cpu'")
    return device


def _optimise(network: ResMemNetwork, dtype: torch.dtype) -> None:
    """Fold batch normalisation, use channels-last, and store in half precision what runs in it."""
    fold_batch_norms(network.features)
    network.to(memory_format=torch.channels_last)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(dtype)
    network.features.fc.to(dtype)


def _shape(result: object) -> str:
    return f"shape {tuple(result.shape)}" if isinstance(result, Tensor) else f"a {type(result).__name__}"


def _identity(model: Model) -> str:
    kind = model if isinstance(model, type(_identity)) else type(model)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if not isinstance(model, nn.Module):
        return f"function:{name}:{uuid.uuid4().hex}"  # two functions cannot be compared
    digest = hashlib.sha256(f"{name} {model!r}".encode())
    for key, value in model.state_dict().items():
        if isinstance(value, Tensor):
            digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        else:
            digest.update(f"{key} {value!r}".encode())
    return f"model:{digest.hexdigest()}"
