"""The network in training, for PyTorch Lightning."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from resmem_plugin.core.network.resmem import ResMemNetwork
from resmem_plugin.training.folded_resnet import resnet_logits
from resmem_plugin.training.images import Batch, as_input
from resmem_plugin.training.losses import loss_of
from resmem_plugin.training.metrics import Values, metric
from resmem_plugin.training.options import TrainingOptions

VALIDATION_SPEARMAN, VALIDATION_MSE = "validation_spearman", "validation_mse"
_STAGES = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc")


class MemorabilityModule(LightningModule):
    """Trains a network as the options say.

    Dropout depends on the seed, the epoch, the batch and the device alone, so that a run that goes on from a checkpoint
    ends as one that was never interrupted.

    Args:
        network: as it is at the start.
        options: how to train.
        measured: (N,) of all rows.
    """

    def __init__(self, network: ResMemNetwork, options: TrainingOptions, measured: Values) -> None:
        super().__init__()
        self.network, self.options, self.measured = network, options, measured
        self.strict_loading = False  # checkpoints hold what is trained
        self.history: list[dict[str, float]] = []
        self._validated: list[tuple[int, float]] = []
        self._loss, self._shown = torch.zeros(()), 0  # of this epoch, on this device
        self.network.requires_grad_(True)
        trained = trained_stages(options.resnet)
        for name in _STAGES:
            getattr(network.features, name).requires_grad_(name in trained)
        self.train()

    def train(self, mode: bool = True) -> MemorabilityModule:
        """Switch to training, but for BatchNorm layers that stay as they are."""
        super().train(mode)
        stay = not self.options.train_batchnorm
        for norm in self._norms():
            if stay or not norm.weight.requires_grad:
                norm.eval()
        return self

    def _norms(self) -> list[nn.BatchNorm2d]:
        return [module for module in self.network.modules() if isinstance(module, nn.BatchNorm2d)]

    def forward(self, images: Tensor, logits: Tensor | None = None) -> Tensor:
        """uint8 images (B, 227, 227, 3), and the ResNet's outputs where they are known -> memorability (B,)."""
        network, x = self.network, as_input(images)
        if logits is None:
            logits = network.features(x) if self.options.train_batchnorm else resnet_logits(network.features, x)
        return network.regress(network.embed_branches(network.convolutions(x), logits))[:, 0]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One group of parameters for the ResNet, and one for the rest."""
        options = self.options
        resnet = [each for each in self.network.features.parameters() if each.requires_grad]
        rest = [each for name, each in self.network.named_parameters() if not name.startswith("features.")]
        rate = options.learning_rate if options.resnet_learning_rate is None else options.resnet_learning_rate
        groups: list[dict[str, Any]] = [{"params": rest}, *([{"params": resnet, "lr": rate}] if resnet else [])]
        if options.optimizer == "adamw":
            return torch.optim.AdamW(groups, lr=options.learning_rate, weight_decay=options.weight_decay, fused=True)
        return torch.optim.SGD(
            groups, lr=options.learning_rate, momentum=options.momentum, weight_decay=options.weight_decay, fused=True
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        seed = np.random.SeedSequence((self.options.seed, self.current_epoch, batch_idx, self.global_rank))
        torch.manual_seed(int(seed.generate_state(1)[0]))
        scores = self(batch["images"], batch.get("logits"))
        loss = loss_of(self.options.loss, scores, batch["measured"])
        self._loss = self._loss.to(loss.device) + loss.detach() * len(scores)
        self._shown += len(scores)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Score a batch."""
        scores = self(batch["images"], batch.get("logits")).float()
        self._validated += zip(batch["row"].tolist(), scores.tolist(), strict=True)

    def on_validation_epoch_end(self) -> None:
        """Compare all scores with what was measured."""
        rows, scores = zip(*_of_all_devices(self._validated), strict=True)
        self._validated = []
        found, measured = np.array([scores]), self.measured[list(rows)][None]
        spearman = np.nan_to_num(metric("spearman", found, measured), nan=-1.0)  # constant scores: never the best
        for name, values in ((VALIDATION_SPEARMAN, spearman), (VALIDATION_MSE, metric("mse", found, measured))):
            self.log(name, float(values[0]), rank_zero_only=False)

    def on_train_epoch_end(self) -> None:
        """Note the epoch's figures."""
        loss = float(self._loss) / max(self._shown, 1)
        self._loss, self._shown = torch.zeros(()), 0
        self.log("train_loss", loss)
        names = (VALIDATION_SPEARMAN, VALIDATION_MSE)
        figures = {name: float(self.trainer.callback_metrics[name]) for name in names}
        self.history.append({"epoch": self.current_epoch, "train_loss": loss, **figures})

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the figures of the epochs before."""
        self.history, self._loss, self._shown = (checkpoint[name] for name in ("history", "loss", "shown"))

    def trained_state(self) -> dict[str, Tensor]:
        """What training changes of the network's state dict: the rest is in the weights to start from."""
        trained = {name for name, parameter in self.network.named_parameters() if parameter.requires_grad}
        if self.options.train_batchnorm:
            trained |= {name for name, _ in self.network.named_buffers()}
        return {name: value for name, value in self.network.state_dict().items() if name in trained}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the figures, and leave out what does not change."""
        checkpoint |= {"history": list(self.history), "loss": self._loss, "shown": self._shown}
        checkpoint["state_dict"] = {f"network.{name}": value for name, value in self.trained_state().items()}


def trained_stages(resnet: str) -> tuple[str, ...]:
    """The ResNet's modules that are trained with this option."""
    if resnet == "frozen":
        return ()
    return _STAGES if resnet == "all" else _STAGES[_STAGES.index(resnet) :]


def _of_all_devices(pairs: list[tuple[int, float]]) -> list[tuple[int, float]]:
    if not torch.distributed.is_initialized():
        return pairs
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, pairs)
    return [pair for part in parts for pair in part]
