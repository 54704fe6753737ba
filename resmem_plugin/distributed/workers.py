"""Worker processes of Ray or Dask that score lists of images; each loads the network once."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.scoring.options import ScorerOptions
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.distributed.partition import PartitionScorer, share_cores

_ANSWER_S = 30
_AHEAD = 2  # lists per worker that are under way
_MAX_DEATHS = 10  # of workers over one list
_MAX_RESTARTS = 1000
_LOST_S = 60  # Dask gives up a worker of a local cluster that does not start again within so long, by default 15
_CHECK_S = 10
_IMAGES = "image"

_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Cluster:
    """A cluster that scores: one that runs, or one that is started on this machine's loopback for the run.

    Attributes:
        kind: "ray" or "dask".
        address: of the running cluster, as `ray.init` or `dask.distributed.Client` takes it; None: start one.
        workers: their number. None: one per GPU of Ray, else one per machine; of a running Dask cluster all.

    Raises:
        OptionError: for another kind, or `workers` of a running Dask cluster.

    Examples:
        >>> from resmem_plugin.distributed.workers import Cluster
        >>> Cluster("ray", workers=2)
        Cluster(kind='ray', address=None, workers=2)
    """

    kind: Literal["ray", "dask"]
    address: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("ray", "dask"):
            raise OptionError(f"a cluster is 'ray' or 'dask', not {self.kind!r}")
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"workers must be at least 1, not {self.workers!r}")
        if self.kind == "dask" and self.address is not None and self.workers is not None:
            raise OptionError("a running Dask cluster has its own workers: leave their number out")


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

    def map(self, lists: Iterable[list[object]]) -> Iterator[Scored]:
        """Score each list of images, and yield their results in order."""
        done: dict[int, Scored] = {}
        position = 0
        for number, scored in self.map_unordered(enumerate(lists)):
            done[number] = scored
            while position in done:
                yield done.pop(position)
                position += 1

    def _next(self, pending: dict[Any, _Key]) -> tuple[_Key, Scored]:
        future, scored = self._wait(list(pending))
        return pending.pop(future), scored


@contextlib.contextmanager
def start_workers(cluster: Cluster, options: ScorerOptions | Scorer) -> Iterator[Workers]:
    """Workers of a cluster. One that was started for them is stopped at the end.

    Args:
        cluster: which.
        options: how to score; or a `Scorer`, for a network of your own.

    Raises:
        OptionError: if there is no cluster at the address, or for int8 without a calibration.
        MissingPackageError: if Ray or Dask is not installed.
    """
    if cluster.address is not None:
        _require_answer(cluster.kind, cluster.address)
    scorer = PartitionScorer(options, _IMAGES)
    device = (options.options if isinstance(options, Scorer) else options).device
    with _ray(scorer, device, cluster) if cluster.kind == "ray" else _dask(scorer, cluster) as workers:
        yield workers


@contextlib.contextmanager
def _ray(scorer: PartitionScorer, device: str, cluster: Cluster) -> Iterator[Workers]:
    from resmem_plugin.distributed.ray import default_size, workers_per_machine  # noqa: I001 (it says what to install)

    import ray

    address = cluster.address
    if address is None:
        where: dict[str, Any] = {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    else:
        where = {"address": address}
    try:
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError) as error:
        raise _no_cluster("ray", address) from error
    try:
        gpus = int(device != "cpu" and ray.cluster_resources().get("GPU", 0) >= 1)
        count = cluster.workers or default_size(gpus)
        actor = ray.remote(
            num_gpus=gpus,
            num_cpus=0,
            max_restarts=_MAX_RESTARTS,
            max_task_retries=_MAX_DEATHS,
            scheduling_strategy="SPREAD",
        )(_Actor)
        sharing = workers_per_machine(count)
        actors = [actor.remote(scorer, sharing) for _ in range(count)]
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
            try:
                return done, ray.get(done)
            except ray.exceptions.RayTaskError as error:  # whose text is the worker's traceback
                raise error.cause from None

        yield Workers(count, submit, wait)
    finally:
        ray.shutdown()


def _require_answer(kind: str, address: str) -> None:
    """Check that something listens at an address: Ray itself tries for ten minutes.

    Raises:
        OptionError: if nothing does.
    """
    scheme, _, place = address.rpartition("://")
    host, _, port = place.rpartition(":")
    if scheme not in ("", "ray", "tcp", "tls") or not port.isdecimal():  # "auto", say, which Ray looks up
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(kind, address, f" ({error})") from error


def _no_cluster(kind: str, address: str | None, reason: str = "") -> OptionError:
    return OptionError(
        f"there is no {kind.capitalize()} cluster at {address}{reason}: correct the address, or start it"
    )


@contextlib.contextmanager
def _dask(scorer: PartitionScorer, cluster: Cluster) -> Iterator[Workers]:
    import resmem_plugin.distributed.dask  # noqa: F401, I001 (first: it says what to install)

    import dask
    from distributed import Client, LocalCluster
    from distributed import wait as wait_for

    address: Any = cluster.address
    local: Any = None
    with contextlib.ExitStack() as stack:
        settings = {
            "distributed.scheduler.allowed-failures": _MAX_DEATHS,
            "distributed.deploy.lost-worker-timeout": _LOST_S,
        }
        stack.enter_context(dask.config.set(settings))
        sharing = None if address else cluster.workers or 1  # a running cluster's workers keep the threads they have
        if address is None:
            address = local = stack.enter_context(
                LocalCluster(
                    n_workers=cluster.workers or 1,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    protocol="tcp",
                )
            )
        try:
            client = stack.enter_context(Client(address, timeout=_ANSWER_S))
        except OSError as error:
            raise _no_cluster("dask", address) from error

        def submit(images: list[object]) -> Any:
            return client.submit(_score, scorer, images, sharing, pure=False)

        def wait(futures: list[Any]) -> tuple[Any, Scored]:
            while True:
                with contextlib.suppress(TimeoutError):
                    finished = wait_for(futures, timeout=_CHECK_S, return_when="FIRST_COMPLETED").done
                    break
                if local is not None:  # a worker that was given up is replaced
                    local.scale(cluster.workers or 1)
            done = next(iter(finished))
            return done, done.result()

        yield Workers(max(1, len(client.scheduler_info(-1)["workers"])), submit, wait)


class _Actor:
    """A worker of Ray."""

    def __init__(self, scorer: PartitionScorer, sharing: int) -> None:
        share_cores(sharing)
        self._scorer = scorer

    def score(self, images: list[object]) -> Scored:
        return _score(self._scorer, images)


def _score(scorer: PartitionScorer, images: list[object], sharing: int | None = None) -> Scored:
    if sharing is not None:
        share_cores(sharing)
    results = scorer({_IMAGES: images})
    return Scored(results["memorability"], list(results["error"]), scorer.scorer.provenance.to_record())
