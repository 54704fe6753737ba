"""When a training stops, and what it keeps to go on from."""

from __future__ import annotations

import math
import time
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor
from typing_extensions import override

from resmem_plugin.core.atomic import replacing
from resmem_plugin.training.module import VALIDATION_SPEARMAN, MemorabilityModule


class Patience(EarlyStopping):
    """Early stopping that also stops a run that goes on from where it had stopped."""

    def __init__(self, monitor: str, patience: int) -> None:
        super().__init__(monitor, patience=patience, mode="max", min_delta=0.0)

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class Checkpoints(Checkpoint):
    """Keeps one checkpoint, from which the run goes on, with the trained entries as they were after the best epoch.

    It is written every few minutes and at the end. A run that goes on from an earlier one repeats what came after it.
    """

    def __init__(self, path: str, minutes: float) -> None:
        self.path, self.interval_s = path, minutes * 60
        self._saved_s = time.monotonic()
        self._best_value = -math.inf
        self._best: dict[str, Tensor] = {}

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = batch_idx + 1
        if (
            done % trainer.accumulate_grad_batches == 0
            and done < trainer.num_training_batches
            and self._is_due(trainer)
        ):
            self._save(trainer)

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = float(trainer.callback_metrics[VALIDATION_SPEARMAN])
        if value > self._best_value:
            state = cast("MemorabilityModule", pl_module).trained_state()
            self._best_value, self._best = value, {name: tensor.cpu().clone() for name, tensor in state.items()}
        is_last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if is_last or self._is_due(trainer):
            self._save(trainer)

    @override
    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint |= {"best": self._best, "best_value": self._best_value}

    @override
    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._best, self._best_value = checkpoint["best"], checkpoint["best_value"]

    def _is_due(self, trainer: pl.Trainer) -> bool:
        """Whether it is time, as the first device says."""
        due: bool = trainer.strategy.broadcast(time.monotonic() - self._saved_s >= self.interval_s)
        return due

    def _save(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved_s = time.monotonic()


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints are written completely or not at all, and without a second copy in memory."""

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with replacing(path) as unfinished:
            torch.save(checkpoint, unfinished)
