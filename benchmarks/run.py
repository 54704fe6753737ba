"""`make bench`: every variant over the same photographs, interleaved, round after round, in one process.

Only the ratios mean something: each is taken within a round, and the median of the rounds is told.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.limits import images_per_s
from benchmarks.variants import OURS, VARIANTS
from resmem_plugin import Scorer
from resmem_plugin.core.preprocess import pixels
from resmem_plugin.demo import photographs

UPSTREAM_SCRIPT = """
import sys
from PIL import Image
from resmem import ResMem, transformer
model = ResMem(pretrained=True)
model.eval()
print(float(model(transformer(Image.open(sys.argv[1]).convert("RGB")).unsqueeze(0))))
"""


def forward_alone(engine: str, precision: str, paths: Sequence[str]) -> Callable[[], object]:
    """An engine over the same images, decoded beforehand, in the batches that the Scorer makes."""
    built = Scorer(device="cpu", engine=engine, precision=precision).engine
    images = np.stack([pixels(Image.open(path)) for path in paths])
    starts = range(0, len(images), built.batch_size)
    return lambda: [built.forward(images[start : start + built.batch_size]) for start in starts]


def throughput(paths: Sequence[str], rounds: int) -> None:
    scorers = {name: build() for name, build in VARIANTS.items()}
    scores = {name: score(paths[:17]) for name, score in scorers.items()}  # the warm-up too
    runs: dict[str, Callable[[], object]] = {name: partial(score, paths) for name, score in scorers.items()}
    runs |= {f"{name}, forward": forward_alone(*options, paths) for name, options in OURS.items()}
    limits = {precision: images_per_s(precision) for _, precision in OURS.values()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    most: dict[str, list[float]] = {precision: [] for precision in limits}
    for _ in range(rounds):
        for precision, measure in limits.items():
            most[precision].append(measure())
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)

    upstream = [name for name in VARIANTS if name.startswith("upstream")]
    best = [min(times[name][number] for name in upstream) for number in range(rounds)]
    print(f"{len(paths)} images end to end, {rounds} rounds\n")
    print(f"{'':26}{'images/s':>10}{'x upstream':>12}{'(min-max)':>14}{'max |diff|':>12}{'peak MB':>9}")
    for name, taken in times.items():
        ratios = [best[number] / taken[number] for number in range(rounds)]
        row = f"{name:26}{len(paths) / statistics.median(taken):10.2f}{statistics.median(ratios):12.2f}"
        row += f"{f'{min(ratios):.2f}-{max(ratios):.2f}':>14}"
        if name in scores:
            differences = np.abs(np.subtract(scores[name], scores[upstream[0]]))
            row += f"{differences.max():12.1e}{peak_memory_mb(name, paths):9.0f}"
        print(row, flush=True)
    print(f"\n{'':26}{'end to end':>14}{'forward of the':>16}")
    print(f"{'':26}{'of forward':>14}{'cores limit':>16}   (a matrix product in that precision)")
    for name, (_, precision) in OURS.items():
        forward = times[f"{name}, forward"]
        whole = statistics.median(alone / taken for alone, taken in zip(forward, times[name], strict=True))
        share = statistics.median(
            len(paths) / alone / limit for alone, limit in zip(forward, most[precision], strict=True)
        )
        print(f"{name:26}{whole:14.1%}{share:16.1%}   {statistics.median(most[precision]):.1f} images/s")


def peak_memory_mb(name: str, paths: Sequence[str]) -> float:
    """The peak resident memory of a process that scores with this variant alone."""
    command = [sys.executable, "-m", "benchmarks.variants", name, *paths]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]) / 1000


def cold_start(path: str, rounds: int) -> None:
    resmem = str(Path(sys.executable).with_name("resmem"))
    commands = {
        "resmem score one.jpg": [resmem, "score", path],
        "upstream's script": [sys.executable, "-W", "ignore", "-c", UPSTREAM_SCRIPT, path],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):  # the first warms the file cache
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            taken = time.perf_counter() - began
            if number:
                times[name].append(taken)
    print(f"\nCold start, process start to exit, {rounds} rounds")
    for name, taken_s in times.items():
        print(f"{name:26}{statistics.median(taken_s):8.2f} s")
    ours, theirs = times.values()
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    print(f"{'ratio':26}{statistics.median(ratios):8.2f}   ({min(ratios):.2f}-{max(ratios):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=68, help="how many images a round (default: 68)")
    parser.add_argument("--rounds", type=int, default=5, help="how many rounds (default: 5)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = [str(path) for path in photographs()]
    paths = [found[number % len(found)] for number in range(options.images)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {cores} cores, torch {torch.__version__}, Python {platform.python_version()}")
    throughput(paths, options.rounds)
    cold_start(next(path for path in found if path.endswith(".jpg")), options.rounds)


if __name__ == "__main__":
    main()
