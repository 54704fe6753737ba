"""`python -m benchmarks.processes`: decoding in worker processes against threads, and the time left to the caller.

The network is replaced by an engine that costs nothing, like a fast GPU: what the calling process itself spends per
image limits its throughput, on however many cores the images are decoded.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.photographs import small
from resmem_plugin.core.images.reader import ImageReader
from resmem_plugin.core.scoring import pipeline
from resmem_plugin.core.scoring.options import available_cores
from tests.models import RedEngine


class Nothing(RedEngine):
    """Scores whatever it is given with 0."""

    def forward(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.zeros(len(batch), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000, help="how many images per round (default: 2000)")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds (default: 3)")
    options = parser.parse_args()
    print("| decoding in | images/s | this process's own CPU time, ms per image |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="resmem-bench-") as folder:
        paths = list(itertools.islice(itertools.cycle(small(Path(folder, "small"))), options.images))
        for _round, processes in itertools.product(range(options.rounds), (False, True)):
            start_s, own = time.perf_counter(), time.process_time()
            outcomes = pipeline.run(
                paths,
                reader=ImageReader(),
                engine=Nothing(),
                batch_size=64,
                num_workers=available_cores(),
                processes_after=32 if processes else None,
            )
            for _ in outcomes:
                pass
            took, own = time.perf_counter() - start_s, time.process_time() - own
            name = "processes" if processes else "threads"
            print(f"| {name} | {len(paths) / took:.0f} | {1000 * own / len(paths):.2f} |", flush=True)


if __name__ == "__main__":
    main()
