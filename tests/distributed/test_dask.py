"""Dask over the same core, with its threads and with worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dask
import dask.bag
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.distributed import Client, LocalCluster
from PIL import Image

import resmem_plugin.distributed.dask  # noqa: F401 (registers the accessor)
from resmem_plugin import Scorer, ScorerOptions
from resmem_plugin.core.errors import OptionError
from resmem_plugin.distributed.partition import score_partition
from tests.conftest import flat


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two worker processes, on loopback."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.mark.weights
def test_dask_gives_the_index_scores_and_reasons_of_pandas(
    frame: pd.DataFrame, expected: pd.DataFrame, client: Client
) -> None:
    frame = frame.set_index(pd.Index(range(1000, 1000 + len(frame)), name="key"))
    lazy = dd.from_pandas(frame, npartitions=2).resmem.score(
        "path", options=ScorerOptions(device="cpu"), return_errors=True
    )
    scored = lazy.compute(scheduler=client)
    assert scored.index.equals(frame.index)
    np.testing.assert_allclose(scored["memorability"], expected["memorability"], atol=1e-6)
    assert scored["error"].fillna("").tolist() == expected["error"].fillna("").tolist()


def test_the_result_is_lazy_and_its_types_are_known(red: Scorer, tmp_path: Path) -> None:
    Image.fromarray(flat(51)).save(tmp_path / "a.png")
    paths = pd.Series(["a.png", "none.png", None, "a.png"], index=[3, 3, 1, 0], name="file")
    lazy = dd.from_pandas(paths, npartitions=2, sort=False).resmem.score(options=red, root=tmp_path)
    assert (lazy.dtype, lazy.name) == (np.dtype(np.float32), "memorability")
    scored = lazy.compute(scheduler="threads")
    assert scored.index.tolist() == [3, 3, 1, 0]
    assert scored.dtype == np.float32
    np.testing.assert_allclose(scored, [0.2, np.nan, np.nan, 0.2], atol=1e-6)


def test_a_column_that_is_missing_or_too_many_is_refused_at_once(red: Scorer) -> None:
    ddf = dd.from_pandas(pd.DataFrame({"path": ["a.png"]}), npartitions=1)
    with pytest.raises(OptionError, match=r"no column 'file': choose one of \['path'\]"):
        ddf.resmem.score("file", options=red)
    with pytest.raises(TypeError, match=r"as in ddf.resmem.score\(\"path\"\): one of \['path'\]"):
        ddf.resmem.score(options=red)
    with pytest.raises(TypeError, match="omit 'path'"):
        ddf["path"].resmem.score("path", options=red)


def test_a_column_named_as_a_result_is_no_obstacle(red: Scorer) -> None:
    ddf = dd.from_pandas(pd.DataFrame({"path": ["none.png"], "error": [1]}), npartitions=1)
    assert ddf.resmem.score("path", options=red).compute(scheduler="sync").isna().all()


def test_bags_and_delayed_use_the_function(red: Scorer, tmp_path: Path) -> None:
    Image.fromarray(flat(51)).save(tmp_path / "a.png")
    images = [str(tmp_path / "a.png"), str(tmp_path / "none.png")] * 3
    bag = dask.bag.from_sequence(images, npartitions=2).map_partitions(score_partition, red)
    assert [score.ok for score in bag.compute(scheduler="threads")] == [True, False] * 3
    assert [score.ok for score in dask.delayed(score_partition)(images, red).compute()] == [True, False] * 3
