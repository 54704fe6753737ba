"""Ray Data: `score_dataset` adds the scores to a `ray.data.Dataset`.

Importing this module turns Ray's usage reports off, unless `RAY_USAGE_STATS_ENABLED` is set.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from resmem_plugin.core.errors import MissingPackageError
from resmem_plugin.distributed.partition import PartitionScorer, check_names, share_cores

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

try:
    import ray
    import ray.data
except ImportError as error:
    raise MissingPackageError('Ray is not installed: pip install "resmem-plugin[ray]"') from error

if TYPE_CHECKING:
    import pyarrow as pa

    from resmem_plugin.core.scoring.options import ScorerOptions
    from resmem_plugin.core.scoring.scorer import Scorer

_LOADING_DEATHS = 5  # of actors, one after the other
_ROWS = 256  # of a batch: the network waits for the first images of each


def score_dataset(
    ds: ray.data.Dataset,
    column: str = "path",
    *,
    options: ScorerOptions | Scorer | None = None,
    root: str | os.PathLike[str] | None = None,
    num_gpus: float = 0,
    concurrency: int | None = None,
    batch_size: int = _ROWS,
) -> ray.data.Dataset:
    """Score the images of a Ray Data set, lazily: nothing is read or scored before the result is consumed.

    The rows stream through a pool of actors, each with one copy of the network. An actor that dies, even while it
    loads the network, is started again, and its batch is scored again. Ray does not keep the order of rows: all columns
    stay with their row.

    Args:
        ds: the data set, from `read_parquet`, `read_images`, `from_pandas`, ...
        column: its column of images: paths, URLs, bytes, structs of bytes and path, or arrays of pixels.
        options: how to score; or a `Scorer`, for a network of your own.
        root: folder or URL that relative paths are joined to. Default: the current folder of this process, which
            must be the same place on all machines.
        num_gpus: GPUs per actor, which may be a fraction. 0: the actors use CPUs, or what `options.device` names.
        concurrency: number of actors. None: one per GPU; without GPUs one per machine, because the network uses all
            of a machine's cores.
        batch_size: rows that an actor gets at once.

    Returns:
        The data set with the columns "memorability" (float32 in [0, 1], null where there is no score), "error" (why
        there is none, or null) and "provenance" (its id).

    Raises:
        OptionError: if the column is missing, there are columns of these names, or for int8 without a calibration.

    Examples:
        >>> import ray
        >>> from resmem_plugin.distributed.ray import score_dataset
        >>> _ = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
        >>> ds = ray.data.from_items([{"path": "coffee.png", "id": 7}])
        >>> [(row["id"], round(row["memorability"], 2)) for row in score_dataset(ds).take_all()]
        [(7, 0.88)]
        >>> ray.shutdown()
    """
    scorer = PartitionScorer(options, column, root=os.getcwd() if root is None else root)
    schema = ds.schema(fetch_if_missing=False)
    if schema is not None:
        check_names(schema.names, column)
    count = concurrency or default_size(num_gpus)
    scored = ds.map_batches(
        _Worker,
        fn_constructor_args=(scorer, workers_per_machine(count)),
        batch_size=batch_size,
        batch_format="pyarrow",  # numpy would turn integers with nulls into floats
        compute=ray.data.ActorPoolStrategy(size=count),
        num_gpus=num_gpus or None,
        num_cpus=None if num_gpus else 0,  # what reads and writes needs some, too
    )
    if not scored.context.max_consecutive_actor_init_deaths:  # 0 ends the job when one is out of memory while loading
        scored.context.max_consecutive_actor_init_deaths = _LOADING_DEATHS
    return scored


class _Worker:
    """An actor: loads the network when it starts, not at its first batch."""

    def __init__(self, scorer: PartitionScorer, sharing: int) -> None:
        share_cores(sharing)
        self._scorer = scorer
        scorer.scorer  # noqa: B018 (loads the network)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return self._scorer(batch)


def default_size(num_gpus: float) -> int:
    """The number of workers: one per GPU, or one per machine."""
    machines = _machines()
    return max(1, int(ray.cluster_resources().get("GPU", 0) / num_gpus)) if num_gpus else machines


def workers_per_machine(workers: int) -> int:
    """How many of the workers there are on a machine, if they are spread evenly."""
    return math.ceil(workers / _machines())


def _machines() -> int:
    if not ray.is_initialized():
        ray.init()
    return max(1, sum(bool(node["Alive"] and node["Resources"].get("CPU")) for node in ray.nodes()))
