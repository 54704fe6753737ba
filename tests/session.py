"""What the processes of a test session share: a folder for what is expensive and made once, where it is first needed.

pytest's main process makes the folder and removes it; the workers of pytest-xdist and the processes that tests start
inherit its name in an environment variable.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from resmem_plugin.core.scoring.options import available_cores

_VARIABLE = "RESMEM_TESTS_SESSION"


def session_folder() -> Path:
    """The folder that the processes of this session share; only this user may enter it."""
    if _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = tempfile.mkdtemp(prefix="resmem-tests-session-")
        atexit.register(_remove, os.environ[_VARIABLE], os.getpid())
    return Path(os.environ[_VARIABLE])


def _remove(folder: str, creator: int) -> None:
    if os.getpid() == creator:  # a forked process would take it from the others
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def session_lock(name: str) -> Iterator[None]:
    """Wait until no other process of this session holds the lock of this name, and hold it."""
    with (session_folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed, or the process is killed
        yield


def limit_threads() -> None:
    """Give each worker of pytest-xdist its share of the cores in torch, and in the processes that it starts.

    OpenMP's threads wait for each other in a loop: where they are more than the cores, a forward pass takes up to ten
    times the CPU time. Must be called before torch is imported.
    """
    workers = os.environ.get("PYTEST_XDIST_WORKER_COUNT")
    if workers is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // int(workers))))
