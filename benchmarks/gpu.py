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
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.engines.base import FLOPS_PER_IMAGE
from resmem_plugin.core.engines.pytorch.cuda import CUDAEngine
from resmem_plugin.core.images.preprocess import INPUT_SHAPE
from resmem_plugin.core.images.reader import DecodeMode
from resmem_plugin.core.network.resmem import ResMemNetwork

_SIDE = 8192


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


def synthetic_images(folder: Path, count: int) -> list[str]:
    """640x480 JPEGs with the frequencies of photographs: random waves and grain."""
    draw = np.random.default_rng(0)
    paths = []
    for number in range(count):
        coarse = [draw.uniform(0, 255, (3 * 2**level, 4 * 2**level, 3)).astype(np.uint8) for level in range(5)]
        layers = [np.asarray(Image.fromarray(each).resize((640, 480), Image.Resampling.BICUBIC)) for each in coarse]
        grain = draw.normal(0, 4, (480, 640, 1))
        paths.append(str(folder / f"{number}.jpg"))
        mixed = np.average(layers, axis=0, weights=[16, 8, 4, 2, 1]) + grain
        Image.fromarray(mixed.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4096, help="how many images end to end (default: 4096)")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds (default: 3)")
    parser.add_argument("--batch-size", type=int, default=128, help="images per forward pass (default: 128)")
    options = parser.parse_args()
    torch.manual_seed(0)
    network = ResMemNetwork().eval()
    with tempfile.TemporaryDirectory() as folder:
        distinct = synthetic_images(Path(folder), 64)
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
