"""`python -m benchmarks.gpu`, on a CUDA device: needs torch, torchvision, pandas, Pillow, and no weights.

A ResMem of random weights runs through `Scorer(model=...)`. Measured in one run, repeatedly: the device's rate of bf16
matrix products, the forward pass alone, and end to end from JPEG files, decoded exactly (in processes) and fast (on the
device); and the error against the CPU's scores in fp32.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from resmem_plugin import Scorer
from resmem_plugin.core.engines.base import FLOPS_PER_IMAGE
from resmem_plugin.core.engines.pytorch.cuda import CUDAEngine
from resmem_plugin.core.images.preprocess import INPUT_SHAPE
from resmem_plugin.core.images.reader import DecodeMode
from resmem_plugin.core.network.resmem import ResMemNetwork

_SIDE = 8192


def random_network() -> ResMemNetwork:
    """A ResMem of random weights that keeps within half precision, and whose scores of `smooth_images` spread."""
    torch.manual_seed(0)
    network = ResMemNetwork().eval()
    with torch.no_grad():
        for name, module in network.named_modules():
            if name.endswith("bn3"):
                module.weight.fill_(0.3)  # otherwise 50 blocks add up
            elif name.startswith("fc"):
                nn.init.kaiming_normal_(module.weight)  # otherwise the head returns its bias
                module.bias.zero_()
        pixels = torch.from_numpy(np.stack(smooth_images(6, *INPUT_SHAPE[:2])))
        logits = network.fc12(network.embed(pixels.permute(0, 3, 1, 2) / 255))
        network.fc12.weight /= logits.std()
        network.fc12.bias.sub_(logits.mean()).div_(logits.std())
    return network


def smooth_images(count: int, width: int, height: int) -> list[npt.NDArray[np.uint8]]:
    """Images (H, W, 3) with the frequencies of photographs: random waves and grain."""
    draw = np.random.default_rng(0)
    images = []
    for _ in range(count):
        coarse = [draw.uniform(0, 255, (3 * 2**level, 4 * 2**level, 3)).astype(np.uint8) for level in range(5)]
        layers = [
            np.asarray(Image.fromarray(each).resize((width, height), Image.Resampling.BICUBIC)) for each in coarse
        ]
        mixed = np.average(layers, axis=0, weights=[16, 8, 4, 2, 1]) + draw.normal(0, 4, (height, width, 1))
        images.append(mixed.clip(0, 255).astype(np.uint8))
    return images


def limit_images_per_s() -> float:
    """The rate of one large bf16 matrix product, in images of ResMem per second."""
    a, b = (torch.randn(_SIDE, _SIDE, dtype=torch.bfloat16, device="cuda") for _ in range(2))
    seconds = timed(lambda: a @ b, 20)
    return float(2 * _SIDE**3 / seconds / FLOPS_PER_IMAGE)


def timed(work: Callable[[], object], times: int) -> float:
    """Seconds per call, with the device synchronised at the end."""
    work()
    torch.cuda.synchronize()
    start_s = time.perf_counter()
    for _ in range(times):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start_s) / times


def forward_images_per_s(engine: CUDAEngine, batch: npt.NDArray[np.uint8]) -> float:
    """The engine's speed over batches that are decoded and in memory: transfers included, one batch ahead."""

    def two_dozen() -> None:
        waiting = [engine.submit(batch)]
        for _ in range(23):
            waiting.append(engine.submit(batch))
            waiting.pop(0)()
        waiting.pop()()

    return 24 * len(batch) / timed(two_dozen, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4096, help="how many images end to end (default: 4096)")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds (default: 3)")
    parser.add_argument("--batch-size", type=int, default=128, help="images per forward pass (default: 128)")
    options = parser.parse_args()
    network = random_network()
    with tempfile.TemporaryDirectory() as folder:
        distinct = [f"{folder}/{number}.jpg" for number in range(64)]
        for path, pixels in zip(distinct, smooth_images(64, 640, 480), strict=True):
            Image.fromarray(pixels).save(path, quality=90)
        paths = list(itertools.islice(itertools.cycle(distinct), options.images))
        exact = [score.memorability for score in Scorer(model=network, device="cpu").score(distinct[:16])]
        batch = np.random.default_rng(0).integers(0, 256, (options.batch_size, *INPUT_SHAPE), dtype=np.uint8)
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {options.images} images")
        print("| | limit, images/s | forward | of the limit | end to end | of forward | max error |")
        print("|---|---|---|---|---|---|---|")
        for precision, decode in itertools.product(("fp32", "bf16", "fp16"), get_args(DecodeMode)):
            scorer = Scorer(
                model=network, device="cuda", precision=precision, decode=decode, batch_size=options.batch_size
            )
            assert isinstance(scorer.engine, CUDAEngine)
            error = np.abs(np.subtract([score.memorability for score in scorer.score(distinct[:16])], exact)).max()
            rows = []
            for _ in range(options.rounds):
                whole = options.images / timed(partial(scorer.score, paths), 1)
                rows.append((limit_images_per_s(), forward_images_per_s(scorer.engine, batch), whole))
            limit, forward, whole = (statistics.median(column) for column in zip(*rows, strict=True))
            print(
                f"| {precision}, {decode} | {limit:.0f} | {forward:.0f} | {forward / limit:.0%} | {whole:.0f} | "
                f"{whole / forward:.0%} | {error:.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
