"""`python -m benchmarks.distributed`: rows through Ray Data on two cores, and what Ray and Dask cost beside `Scorer`.

`scale` streams references through `score_dataset` with a stand-in that gives each the same score without reading it:
rows per second, and this process's memory after each tenth. `overhead` scores photographs with the published network,
alternately with `Scorer`, one Ray worker and one Dask worker; a run over a few images is subtracted, as what a run
costs before its first image.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow as pa
import ray
import ray.data

from benchmarks.photographs import small
from resmem_plugin import Scorer, ScorerOptions
from resmem_plugin.core.scores import Score
from resmem_plugin.distributed.ray import score_dataset

_STORE_BYTES = 500 << 20
_FEW = 4


class Constant(Scorer):
    """Gives each image the same score, without reading it."""

    def iter_scores(self, images: Iterable[object], **_: Any) -> Iterator[Score]:  # type: ignore[override]
        """One score for each image."""
        return (Score(index, 0.5, None) for index, _ in enumerate(images))


def with_paths(batch: pa.Table) -> pa.Table:
    """A path for each id."""
    return batch.append_column("path", pa.array([f"photos/{number:09d}.jpg" for number in batch["id"].to_pylist()]))


def scale(counts: list[int], model: Any) -> None:
    """Print the time and the memory of each number of rows; the fastest of three runs over few rows is the start."""
    scorer = Constant(device="cpu", model=model)
    start_s = min(_stream(1000, scorer)[0] for _ in range(3))
    print(f"start: {start_s:.1f} s\n")
    print("| rows | seconds | us per row after the start | memory, MB, after each tenth | object store, MB, peak |")
    print("|---|---|---|---|---|")
    for count in counts:
        seconds, memory, store = _stream(count, scorer)
        per_row = (seconds - start_s) / count * 1e6
        print(f"| {count:,} | {seconds:.1f} | {per_row:.2f} | {memory} | {store >> 20} |", flush=True)


def _stream(count: int, scorer: Scorer) -> tuple[float, list[int], int]:
    """Seconds, this process's memory in MB after each tenth of the rows, and the object store's peak in bytes."""
    ds = ray.data.range(count, override_num_blocks=max(2, count // 50_000))
    ds = ds.map_batches(with_paths, batch_format="pyarrow", batch_size=10_000)
    scored = score_dataset(ds, options=scorer, batch_size=10_000, root="/data")
    memory: list[int] = []
    rows, peak, start_s = 0, 0.0, time.perf_counter()
    for batch in scored.iter_batches(batch_size=10_000, batch_format="pyarrow"):
        rows += len(batch)
        if rows % 100_000 == 0:
            peak = max(peak, _STORE_BYTES - ray.available_resources().get("object_store_memory", _STORE_BYTES))
        if rows >= count * (len(memory) + 1) / 10:
            memory.append(psutil.Process().memory_info().rss >> 20)
    assert rows == count
    return time.perf_counter() - start_s, memory, int(peak)


def overhead(images: int, rounds: int) -> None:
    """Print the speed of Ray and Dask over that of `Scorer`, round by round."""
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    import resmem_plugin.distributed.dask  # noqa: F401 (registers ddf.resmem)

    scorer, options = Scorer(device="cpu"), ScorerOptions(device="cpu")
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster),
    ):
        made = small(Path(folder) / "photographs")
        paths = [shutil.copy(made[number % len(made)], f"{folder}/{number}.jpg") for number in range(images)]
        ways: dict[str, Callable[[list[str]], object]] = {
            "Scorer": lambda some: list(scorer.iter_scores(some)),
            "Ray": lambda some: score_dataset(
                ray.data.from_pandas(pd.DataFrame({"path": some})), options=options
            ).take_all(),
            "Dask": lambda some: dd.from_pandas(pd.Series(some), npartitions=1).resmem.score(options=options).compute(),
        }
        ratios: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            rates = {
                name: (images - _FEW) / (_timed(way, paths) - _timed(way, paths[:_FEW])) for name, way in ways.items()
            }
            if number:  # the first round warms up
                for name, rate in rates.items():
                    ratios[name].append(rate / rates["Scorer"])
                print({name: round(rate, 2) for name, rate in rates.items()}, flush=True)
    print("| | x Scorer | (min-max) |\n|---|---|---|")
    for name, each in ratios.items():
        print(f"| {name} | {statistics.median(each):.3f} | {min(each):.3f}-{max(each):.3f} |")


def _timed(way: Callable[[list[str]], object], paths: list[str]) -> float:
    start_s = time.perf_counter()
    way(paths)
    return time.perf_counter() - start_s


def main() -> None:
    """Run what the command line names."""
    from torch import nn

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("scale", "overhead"))
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (it is 15)
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=_STORE_BYTES,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    if given.what == "scale":
        scale(given.rows, nn.Flatten())
    else:
        overhead(given.images, given.rounds)
    ray.shutdown()


if __name__ == "__main__":
    from benchmarks.distributed import main as imported_main  # so that workers can unpickle the stand-in

    imported_main()
