"""Estimates how fast PyTorch will score on this CPU, by timing one block of the network."""

from __future__ import annotations

import functools
import time

import torch
from torch import nn

from resmem_plugin.core.engines.base import FLOPS_PER_IMAGE
from resmem_plugin.core.engines.pytorch.engine import DTYPES


@functools.cache
def expected_images_per_s(precision: str) -> float:
    """Estimate images per second on this CPU, by timing the block that most of the network consists of.

    Takes a tenth of a second, or half a second where the processor lacks that arithmetic; once per process.
    """
    block = nn.Sequential(nn.Conv2d(1024, 256, 1), nn.Conv2d(256, 256, 3, padding=1), nn.Conv2d(256, 1024, 1))
    block.to(DTYPES[precision]).to(memory_format=torch.channels_last)
    images, side = 4, 15
    x = torch.rand(images, 1024, side, side).to(DTYPES[precision], memory_format=torch.channels_last)
    times = []
    with torch.inference_mode():
        for _ in range(3):
            start_s = time.perf_counter()
            block(x)
            times.append(time.perf_counter() - start_s)
    operations = 2 * images * side**2 * (2 * 1024 * 256 + 9 * 256**2)
    return operations / min(times) / FLOPS_PER_IMAGE
