"""The processes that decode images for this one."""

from __future__ import annotations

import contextlib

import psutil


def find_worker_processes(of: int | None = None) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(of).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            if "serve(*sys.argv" in " ".join(child.cmdline()):
                found.append(child)
    return found


def wait_for_end(processes: list[psutil.Process]) -> None:
    assert not psutil.wait_procs(processes, timeout=10)[1]
