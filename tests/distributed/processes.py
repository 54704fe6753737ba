"""The worker processes of a cluster that runs on this machine."""

from __future__ import annotations

import contextlib
import random

import psutil

MARKS = {"ray": "ray::_Actor", "ray data": "MapWorker", "dask": "multiprocessing"}
"""What the command line of a worker holds."""


def kill_a_worker(cluster: str, driver: int | None = None) -> bool:
    """Kill one of the workers that a process has started, by default this one; False if there is none."""
    workers = [child for child in psutil.Process(driver).children(recursive=True) if _is_worker(child, MARKS[cluster])]
    if workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            random.choice(workers).kill()
    return bool(workers)


def _is_worker(process: psutil.Process, mark: str) -> bool:
    with contextlib.suppress(psutil.Error):
        command = " ".join(process.cmdline())
        return mark in command and "resource_tracker" not in command
    return False
