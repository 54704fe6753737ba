from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from resmem_plugin import Scorer
from resmem_plugin.pandas.columns import score_column
from tests.distributed.images import rows


@pytest.fixture(scope="package")
def frame(photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The rows of `tests.distributed.images`."""
    return rows(photos, tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="package")
def expected(frame: pd.DataFrame, scorer: Scorer) -> pd.DataFrame:
    """The frame as pandas' accessor scores it, which scores each path once."""
    scored = score_column(frame, "path", errors="coerce", scorer=scorer, warn=False)
    return frame.join(scored)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray on this machine's loopback, for two workers."""
    import ray

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=200 << 20,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    yield
    ray.shutdown()
