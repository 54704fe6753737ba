"""`python -m benchmarks.cache`: the same photographs scored twice with a cache of scores, each time in a new process.

The first run scores them with the real network, the second finds every score. What is timed is `Scorer.score`, with the
network loaded before.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from examples.demo import photographs

GOAL = 20

_RUN = """
    import sys, time
    from resmem_plugin import Scorer
    scorer = Scorer(device="cpu", cache=sys.argv[1])
    scorer.engine
    start_s = time.perf_counter()
    scores = scorer.score(sys.argv[2:])
    print(time.perf_counter() - start_s)
    assert all(score.ok for score in scores)
"""


def seconds(cache: Path, paths: list[str]) -> float:
    command = [sys.executable, "-c", textwrap.dedent(_RUN), str(cache), *paths]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    paths = [str(path) for path in photographs()]
    ratios = []
    for number in range(1, rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            first, second = (seconds(Path(folder) / "scores.sqlite", paths) for _ in range(2))
        ratios.append(first / second)
        print(f"round {number}: {len(paths)} photographs in {first:.3f} s, then in {second:.4f} s: x {ratios[-1]:.0f}")
    print(f"a second run is {statistics.median(ratios):.0f} times as fast (goal {GOAL})")


if __name__ == "__main__":
    main()
