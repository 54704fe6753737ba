"""`python -m benchmarks.batching`: the defaults of `batch_size` and `num_workers` on a CPU against other values.

Each batch size, and each number of decoding threads, end to end over both kinds of photographs, interleaved. Prints
the median speed relative to the defaults in the same round.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import warnings
from functools import partial
from pathlib import Path

from benchmarks.photographs import KINDS
from benchmarks.run import calibrate, timed
from resmem_plugin import Scorer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=34, help="how many images per round (default: 34)")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds (default: 3)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    calibration = calibrate()
    settings = [(None, None), *((size, None) for size in (1, 4, 16, 32)), *((None, count) for count in (1, 3, 4))]
    print("| precision | photographs | batch size | threads | of the defaults' speed |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="resmem-bench-") as folder:
        kinds = {kind: make(Path(folder, kind.split()[0])) for kind, make in KINDS.items()}
        for precision, kind in itertools.product(("fp32", "int8"), kinds):
            paths = list(itertools.islice(itertools.cycle(kinds[kind]), options.images))
            runs = {}
            for size, count in settings:
                scorer = Scorer(
                    device="cpu",
                    precision=precision,
                    batch_size=size,
                    num_workers=count,
                    calibration=calibration if precision == "int8" else None,
                )
                runs[f"{size or 'default'} | {count or 'default'}"] = partial(scorer.score, paths)
            times = timed(dict(runs), options.rounds)
            default = next(iter(times.values()))
            for name, seconds in times.items():
                ratio = statistics.median(base / each for base, each in zip(default, seconds, strict=True))
                print(f"| {precision} | {kind} | {name} | {ratio:.3f} |", flush=True)


if __name__ == "__main__":
    main()
