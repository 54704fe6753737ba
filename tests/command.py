"""The `resmem` command with a network that can be reckoned by hand, in this process or in others that start at once."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pandas  # noqa: F401 (the processes that start from here need not import it)
import pyarrow.parquet  # noqa: F401

from resmem_plugin import cli
from resmem_plugin.core.scoring import scorer


class RedEngine:
    """The mean of the red channel, without torch.

    Args:
        sociable: scores change with a picture's company in the batch, as PyTorch's do in their last digit.
        forward_s: what a batch takes at least.
        fails_at: the image at which it fails, counted from 0; None: it never does.
    """

    name, device_type, precision, weights, batch_size, can_embed = "red", "cpu", "fp32", "0" * 64, 4, False
    calibration: str | None = None
    lookahead = 0
    decode_jpegs = None

    def __init__(self, forward_s: float = 0, fails_at: int | None = None, sociable: bool = True) -> None:
        self.forward_s, self.fails_at, self.sociable, self.scored = forward_s, fails_at, sociable, 0

    def forward(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        time.sleep(self.forward_s)
        self.scored += len(batch)
        if self.fails_at is not None and self.scored > self.fails_at:
            raise RuntimeError("pretend that the card is lost")
        reds: npt.NDArray[np.float32] = batch[..., 0].mean(axis=(1, 2), dtype=np.float32) / np.float32(255)
        if self.sociable:
            reds *= 1 + reds.mean() / 1000
        return reds

    def submit(self, batch: npt.NDArray[np.uint8]) -> Callable[[], npt.NDArray[np.float32]]:
        return partial(self.forward, batch)

    def embed(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        raise NotImplementedError


def start(
    arguments: list[str],
    folder: Path,
    *,
    forward_s: float = 0,
    limit_bytes: int | None = None,
    killed_at: str | None = None,
) -> ForkServerProcess:
    """Start the command in a process of its own, in a folder; what it says goes to the file `said` there.

    Args:
        arguments: of the command.
        folder: where it runs.
        forward_s: what a batch takes at least.
        limit_bytes: no file may become larger, as if the disk were full.
        killed_at: the function of `os` that kills it instead of doing what it should.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_run, args=(arguments, folder, forward_s, limit_bytes, killed_at))
    process.start()
    return process


def run(arguments: list[str], folder: Path, *, limit_bytes: int | None = None) -> tuple[int, str]:
    """`start` it, and wait for it: its exit code, and what it said."""
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
