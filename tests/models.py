"""Cheap models for tests of everything but the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Red(nn.Module):
    """The mean of the red channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0].mean(dim=(1, 2)).unsqueeze(1)


class Small(Red):
    """Runs out of memory on more than `largest` images at once."""

    def __init__(self, largest: int) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.largest:
            raise torch.OutOfMemoryError("pretend that the card is full")
        return super().forward(x)
