"""Workers that are lost in a way that Dask itself does not mend."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.distributed import workers
from resmem_plugin.distributed.workers import Cluster, start_workers
from tests.conftest import flat
from tests.distributed.processes import kill_a_worker


def test_a_dask_worker_that_takes_too_long_to_start_again_is_replaced(
    red: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_LOST_S", 0.1)  # as on a busy machine, where 15 s are not enough
    monkeypatch.setattr(workers, "_CHECK_S", 1)
    Image.fromarray(flat(51)).save(tmp_path / "a.png")
    images: list[object] = [str(tmp_path / "a.png")]
    with start_workers(Cluster("dask", workers=1), red) as started:
        assert len(list(started.map([images]))) == 1
        assert kill_a_worker("dask")
        assert [each.errors for each in started.map([images] * 3)] == [[None]] * 3
