"""What training makes smaller: functions of scores and of what was measured, (B,) each, to one number."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

_RANK_SCALE = 0.1  # a pair that is .1 apart in the right order costs less than half of one that is level
_EPSILON = 1e-8


def loss_of(name: str, scores: Tensor, measured: Tensor) -> Tensor:
    """The sum of the losses in a name such as "mse+plcc"; see `TrainingOptions`."""
    functions: dict[str, Callable[[Tensor, Tensor], Tensor]]
    functions = {"mse": F.mse_loss, "plcc": plcc_loss, "rank": rank_loss}
    return torch.stack([functions[part](scores, measured) for part in name.split("+")]).sum()


def plcc_loss(scores: Tensor, measured: Tensor) -> Tensor:
    """Half of 1 less the linear correlation: 0 to 1, and 1/2 where one of both is constant."""
    x, y = scores - scores.mean(), measured - measured.mean()
    correlation = (x * y).sum() / torch.sqrt((x * x).sum() * (y * y).sum() + _EPSILON**2)
    return (1 - correlation) / 2


def rank_loss(scores: Tensor, measured: Tensor) -> Tensor:
    """The mean logistic loss of all pairs that were measured as unlike; 0 if there are none."""
    higher = measured[:, None] > measured[None, :]
    difference = (scores[:, None] - scores[None, :])[higher]
    return F.softplus(-difference / _RANK_SCALE).sum() / max(int(higher.sum()), 1)
