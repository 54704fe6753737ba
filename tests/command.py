"""The `resmem` command with `RedEngine` for a network, in forked processes that start at once."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NoReturn

import pandas  # noqa: F401 (the processes that start from here need not import it)
import pyarrow.parquet  # noqa: F401

from resmem_plugin import cli
from resmem_plugin.core.scoring import scorer
from tests.models import RedEngine


def start(
    arguments: list[str],
    folder: Path,
    *,
    forward_s: float = 0,
    limit_bytes: int | None = None,
    killed_at: str | None = None,
) -> ForkServerProcess:
    """Start the command in another process, in a folder; its output goes to the file `said` there.

    Args:
        arguments: of the command.
        folder: where it runs.
        forward_s: the least time that a batch takes.
        limit_bytes: the largest file that it may write, as if the disk were full.
        killed_at: the function of `os` that kills it when it is called.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_run, args=(arguments, folder, forward_s, limit_bytes, killed_at))
    process.start()
    return process


def run(arguments: list[str], folder: Path, *, limit_bytes: int | None = None) -> tuple[int, str]:
    """`start` it, and wait for it; returns its exit code and output."""
    process = start(arguments, folder, limit_bytes=limit_bytes)
    process.join()
    assert process.exitcode is not None
    return process.exitcode, (folder / "said").read_text()


def _run(
    arguments: list[str], folder: Path, forward_s: float, limit_bytes: int | None, killed_at: str | None
) -> NoReturn:
    os.chdir(folder)
    said = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    if limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    if killed_at is not None:
        setattr(os, killed_at, lambda *_: signal.raise_signal(signal.SIGKILL))
    engine = RedEngine(forward_s)
    vars(scorer)["load_engine"] = lambda *_: engine
    sys.argv = ["resmem", *arguments]
    cli.run()
