"""`make bench`: every variant over the same photographs, interleaved, round after round, in one process.

Only the ratios are meaningful: each is taken within a round, and the median of the rounds is printed. Prints tables in
Markdown, and draws `benchmarks/speed.svg`.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import math
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
from PIL import Image

from benchmarks.photographs import KINDS
from benchmarks.plot import draw
from benchmarks.variants import OURS, UPSTREAM, Ours, variants
from examples.demo import photographs
from resmem_plugin import Scorer
from resmem_plugin.core.engines.base import Engine
from resmem_plugin.core.engines.openvino.throughput import peak_throughput
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.scoring.options import available_cores
from tests.mongod import own_mongod

UPSTREAM_SCRIPT = """
import sys
from PIL import Image
from resmem import ResMem, transformer
model = ResMem(pretrained=True)
model.eval()
print(float(model(transformer(Image.open(sys.argv[1]).convert("RGB")).unsqueeze(0))))
"""

Times = dict[str, list[float]]


def compare(kind: str, paths: Sequence[str], calibration: str, rounds: int, *, fast: bool) -> dict[str, float]:
    """Time all variants end to end, and print them; returns each one's median ratio to upstream's best."""
    built = {name: build() for name, build in variants(calibration, fast=fast).items()}
    distinct = list(dict.fromkeys(paths))
    scores = {name: score(distinct) for name, score in built.items()}  # the warm-up too
    runs: dict[str, Callable[[], object]] = {name: partial(score, paths) for name, score in built.items()}
    times = timed(runs, rounds)
    best = [min(times[name][number] for name in UPSTREAM) for number in range(rounds)]
    exact = np.array(scores[next(iter(UPSTREAM))])
    print(f"\n### {kind}, end to end: {len(paths)} JPEGs, {rounds} rounds\n")
    print("| | images/s | x upstream's best | (min-max) | mean error | max error | rho | peak MB |")
    print("|---|---|---|---|---|---|---|---|")
    medians = {}
    for name, seconds in times.items():
        ratios = [best[number] / seconds[number] for number in range(rounds)]
        medians[name] = statistics.median(ratios)
        errors = np.abs(np.array(scores[name]) - exact)
        print(
            f"| {name} | {len(paths) / statistics.median(seconds):.2f} | {medians[name]:.2f} | "
            f"{min(ratios):.2f}-{max(ratios):.2f} | {errors.mean():.1e} | {errors.max():.1e} | "
            f"{rank_correlation(exact, np.array(scores[name])):.4f} | {peak_memory_mb(name, calibration, paths):.0f} |",
            flush=True,
        )
    return medians


def forward_alone(paths: Sequence[str], calibration: str, rounds: int) -> None:
    """Time the forward pass of each engine and precision beside the end-to-end run and the cores' limit."""
    images = np.stack([pixels(Image.open(path)) for path in paths])
    runs: dict[str, Callable[[], object]] = {}
    for ours in OURS:
        scorer = ours.scorer(calibration)
        runs[f"{ours.name} whole"] = partial(scorer.score, paths)
        runs[f"{ours.name} forward"] = partial(forward_all, scorer.engine, images)
    limits = {precision: peak_throughput(precision) for precision in dict.fromkeys(each.precision for each in OURS)}
    most: Times = {precision: [] for precision in limits}

    def measure_limits() -> None:
        for precision, measure in limits.items():
            most[precision].append(measure())

    times = timed(runs, rounds, before=measure_limits)
    print(f"\n### The forward pass alone, {len(paths)} images, {rounds} rounds\n")
    print("| | forward, images/s | end to end of forward | the cores' limit | forward of the limit |")
    print("|---|---|---|---|---|")
    for ours in OURS:
        forward, whole = times[f"{ours.name} forward"], times[f"{ours.name} whole"]
        limit = most[ours.precision]
        of_forward = statistics.median(alone / taken for alone, taken in zip(forward, whole, strict=True))
        of_limit = statistics.median(len(paths) / alone / each for alone, each in zip(forward, limit, strict=True))
        print(
            f"| {ours.name} | {len(paths) / statistics.median(forward):.2f} | {of_forward:.1%} | "
            f"{statistics.median(limit):.1f} | {of_limit:.1%} |",
            flush=True,
        )


def forward_all(engine: Engine, images: npt.NDArray[np.uint8]) -> None:
    """The forward pass over decoded images, in the batches that the Scorer makes."""
    for start in range(0, len(images), engine.batch_size):
        engine.forward(images[start : start + engine.batch_size])


def long_input(paths: Sequence[str], count: int) -> None:
    """Compare the speed of each tenth of a long input with a short input of that length, interleaved, in fp32."""
    scorer = Ours("openvino", "fp32").scorer(None)
    tenth = math.ceil(count / 10 / len(paths)) * len(paths)  # the same images each time
    short = list(itertools.islice(itertools.cycle(paths), tenth))
    scores, process = scorer.iter_scores(itertools.cycle(paths)), psutil.Process()
    runs: dict[str, Callable[[], object]] = {
        "short": lambda: scorer.score(short),
        "long": lambda: deque(itertools.islice(scores, tenth), maxlen=0),
    }
    ratios, memory_mb = [], []
    scorer.score(paths)
    for number in range(10):
        turn = dict(sorted(runs.items(), reverse=number % 2 == 0))  # alternating, because the speed drifts
        times = timed(turn, 1)
        ratios.append(times["short"][0] / times["long"][0])
        memory_mb.append(process.memory_info().rss / 1e6)
    scores.close()
    print(
        f"\nOne input of {10 * tenth} images, openvino fp32, interleaved with ten of {tenth}: "
        f"{statistics.median(ratios):.3f} of their speed ({min(ratios):.3f}-{max(ratios):.3f} in single tenths); "
        f"memory {memory_mb[-1] - memory_mb[0]:+.0f} MB from the first tenth to the last"
    )


def timed(runs: dict[str, Callable[[], object]], rounds: int, before: Callable[[], None] | None = None) -> Times:
    """Run all of them once per round, one after the other: seconds by name."""
    times: Times = {name: [] for name in runs}
    for _ in range(rounds):
        if before:
            before()
        for name, run in runs.items():
            start_s = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start_s)
    return times


def rank_correlation(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Spearman's rho of scores without ties."""
    ranks = np.argsort(np.argsort([one, other]))
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def peak_memory_mb(name: str, calibration: str, paths: Sequence[str]) -> float:
    """The peak resident memory of a process that scores with this variant alone."""
    command = [sys.executable, "-m", "benchmarks.variants", name, calibration, *paths]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]) / 1000


def cold_start(path: str, rounds: int) -> None:
    resmem = str(Path(sys.executable).with_name("resmem"))
    commands = {
        "resmem score one.jpg": [resmem, "score", path],
        "upstream's script": [sys.executable, "-W", "ignore", "-c", UPSTREAM_SCRIPT, path],
    }
    runs: dict[str, Callable[[], object]] = {
        name: partial(subprocess.run, command, capture_output=True, check=True) for name, command in commands.items()
    }
    timed(runs, 1)  # warms the file cache
    ours, theirs = timed(runs, rounds).values()
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    print(
        f"\nCold start, process start to exit, {rounds} rounds: `resmem score one.jpg` {statistics.median(ours):.2f} "
        f"s, upstream's script {statistics.median(theirs):.2f} s, ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=34, help="how many images per round (default: 34)")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds (default: 3)")
    parser.add_argument("--many", type=int, default=1000, help="images of the longer input (default: 1000)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "openvino", "nncf", "pillow", "fiftyone"))
    print(f"{machine()}, {available_cores()} cores, Python {platform.python_version()}, {versions}")
    with tempfile.TemporaryDirectory(prefix="resmem-bench-") as folder, own_mongod(Path(folder, "fiftyone")):
        images = {kind: make(Path(folder, kind.split()[0])) for kind, make in KINDS.items()}
        calibration = calibrate()
        ratios = {}
        for kind, found in images.items():
            paths = list(itertools.islice(itertools.cycle(found), options.images))
            ratios[kind] = compare(kind, paths, calibration, options.rounds, fast=kind != "640x480")
        small = list(itertools.islice(itertools.cycle(images["640x480"]), options.images))
        forward_alone(small, calibration, options.rounds)
        cold_start(small[0], options.rounds)
        long_input(small, options.many)
    draw(ratios, Path(__file__).with_name("speed.svg"))


def calibrate() -> str:
    """Calibrate int8 on parts of the installed photographs, not on the images that are scored; returns its id."""
    parts: list[Image.Image] = []
    for path in photographs():
        image = Image.open(path).convert("RGB")
        width, height = image.size
        corners = itertools.product((0, width // 2), (0, height // 2))
        parts += [image.crop((x, y, x + width // 2, y + height // 2)) for x, y in corners]
    calibration = Scorer(device="cpu", precision="int8", calibration=parts).provenance.calibration
    assert calibration is not None
    return calibration


def machine() -> str:
    """The processor's name, and its relevant instruction sets."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags", "").split()
    having = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if flag in flags]
    return f"{facts.get('model name', platform.machine())} ({', '.join(having)})"


if __name__ == "__main__":
    main()
