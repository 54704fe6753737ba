"""Worker processes of Ray or Dask that score lists of images; each loads the network once."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.scoring.options import ScorerOptions, available_cores
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.distributed.partition import PartitionScorer

Cluster = Literal["ray", "dask"]
CLUSTERS: tuple[Cluster, ...] = ("ray", "dask")

_AHEAD = 2  # lists per worker that are under way
_MAX_DEATHS = 10  # of workers over one list
_MAX_RESTARTS = 1000
_IMAGES = "image"

_Key = TypeVar("_Key")


class Scored(NamedTuple):
    """The results of a list of images.

    Attributes:
        memorability: float32 (N,), NaN where there is no score.
        errors: why there is none, or None.
        provenance: the record of the scores' provenance.
    """

    memorability: npt.NDArray[np.float32]
    errors: list[str | None]
    provenance: dict[str, Any]


class Workers:
    """Runs lists of images on workers, at most two per worker at a time.

    Args:
        count: number of workers.
        submit: starts a list, and returns a future.
        wait: waits for one of the futures, and returns it with its result.
    """

    def __init__(
        self, count: int, submit: Callable[[list[object]], Any], wait: Callable[[list[Any]], tuple[Any, Scored]]
    ) -> None:
        self.count, self._submit, self._wait = count, submit, wait

    def map_unordered(self, tasks: Iterable[tuple[_Key, list[object]]]) -> Iterator[tuple[_Key, Scored]]:
        """Score each list of images, and yield its key with its results once it is done, in any order."""
        pending: dict[Any, _Key] = {}
        for key, images in tasks:
            pending[self._submit(images)] = key
            if len(pending) >= _AHEAD * self.count:
                yield self._next(pending)
        while pending:
            yield self._next(pending)

    def _next(self, pending: dict[Any, _Key]) -> tuple[_Key, Scored]:
        future, scored = self._wait(list(pending))
        return pending.pop(future), scored


@contextlib.contextmanager
def start_workers(
    cluster: Cluster, options: ScorerOptions | Scorer, *, address: str | None = None, count: int | None = None
) -> Iterator[Workers]:
    """Workers of a running cluster, or of one that is started on this machine's loopback and stopped at the end.

    Args:
        cluster: "ray" or "dask".
        options: how to score; or a `Scorer`, for a network of your own.
        address: of the running cluster; None: start one.
        count: number of workers. None: one per GPU of Ray, else one per machine; of a running Dask cluster all.

    Raises:
        OptionError: if there is no cluster at the address, for `count` with a running Dask cluster, or for int8 without
            a calibration.
        MissingPackageError: if Ray or Dask is not installed.
    """
    scorer = PartitionScorer(options, _IMAGES)
    device = (options.options if isinstance(options, Scorer) else options).device
    with _ray(scorer, device, address, count) if cluster == "ray" else _dask(scorer, address, count) as workers:
        yield workers


@contextlib.contextmanager
def _ray(scorer: PartitionScorer, device: str, address: str | None, count: int | None) -> Iterator[Workers]:
    from resmem_plugin.distributed.ray import default_size  # noqa: I001 (first: it says what to install)

    import ray

    if address is None:
        where: dict[str, Any] = {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    else:
        where = {"address": address}
    try:
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise OptionError(f"there is no Ray cluster at {address}: correct --address") from error
    try:
        gpus = int(device != "cpu" and ray.cluster_resources().get("GPU", 0) >= 1)
        count = count or default_size(gpus)
        actor = ray.remote(
            num_gpus=gpus,
            num_cpus=0,
            max_restarts=_MAX_RESTARTS,
            max_task_retries=_MAX_DEATHS,
            scheduling_strategy="SPREAD",
        )(_Actor)
        actors = [actor.remote(scorer, 1 if address else count) for _ in range(count)]
        numbers: dict[Any, int] = {}  # future -> number of its actor

        def submit(images: list[object]) -> Any:
            busy = Counter(numbers.values())
            number = min(range(count), key=lambda each: busy[each])
            future = actors[number].score.remote(images)
            numbers[future] = number
            return future

        def wait(futures: list[Any]) -> tuple[Any, Scored]:
            done = ray.wait(futures, num_returns=1)[0][0]
            del numbers[done]
            return done, ray.get(done)

        yield Workers(count, submit, wait)
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _dask(scorer: PartitionScorer, address: str | None, count: int | None) -> Iterator[Workers]:
    import resmem_plugin.distributed.dask  # noqa: F401, I001 (first: it says what to install)

    import dask
    from distributed import Client, LocalCluster
    from distributed import wait as wait_for

    if address is not None and count is not None:
        raise OptionError("--workers is for a cluster that is started here: this one has its own, leave it out")
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": _MAX_DEATHS}))
        if address is None:
            address = stack.enter_context(
                LocalCluster(
                    n_workers=count or 1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, protocol="tcp"
                )
            )
        try:
            client = stack.enter_context(Client(address, timeout="30s"))
        except OSError as error:
            raise OptionError(f"there is no Dask scheduler at {address}: correct --address") from error

        def submit(images: list[object]) -> Any:
            return client.submit(_score, scorer, images, pure=False)

        def wait(futures: list[Any]) -> tuple[Any, Scored]:
            done = next(iter(wait_for(futures, return_when="FIRST_COMPLETED").done))
            return done, done.result()

        yield Workers(max(1, len(client.scheduler_info(-1)["workers"])), submit, wait)


class _Actor:
    """A worker of Ray."""

    def __init__(self, scorer: PartitionScorer, on_this_machine: int) -> None:
        os.environ["OMP_NUM_THREADS"] = str(max(1, available_cores() // on_this_machine))  # Ray sets 1
        self._scorer = scorer

    def score(self, images: list[object]) -> Scored:
        return _score(self._scorer, images)


def _score(scorer: PartitionScorer, images: list[object]) -> Scored:
    results = scorer({_IMAGES: images})
    return Scored(results["memorability"], list(results["error"]), scorer.scorer.provenance.to_record())
