"""One training by PyTorch Lightning, which can be killed at any time and goes on from its last checkpoint."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from typing_extensions import override

from resmem_plugin.core.errors import MissingPackageError, OptionError
from resmem_plugin.core.network.resmem import ResMemNetwork
from resmem_plugin.training.checkpoints import Checkpoints, Patience, WholeCheckpoints
from resmem_plugin.training.folded_resnet import resnet_logits
from resmem_plugin.training.images import RatedPixels, as_input, training_loader, validation_loader
from resmem_plugin.training.metrics import Values
from resmem_plugin.training.module import VALIDATION_SPEARMAN, MemorabilityModule
from resmem_plugin.training.options import TrainingOptions

_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
_LOGGERS = tuple(
    logging.getLogger(name)
    for name in ("pytorch_lightning", "lightning.pytorch", "pytorch_lightning.utilities.rank_zero")
)
_PREDICTED = 16  # images at once
_LAST = "last.ckpt"


class RatedData(pl.LightningDataModule):
    """The batches of one training.

    Args:
        pixels: (N, 256, 256, 3) uint8.
        logits: of a frozen ResNet, or None.
        measured: (N,).
        splits: rows in "train" and "validation".
        options: how to train.
    """

    def __init__(
        self,
        pixels: npt.NDArray[np.uint8],
        logits: npt.NDArray[np.float32] | None,
        measured: Values,
        splits: Mapping[str, npt.NDArray[np.intp]],
        options: TrainingOptions,
    ) -> None:
        super().__init__()
        self.pixels, self.logits, self.measured = pixels, logits, measured
        self.splits, self.options = splits, options

    @override
    def setup(self, stage: str) -> None:
        if self._devices > 1:  # a process of its own, which has not heard of `_quiet`
            _silence()

    def train_dataloader(self) -> Any:
        """Augmented, in a new order each epoch."""
        options = self.options
        data = RatedPixels(self.pixels, self.measured, self.logits, augment=options.augment, seed=options.seed)
        return training_loader(data, self.splits["train"], options.batch_size, seed=options.seed, **self._share)

    def val_dataloader(self) -> Any:
        """As the network will be used."""
        data = RatedPixels(self.pixels, self.measured, self.logits)
        return validation_loader(data, self.splits["validation"], self.options.batch_size, **self._share)

    @property
    def _devices(self) -> int:
        return 1 if self.trainer is None else self.trainer.world_size

    @property
    def _share(self) -> dict[str, int]:
        return {"rank": 0 if self.trainer is None else self.trainer.global_rank, "devices": self._devices}


def fit(
    network: ResMemNetwork,
    data: RatedData,
    folder: str,
    *,
    progress: bool | None = None,
    callbacks: Sequence[Callback] = (),
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """Train a network, or go on where a run in this folder was killed.

    Args:
        network: as it is at the start; it is trained in place.
        data: what to train on, and how.
        folder: for checkpoints and logs.
        progress: show a bar; None: on a terminal.
        callbacks: of Lightning, more of them.

    Returns:
        The entries of the state dict that were trained, as they were after the epoch with the best rank correlation,
        and the figures of each epoch.

    Raises:
        OptionError: for a device that is not available.
        MissingPackageError: if the logger's package is not installed.
    """
    options = data.options
    module = MemorabilityModule(network, options, data.measured)
    last = os.path.join(folder, _LAST)
    stopping = [] if options.patience is None else [Patience(VALIDATION_SPEARMAN, options.patience)]
    with _quiet(), _own_random_numbers():
        trainer = pl.Trainer(
            accelerator=accelerator(options.device),
            devices=options.devices,
            strategy="auto" if options.devices == 1 else "ddp_spawn",
            precision=_PRECISIONS[options.precision],  # type: ignore[arg-type]
            max_epochs=options.epochs,
            accumulate_grad_batches=options.accumulate,
            logger=_logger(options, folder),
            log_every_n_steps=1,
            callbacks=[*callbacks, *stopping, Checkpoints(last, options.checkpoint_minutes)],
            plugins=[WholeCheckpoints()],
            deterministic="warn",
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty() if progress is None else progress,
        )
        if trainer.logger is not None:
            trainer.logger.log_hyperparams(asdict(options))
        interrupt = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(module, data, ckpt_path=last if os.path.exists(last) else None, weights_only=True)
        except SystemExit as end:  # what Lightning makes of Ctrl-C, which it goes on to ignore
            signal.signal(signal.SIGINT, interrupt)
            if isinstance(end.__context__, KeyboardInterrupt):
                raise end.__context__ from None
            raise
        finally:
            if options.logger == "wandb":
                import wandb

                wandb.finish()
    reached = torch.load(last, map_location="cpu", weights_only=True)
    return reached["best"], reached["history"]


def accelerator(device: str) -> str:
    """The device to train on, with no "auto" left.

    Raises:
        OptionError: if it is not available.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if available[name])
    if not available.get(device):
        raise OptionError(
            f"device {device!r} is not available for training: choose from auto, "
            f"{', '.join(name for name, there in available.items() if there)}"
        )
    return device


@torch.inference_mode()
def predict(
    network: ResMemNetwork,
    pixels: npt.NDArray[np.uint8],
    logits: npt.NDArray[np.float32] | None,
    rows: npt.NDArray[np.intp],
    device: str,
) -> Values:
    """The scores (R,) of these rows."""
    embedded = _embedded(network, pixels, logits, rows, device)
    return np.concatenate([network.regress(batch)[:, 0].double().cpu().numpy() for batch in embedded])


@torch.inference_mode()
def embed(
    network: ResMemNetwork,
    pixels: npt.NDArray[np.uint8],
    logits: npt.NDArray[np.float32] | None,
    rows: npt.NDArray[np.intp],
    device: str,
) -> Values:
    """The activations (R, 256) of the last hidden layer for these rows."""
    return np.concatenate([batch.double().cpu().numpy() for batch in _embedded(network, pixels, logits, rows, device)])


def _embedded(
    network: ResMemNetwork,
    pixels: npt.NDArray[np.uint8],
    logits: npt.NDArray[np.float32] | None,
    rows: npt.NDArray[np.intp],
    device: str,
) -> Iterator[Tensor]:
    network.to(device).eval()
    data = RatedPixels(pixels, np.zeros(len(pixels)), logits)
    for start in range(0, len(rows), _PREDICTED):
        batch = data[0, rows[start : start + _PREDICTED]]
        x = as_input(batch["images"].to(device))
        known = batch["logits"].to(device) if logits is not None else resnet_logits(network.features, x)
        yield network.embed_branches(network.convolutions(x), known)


def _logger(options: TrainingOptions, folder: str) -> Any:
    try:
        if options.logger == "tensorboard":
            from pytorch_lightning.loggers import TensorBoardLogger

            return TensorBoardLogger(folder, name="", version="tensorboard")
        if options.logger == "wandb":
            import wandb  # noqa: F401 # Lightning's own error does not name the extra
            from pytorch_lightning.loggers import WandbLogger

            mode = os.environ.get("WANDB_MODE", "offline")
            return WandbLogger(save_dir=folder, offline=mode == "offline", project="resmem", anonymous=None)
    except ModuleNotFoundError as error:
        extra = "sweep" if options.logger == "tensorboard" else "wandb"
        raise MissingPackageError(
            f'logger={options.logger!r} needs {error.name}: pip install "resmem-plugin[{extra}]"'
        ) from error
    return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advice on workers, eval mode and tensor cores, and its lists of devices."""
    levels = [logger.level for logger in _LOGGERS]
    with warnings.catch_warnings():
        _silence()
        try:
            yield
        finally:
            for logger, level in zip(_LOGGERS, levels, strict=True):
                logger.setLevel(level)


def _silence() -> None:
    warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric)\..*")
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")  # of 1x1 convolutions
    for logger in _LOGGERS:
        logger.setLevel(logging.ERROR)


@contextmanager
def _own_random_numbers() -> Iterator[None]:
    """Leave the caller's random numbers, and whether torch is deterministic, as they are."""
    was = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was[0], warn_only=was[1])
