"""Runs over shards whose workers and driver are killed, with real clusters of two workers."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from PIL import Image

from resmem_plugin.distributed.shard_folder import ShardFolder
from tests.conftest import flat
from tests.distributed.driver import SHARD_ROWS
from tests.distributed.processes import kill_a_worker

ROWS, KILLS = 900, 10


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Rows whose scores tell them apart; every seventh fails."""
    for value in range(50):
        Image.fromarray(flat(value)).save(tmp_path / f"{value}.png")
    paths = [str(tmp_path / (f"{row % 50}.png" if row % 7 else "missing.png")) for row in range(ROWS)]
    path = tmp_path / "table.parquet"
    pd.DataFrame({"path": paths, "id": range(ROWS)}).to_parquet(path)
    return path


def start(cluster: str, table: Path, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.distributed.driver", cluster, str(table), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def shards_in(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.parquet") if not path.name.startswith(".")]  # those are unfinished


def wait_for(folder: Path, count: int, run: subprocess.Popen[str]) -> bool:
    """Wait until there are so many shards; False if the run ended before."""
    while run.poll() is None:
        if len(shards_in(folder)) >= count:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("cluster", ["ray", "dask"])
def test_killed_workers_and_a_killed_driver_change_nothing(cluster: str, table: Path, tmp_path: Path) -> None:
    folder, output = tmp_path / "shards", tmp_path / "out.parquet"
    first = start(cluster, table, folder)
    assert wait_for(folder, 10, first), first.communicate()
    children = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    for child in children:  # what a machine's end would end, too; while one lives, the pipes stay open
        with contextlib.suppress(psutil.Error):
            child.kill()
    first.communicate(timeout=120)
    before = {path: path.stat().st_mtime_ns for path in shards_in(folder)}

    second = start(cluster, table, folder)
    kills = 0
    while kills < KILLS and wait_for(folder, len(before) + 1 + 2 * kills, second):
        kills += kill_a_worker(cluster, second.pid)
        time.sleep(random.uniform(0, 0.3))
    out, err = second.communicate(timeout=120)
    assert second.returncode == 1, err  # some rows fail
    assert kills == KILLS
    assert f"{len(before)} of {ROWS // SHARD_ROWS} shards were done already" in out
    assert {path: path.stat().st_mtime_ns for path in before} == before

    assert ShardFolder(folder).merge(str(output)) == ROWS
    merged = pd.read_parquet(output)
    assert merged["id"].tolist() == list(range(ROWS))
    expected = [row % 50 / 255 if row % 7 else None for row in range(ROWS)]
    assert merged["memorability"].round(5).fillna(-1).tolist() == pytest.approx(
        [-1 if score is None else score for score in expected], abs=1e-5
    )
    assert (merged["error"].notna() == merged["memorability"].isna()).all()
