"""A small network with ResMem's structure, for trainings of seconds, and images to train it on."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from resmem_plugin.core.network.resmem import ResMemNetwork
from resmem_plugin.core.network.resnet import Bottleneck, ResNet152
from resmem_plugin.training import run
from resmem_plugin.training.weights_file import Parent


class SmallResNet(ResNet152):
    """One block a stage, and narrow."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.conv1 = nn.Conv2d(3, 8, kernel_size=7, stride=4, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for number, (inputs, stride) in enumerate(((8, 1), (16, 2), (16, 2), (16, 2)), 1):
            setattr(self, f"layer{number}", nn.Sequential(Bottleneck(inputs, 4, stride)))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16, 1000)


class SmallResMem(ResMemNetwork):
    """The same layers, and few channels."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.features = SmallResNet()
        self.conv1 = nn.Conv2d(3, 4, kernel_size=11, stride=4)
        self.conv2 = nn.Conv2d(4, 4, kernel_size=5, padding=2, groups=2)
        self.conv3, self.conv4, self.conv5 = (nn.Conv2d(4, 4, kernel_size=3, padding=1, groups=2) for _ in range(3))
        sizes = (4 * 6 * 6 + 1000, 16, 16, 16, 16, 16, 16, 1)
        for number, (inputs, outputs) in enumerate(pairwise(sizes), 6):
            setattr(self, f"fc{number}", nn.Linear(inputs, outputs))
        self.drp6, self.drp7, self.drp8 = nn.Dropout(0.5), nn.Dropout(0.5), nn.Dropout(0.5)


def small_network(*_: object) -> tuple[SmallResMem, Parent]:
    """Instead of `run.starting_network`: always the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = SmallResMem()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean = torch.randn_like(module.running_mean) / 10  # type: ignore[arg-type]
                module.running_var = torch.rand_like(module.running_var) + 0.5  # type: ignore[arg-type]
    return network, Parent("0" * 64)


def use_small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "starting_network", small_network)


def rated_images(folder: Path, count: int = 40) -> pd.DataFrame:
    """Images whose memorability is said to be how red they are; the last quarter is for validation."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(count):
        pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
        pixels[..., 0] = red = int(random.integers(0, 256))
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        rows.append((str(path), red / 255, "val" if number >= count * 3 // 4 else "train"))
    return pd.DataFrame(rows, columns=["path", "red", "split"])
