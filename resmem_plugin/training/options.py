"""`TrainingOptions`: how the network is trained."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from resmem_plugin.core.errors import OptionError

TRAINED_RESNET = ("all", "layer1", "layer2", "layer3", "layer4", "fc", "frozen")
LOSSES = ("mse", "plcc", "rank")
AUGMENTATIONS = ("none", "flip", "flip+crop")
OPTIMIZERS = ("sgd", "adamw")
PRECISIONS = ("fp32", "bf16", "fp16")
LOGGERS = (None, "tensorboard", "wandb")

_CHOICES = {
    "optimizer": OPTIMIZERS,
    "resnet": TRAINED_RESNET,
    "augment": AUGMENTATIONS,
    "precision": PRECISIONS,
    "logger": LOGGERS,
}

_OPTIONAL_NUMBERS = ("resnet_learning_rate", "patience")
_OPTIONAL = (*_OPTIONAL_NUMBERS, "logger")


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How the network is trained; the defaults are the published recipe: SGD, 1e-5, momentum .9, MSE, all layers.

    That recipe is for some ten thousand images. For some hundred, take `resnet="frozen"`, `fit_head_first=True` and
    small steps: `optimizer="adamw"` with a `learning_rate` of 1e-6.

    Attributes:
        start: the weights to begin with: "published", "imagenet" (of the ResNet; the rest is random), "random", or a
            file with its hash, "mine.safetensors#sha256=0123...".
        resnet: what is trained of the ResNet-152: "all", its stages from "layer1", "layer2", "layer3" or "layer4" on,
            "fc" (its last layer), or "frozen": then its outputs are computed once for each image, and an epoch takes
            seconds. The other branch and the head are always trained.
        loss: "mse" (mean squared error), "plcc" (1 less the linear correlation in a batch, halved) or "rank" (how often
            a pair of a batch is in the wrong order, smoothed); several with "+", such as "mse+plcc", are added.
        optimizer: "sgd" or "adamw".
        learning_rate: of all that is trained.
        resnet_learning_rate: of the ResNet; None: `learning_rate`.
        momentum: of "sgd".
        weight_decay: of both optimizers.
        epochs: passes over the training images at most.
        batch_size: images of a step, on all devices together.
        accumulate: batches whose gradients are added up before a step.
        augment: "flip" (half of the images are mirrored), "flip+crop" (and shifted by up to 14 of 256 pixels; not with
            a frozen ResNet) or "none". Nothing else is offered: gray, rotated or rescaled images are remembered
            differently.
        train_batchnorm: let the ResNet's BatchNorm layers follow the batches, and fit them. By default they stay as
            they are: a few small batches spoil them for good.
        precision: "fp32", "bf16" or "fp16" (mixed, the head stays in fp32).
        device: "auto", "cpu", "cuda" or "mps".
        devices: how many of them; more than one train by DDP.
        patience: epochs without a better rank correlation on the validation images, after which training ends; None:
            never.
        fit_head_first: fit the last layer by ridge regression, as `fit_head` does, before the first epoch:
            training then begins with what the network knows already, and some hundred images are enough.
        validation: share of the images to validate on, where no column of splits says which.
        seed: of the split, the order, the augmentation, the dropout and random weights.
        checkpoint_minutes: how much of the work is lost at most if the process is killed; 0: no step is.
        logger: "tensorboard" or "wandb" (offline, unless WANDB_MODE says otherwise): log each epoch in the run's
            folder, beside its history.csv.

    Raises:
        OptionError: for a value that does not exist, or that does not fit another.

    Examples:
        >>> from resmem_plugin.training import TrainingOptions
        >>> TrainingOptions(resnet="frozen", optimizer="adamw", learning_rate=1e-6).loss
        'mse'
    """

    start: str | os.PathLike[str] = "published"
    resnet: str = "all"
    loss: str = "mse"
    optimizer: str = "sgd"
    learning_rate: float = 1e-5
    resnet_learning_rate: float | None = None
    momentum: float = 0.9
    weight_decay: float = 0.0
    epochs: int = 20
    batch_size: int = 32
    accumulate: int = 1
    augment: str = "flip"
    train_batchnorm: bool = False
    precision: str = "fp32"
    device: str = "auto"
    devices: int = 1
    patience: int | None = 5
    fit_head_first: bool = False
    validation: float = 0.1
    seed: int = 0
    checkpoint_minutes: float = 5.0
    logger: str | None = None

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise OptionError(f"{name} must be {', '.join(map(str, choices))}, not {getattr(self, name)!r}")
        if not set(str(self.loss).split("+")) <= set(LOSSES):
            raise OptionError(f"loss must be {', '.join(LOSSES)}, or a sum such as mse+plcc, not {self.loss!r}")
        for name in ("epochs", "batch_size", "accumulate", "devices"):
            _check_number(name, getattr(self, name), numbers.Integral, at_least=1)
        _check_number("seed", self.seed, numbers.Integral, at_least=0)
        for name in ("learning_rate", "resnet_learning_rate", "momentum", "weight_decay", "checkpoint_minutes"):
            if getattr(self, name) is not None:
                _check_number(name, getattr(self, name), numbers.Real, at_least=0)
        if self.patience is not None:
            _check_number("patience", self.patience, numbers.Integral, at_least=1)
        if not isinstance(self.validation, numbers.Real) or not 0 < self.validation < 1:
            raise OptionError(f"validation must be a share between 0 and 1, not {self.validation!r}")
        for name in ("train_batchnorm", "fit_head_first"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if self.resnet == "frozen" and self.augment == "flip+crop":
            raise OptionError("a frozen ResNet sees each image once, and mirrored: use augment='flip' or 'none'")
        if self.resnet == "frozen" and self.train_batchnorm:
            raise OptionError("train_batchnorm trains layers of the ResNet: leave it out with resnet='frozen'")
        if self.batch_size < self.devices:
            raise OptionError(f"batch_size {self.batch_size} leaves some of the {self.devices} devices without images")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> TrainingOptions:
        """The options of a configuration file: numbers may be text, as YAML reads 1e-5.

        Raises:
            OptionError: for a name that does not exist, or a value that does not fit.

        Examples:
            >>> from resmem_plugin.training import TrainingOptions
            >>> TrainingOptions.of({"learning_rate": "1e-4"}).learning_rate
            0.0001
        """
        known = {each.name: each.default for each in fields(cls)}
        values: dict[str, Any] = {}
        for name, given in options.items():
            value = given
            if name not in known:
                near = get_close_matches(str(name), known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f": choose from {', '.join(known)}"
                raise OptionError(f"there is no training option {name!r}{hint}")
            if isinstance(value, str):
                if value.lower() == "none" and name in _OPTIONAL:
                    value = None
                elif _is_number(name, known[name]):
                    value = _number(name, value)
            values[name] = value
        return cls(**values)


def _is_number(name: str, default: object) -> bool:
    return name in _OPTIONAL_NUMBERS or (isinstance(default, (int, float)) and not isinstance(default, bool))


def _number(name: str, text: str) -> float | int:
    try:
        value = float(text)
    except ValueError:
        raise OptionError(f"{name} must be a number, not {text!r}") from None
    return int(value) if text.strip().lstrip("+-").isdigit() else value


def _check_number(name: str, value: object, kind: type, *, at_least: int) -> None:
    right = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)  # type: ignore[arg-type]
    if not right or value < at_least:  # type: ignore[operator]
        what = "whole number" if kind is numbers.Integral else "number"
        raise OptionError(f"{name} must be a {what} from {at_least}, not {value!r}")
