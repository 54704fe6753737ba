"""The App's server in a separate process; stopping it ends all of its processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
START_S = 120
STOP_S = 15


class AppServer:
    """FiftyOne's App on a free port of the loopback, with the tests' database and plugins folder.

    Args:
        folder: an empty folder, for its log.
        stand_in: the network to use instead of ResMem, one of `models.STAND_INS`.
    """

    def __init__(self, folder: Path, stand_in: str | None = None) -> None:
        self._log = folder / "server.log"
        self._forwarded = folder / "forwarded"
        self._forwarded.touch()
        self.port = _free_port()
        command = [sys.executable, "-m", "tests.browser.serve", "--port", str(self.port)]
        if stand_in:
            command += ["--stand-in", stand_in, "--forwarded", str(self._forwarded)]
        with self._log.open("wb") as log:
            self._process = psutil.Popen(
                command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    @property
    def address(self) -> str:
        """Where the App is served."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def forwarded(self) -> int:
        """Images that the stand-in network has seen since the server started."""
        return self._forwarded.stat().st_size

    @property
    def log(self) -> str:
        """What the server has printed."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """End the server and everything it started."""
        family: list[psutil.Process] = [self._process]
        try:
            family += self._process.children(recursive=True)
            os.killpg(self._process.pid, signal.SIGKILL)  # it has no state to save; SIGTERM would wait for open windows
        except (psutil.NoSuchProcess, ProcessLookupError):
            pass
        _, alive = psutil.wait_procs(family, timeout=STOP_S)
        for process in alive:
            process.kill()
        _, alive = psutil.wait_procs(alive, timeout=STOP_S)
        assert not alive, f"these processes of the App's server do not end: {alive}"

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"the App's server ended at once:\n{self.log}"
            try:
                with urllib.request.urlopen(f"{self.address}/fiftyone", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError(f"the App's server did not answer within {START_S} s:\n{self.log}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
