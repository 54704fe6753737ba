"""`python -m benchmarks.soak`: half an hour of good and bad files with the real model, watching for leaks.

Each pass scores the photographs and the files of the bad-input corpus with a new Scorer that has a cache, and some
passes are stopped midway. Prints the resident memory, file handles, threads and child processes each minute.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
import warnings
from pathlib import Path

import psutil

from benchmarks.photographs import small
from resmem_plugin import Scorer
from tests.corpus.encoded import ENCODED_KINDS

_STOPPED_AT = 7


def corpus(folder: Path) -> list[str]:
    """The encoded files of the corpus, good and bad."""
    paths = []
    for number, kind in enumerate(ENCODED_KINDS.values()):
        (folder / str(number)).mkdir(parents=True)
        paths.append(str(kind.make(folder / str(number))))
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="how long (default: 30)")
    minutes = parser.parse_args().minutes
    warnings.simplefilter("ignore")
    process = psutil.Process()
    with tempfile.TemporaryDirectory(prefix="resmem-soak-") as name:
        folder = Path(name)
        paths = [*small(folder / "photographs"), *corpus(folder / "corpus"), str(folder / "not there.jpg")]
        start_s, reported, scored, failed, first_mb = time.monotonic(), 0, 0, 0, 0.0
        for number in itertools.count():
            scorer = Scorer(device="cpu", cache=folder / f"scores{number % 5}.sqlite")
            if number % 5 == 0:  # a new cache, so that there is something to score
                for path in folder.glob("scores*"):
                    path.unlink()
            for score in itertools.islice(scorer.iter_scores(paths), None if number % 3 else _STOPPED_AT):
                scored, failed = scored + score.ok, failed + (not score.ok)
            elapsed_min = (time.monotonic() - start_s) / 60
            if elapsed_min >= reported + 1 or elapsed_min >= minutes:
                reported = int(elapsed_min)
                now_mb = process.memory_info().rss / 1e6
                first_mb = first_mb or now_mb
                print(
                    f"{elapsed_min:5.1f} min: {now_mb:.0f} MB ({now_mb / first_mb - 1:+.1%} since the first minute), "
                    f"{process.num_fds()} files, {process.num_threads()} threads, {len(process.children())} children, "
                    f"{scored} scored, {failed} failed",
                    flush=True,
                )
            if elapsed_min >= minutes:
                return


if __name__ == "__main__":
    main()
