"""Dask: importing this module registers `ddf.resmem.score("path")`, as `df.resmem` is for pandas.

For `dask.bag` and `dask.delayed` there is `partition.score_partition`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from resmem_plugin.core.errors import MissingPackageError
from resmem_plugin.distributed.partition import PartitionScorer, check_column

try:
    import dask.dataframe as dd
    from dask.dataframe.extensions import register_dataframe_accessor, register_series_accessor
except ImportError as error:
    raise MissingPackageError('Dask is not installed: pip install "resmem-plugin[dask]"') from error

if TYPE_CHECKING:
    from collections.abc import Hashable

    from resmem_plugin.core.scoring.options import ScorerOptions
    from resmem_plugin.core.scoring.scorer import Scorer

_IMAGES, _MEMORABILITY, _ERROR = "images", "memorability", "error"


@register_series_accessor("resmem")
@register_dataframe_accessor("resmem")
class ResMemAccessor:
    """Memorability of the images in a column of a Dask DataFrame, or in a Series, for which `column` is omitted.

    Examples:
        >>> import dask.dataframe as dd
        >>> import pandas as pd
        >>> import resmem_plugin.distributed.dask  # registers the accessor
        >>> ddf = dd.from_pandas(pd.DataFrame({"path": ["coffee.png", "rocket.jpg"]}), npartitions=2)
        >>> [round(score, 2) for score in ddf.resmem.score("path").compute()]
        [0.88, 0.64]
    """

    def __init__(self, data: dd.DataFrame | dd.Series) -> None:
        self._data = data

    def score(
        self,
        column: Hashable = None,
        *,
        options: ScorerOptions | Scorer | None = None,
        root: str | os.PathLike[str] | None = None,
        return_errors: bool = False,
    ) -> dd.Series | dd.DataFrame:
        """Score the images in a column, lazily, one partition at a time; the index and the partitions stay.

        A worker loads the network once. To use workers with a GPU, start them with `--resources GPU=1` and compute
        the result with `client.compute(scores, resources={"GPU": 1})`.

        Args:
            column: label of the column. Omit it on a Series.
            options: how to score; or a `Scorer`, for a network of your own.
            root: folder or URL that relative paths are joined to. Default: the current folder of this process, which
                must be the same place on all workers.
            return_errors: return the reasons too, as a second column.

        Returns:
            float32 Series "memorability" in [0, 1], NaN where there is no score; with `return_errors` a DataFrame
            [memorability, error].

        Raises:
            OptionError: if there is no such column, or for int8 without a calibration.
            TypeError: if the column is missing for a DataFrame, or given for a Series.

        Examples:
            >>> import dask.dataframe as dd
            >>> import pandas as pd
            >>> import resmem_plugin.distributed.dask
            >>> paths = dd.from_pandas(pd.Series(["coffee.png", "missing.png"]), npartitions=1)
            >>> paths.resmem.score(return_errors=True).compute()["error"][1]
            'no such file: ...'
        """
        is_series = isinstance(self._data, dd.Series)
        if is_series == (column is not None):
            raise TypeError(
                f"a Series is one column: omit {column!r}"
                if is_series
                else f'name the column of images, as in ddf.resmem.score("path"): one of {list(self._data.columns)}'
            )
        if not is_series:
            check_column(self._data.columns, column)
        images = self._data if is_series else self._data[column]
        scorer = PartitionScorer(options, _IMAGES, root=os.getcwd() if root is None else root)
        empty = pd.DataFrame({_MEMORABILITY: pd.Series([], dtype=np.float32), _ERROR: pd.Series([], dtype=object)})
        scored = images.map_partitions(_score, scorer, meta=empty)
        return scored if return_errors else scored[_MEMORABILITY]


def _score(images: pd.Series[Any], scorer: PartitionScorer) -> pd.DataFrame:
    return scorer(images.to_frame(_IMAGES))[[_MEMORABILITY, _ERROR]]
