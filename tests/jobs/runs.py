"""Runs of `resmem score`: in this process, in another one, and stopped ones that leave a checkpoint."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from resmem_plugin.cli import main
from tests import command
from tests.models import RedEngine

SUFFIXES = ("csv", "tsv", "jsonl", "parquet")

COMMAND = [str(Path(sys.executable).with_name("resmem"))]
"""The command as it is installed."""


def score(*arguments: str) -> int:
    """Run the command in this process; returns its exit code."""
    return main(["score", "--device", "cpu", *arguments])


def leave_checkpoint(count: int, out: str, use_engine: Callable[[RedEngine], RedEngine]) -> list[bytes]:
    """Leave a checkpoint as if a run had been killed after scoring about `count` images; returns its lines."""
    use_engine(RedEngine(fails_at=count))
    assert score("images", "-o", out) == 1
    lines = Path(f"{out}.partial").read_bytes().splitlines(keepends=True)
    assert 5 <= len(lines) < 41
    assert not os.path.exists(out)
    use_engine(RedEngine())
    return lines


def start_score(folder: Path, out: str, *arguments: str, forward_s: float = 0.02) -> ForkServerProcess:
    """Start the command on images/ in another process, with `RedEngine`."""
    return command.start(["score", "--device", "cpu", "images", "-o", out, *arguments], folder, forward_s=forward_s)


def wait_for_scores(out: Path) -> None:
    """Wait until the checkpoint of an output holds some scores."""
    partial = Path(f"{out}.partial")
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.read_bytes().count(b"\n") > 4):
        assert time.monotonic() < deadline
        time.sleep(0.005)
