"""`make bench`: FiftyOne at 100,000 samples. Speed of writing scores, memory, and time of the panel.

The network is a stand-in that is instant, so that what is timed is everything but scoring: listing the samples,
writing scores and provenance, the index and the run. It runs in a database of its own.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import fiftyone as fo
import psutil

from resmem_plugin import Provenance, Score
from resmem_plugin.core.scoring.progress import Progress
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.app.panel import MemorabilityPanel
from resmem_plugin.fiftyone.dataset.fields import ScoreField
from resmem_plugin.fiftyone.dataset.schema import DEFAULT_FIELD
from tests.fiftyone.app.panel_driver import PanelDriver
from tests.mongod import own_mongod

CHUNK = 1000


class Instant:
    """The part of a Scorer that `compute_memorability` uses; reads no file, and its scores are between .4 and 1."""

    num_workers = 1
    provenance = Provenance(
        weights="0" * 64, preprocessing="1", engine="instant", precision="fp32", decode="exact",
        exif_transpose=False, package_version="0",
    )  # fmt: skip

    def iter_scores(self, images: Iterable[object]) -> Generator[Score, None, None]:
        for index, _ in enumerate(images):
            yield Score(index, 0.4 + (index * 7919 % 60_000) / 100_000)


class Memory:
    """A progress callback that records the memory in use at every tenth."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def __call__(self, now: Progress) -> None:
        if now.iteration % max(1, (now.total or 0) // 10) == 0:
            self.seen.append(memory_mb())


def make_dataset(samples: int) -> Any:
    made = fo.Dataset()
    for start in range(0, samples, 10_000):
        made.add_samples(
            [
                fo.Sample(filepath=f"/data/{number:07}.jpg", kind=fo.Classification(label=f"class {number % 100}"))
                for number in range(start, min(start + 10_000, samples))
            ]
        )
    return made


def set_values_alone(samples: Any, field: str) -> None:
    """Write as many floats with FiftyOne's `set_values`, with known ids."""
    ids = samples.values("id")
    samples.add_sample_field(field, fo.FloatField)
    for start in range(0, len(ids), CHUNK):
        samples.set_values(field, dict.fromkeys(ids[start : start + CHUNK], 0.5), key_field="id")


def memory_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def timed(work: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000, help="how many samples (default: 100,000)")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds (default: 3)")
    options = parser.parse_args()
    fo.config.show_progress_bars = False
    scored = make_dataset(options.samples)
    instant: Any = Instant()
    compute_memorability(scored[:1000], scorer=instant)
    rates, bare = [], []
    for number in range(options.rounds):
        ScoreField(scored, DEFAULT_FIELD).delete()
        before, memory = memory_mb(), Memory()
        summary = compute_memorability(scored, scorer=instant, progress=memory)
        rates.append(summary.scored / summary.elapsed_s)
        bare.append(options.samples / timed(partial(set_values_alone, scored, "bare")))
        scored.delete_sample_field("bare")
        print(
            f"round {number + 1}: {rates[-1]:,.0f} samples/s, set_values alone {bare[-1]:,.0f}; "
            f"memory +{memory.seen[0] - before:.0f} MB after a tenth, +{memory.seen[-1] - before:.0f} MB at the end",
            flush=True,
        )
    shares = [rate / most for rate, most in zip(rates, bare, strict=True)]
    print(
        f"written: {statistics.median(rates):,.0f} samples/s ({min(rates):,.0f}-{max(rates):,.0f}), "
        f"{statistics.median(shares):.0%} of what FiftyOne's set_values alone writes in chunks of {CHUNK}"
    )

    again = timed(lambda: compute_memorability(scored, scorer=instant))
    print(f"a second run, with nothing to do: {again:.2f} s")
    panel = PanelDriver(MemorabilityPanel(), scored)
    panel.event("on_load")
    panel.event("on_class_field", value="kind")
    views = {"the dataset": scored.view(), "a filtered view": scored.match(fo.ViewField(DEFAULT_FIELD) > 0.7)}
    for name, view in views.items():
        panel.view = view
        shown = [timed(partial(panel.event, "on_class_field", value="kind")) for _ in range(options.rounds)]
        print(
            f"the panel over {name}, everything that an event computes: {statistics.median(shown):.2f} s "
            f"({panel.data['statistics'].partition(' · ')[0]}, with means by class)"
        )
    scored.delete()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="resmem-bench-") as folder, own_mongod(Path(folder)):
        main()
