"""Scores one batch of rows in a worker process: what Ray and Dask run."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Hashable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.sources import join_root
from resmem_plugin.core.scores import Score
from resmem_plugin.core.scoring.options import ScorerOptions, available_cores
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.jobs.outputs import RESULT_COLUMNS, check_not_taken

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    Batch = TypeVar("Batch", pa.Table, pd.DataFrame, Mapping[str, Any])

_MAX_SCORERS = 2  # a process keeps as many networks

_loading = threading.Lock()


class PartitionScorer:
    """Scores batches of rows, and can be pickled: each process loads the network once, at its first batch.

    A path, URL or file that is in a batch several times is decoded and scored once. An image that cannot be scored is
    a row with a reason; nothing is raised for it.

    Args:
        options: how to score; or a `Scorer`, for a network of your own. int8 needs a `calibration`, as each process
            would calibrate on other images.
        column: the column of images: paths, URLs, bytes, structs of bytes and path, or arrays of pixels.
        root: folder or URL that relative paths are joined to. Default: each process's current folder.

    Raises:
        OptionError: for int8 without a calibration.

    Examples:
        >>> import pandas as pd
        >>> from resmem_plugin import ScorerOptions
        >>> from resmem_plugin.distributed.partition import PartitionScorer
        >>> score = PartitionScorer(ScorerOptions(device="cpu"), "path")
        >>> scored = score(pd.DataFrame({"path": ["coffee.png", "missing.png"]}, index=[7, 8]))
        >>> [round(value, 2) for value in scored["memorability"]], scored["error"][8]
        ([0.88, nan], 'no such file: check the path, and the folder that relative paths start from')
    """

    def __init__(
        self,
        options: ScorerOptions | Scorer | None = None,
        column: Hashable = "path",
        *,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        self._options = _pickled(options)
        self.column, self.root = column, root
        if isinstance(options, ScorerOptions) and options.precision == "int8" and options.calibration is None:
            raise OptionError(
                "precision='int8' is calibrated on images, and each worker would take others: name them with "
                "ScorerOptions(precision='int8', calibration=...)"
            )

    @property
    def scorer(self) -> Scorer:
        """This process's scorer, which all batches share; the first use loads the network."""
        return _shared(self._options)

    def __call__(self, batch: Batch) -> Batch:
        """Add the columns of results to a batch: a pyarrow Table, a DataFrame, or a dict of columns.

        Returns:
            A new batch of the same kind, with the same rows in the same order, and "memorability" (float32 in [0, 1];
            NaN, in Arrow null, where there is none), "error" (why there is none, or None) and "provenance" (the id).

        Raises:
            OptionError: if the column of images is missing, or there are columns of these names.
        """
        check_names(getattr(batch, "column_names", batch), self.column)
        scorer, column = self.scorer, cast("Any", batch)[self.column]
        images = list(column.to_pylist() if hasattr(column, "to_pylist") else column)
        if self.root is not None and not scorer.options.base64:
            images = [join_root(self.root, image) for image in images]
        keys = [image if isinstance(image, (str, bytes)) else row for row, image in enumerate(images)]
        unique = dict(zip(keys, images, strict=True))
        scored = dict(zip(unique, scorer.iter_scores(unique.values()), strict=True))
        scores = [scored[key] for key in keys]
        memorability = np.array([score.memorability for score in scores], np.float32)
        errors = [score.error for score in scores]
        provenance = [scorer.provenance.id] * len(scores)
        results = dict(zip(RESULT_COLUMNS, (memorability, errors, provenance), strict=True))
        return cast("Batch", _with_columns(batch, results))


def score_partition(images: Iterable[object], options: ScorerOptions | Scorer | None = None) -> list[Score]:
    """Score the images of one partition: for `dask.bag`'s `map_partitions`, and `dask.delayed`.

    Each process loads the network once, whatever the number of partitions.

    Args:
        images: what `Scorer.score` takes.
        options: how to score, or a `Scorer`.

    Returns:
        One `Score` for each image, in the order given.

    Examples:
        >>> from resmem_plugin.distributed.partition import score_partition
        >>> [round(score.memorability, 2) for score in score_partition(["coffee.png", "rocket.jpg"])]
        [0.88, 0.64]
    """
    return list(_shared(_pickled(options)).iter_scores(images))


def _pickled(options: ScorerOptions | Scorer | None) -> bytes | Scorer:
    return options if isinstance(options, Scorer) else pickle.dumps(options or ScorerOptions())


def _shared(options: bytes | Scorer) -> Scorer:
    if isinstance(options, Scorer):
        return options
    with _loading:  # two threads would load the network twice
        return _scorer(options)


@lru_cache(_MAX_SCORERS)
def _scorer(options: bytes) -> Scorer:
    return Scorer.of(pickle.loads(options))  # noqa: S301 (of `_pickled`)


def share_cores(workers: int) -> None:
    """Give PyTorch this process's share of the cores, of a machine with so many workers: Ray and Dask give it one."""
    threads = max(1, available_cores() // workers)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if torch := sys.modules.get("torch"):  # which read the variable when it was imported
        torch.set_num_threads(threads)


def check_names(names: Iterable[Hashable], column: Hashable) -> None:
    """Check that there is a column of images, and that those of results can be added.

    Raises:
        OptionError: if not.
    """
    names = list(names)
    check_column(names, column)
    check_not_taken(RESULT_COLUMNS, names)


def check_column(names: Iterable[Hashable], column: Hashable) -> None:
    """Check that one column has this name.

    Raises:
        OptionError: if none or several have.
    """
    names = list(names)
    if names.count(column) != 1:
        raise OptionError(
            f"{'several columns are named' if column in names else 'no column'} {column!r}: choose one of {names}"
        )


def _with_columns(batch: Any, columns: Mapping[str, Any]) -> Any:
    if hasattr(batch, "column_names"):
        import pyarrow as pa

        types = {"memorability": pa.float32()}
        for name, values in columns.items():
            batch = batch.append_column(name, pa.array(values, types.get(name, pa.string()), from_pandas=True))
        return batch
    if hasattr(batch, "columns"):
        import pandas as pd

        added = {name: pd.Series(values, batch.index, _DTYPES.get(name)) for name, values in columns.items()}
        return batch.assign(**added)
    return {**batch, **{name: np.array(values, _DTYPES.get(name)) for name, values in columns.items()}}


_DTYPES = {"memorability": np.dtype(np.float32), "error": np.dtype(object), "provenance": np.dtype(object)}
