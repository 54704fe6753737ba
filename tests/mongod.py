"""A mongod of the tests: by itself FiftyOne would use one that the user runs already."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resmem_plugin.fiftyone.setup.database import find_database

_SETTINGS = ("FIFTYONE_DATABASE_URI", "FIFTYONE_PRIVATE_DATABASE_PORT")
_START_S = 60


@contextlib.contextmanager
def own_mongod(folder: Path) -> Iterator[str]:
    """Run one over an empty folder, and set FiftyOne's environment variables to it; yields its address."""
    with pytest.MonkeyPatch.context() as environment:
        for name in _SETTINGS:
            environment.delenv(name, raising=False)
        environment.setenv("FIFTYONE_CONFIG_PATH", str(folder / "none.json"))  # not the user's, which may name a server
        program, port = find_database(), free_port()
        (folder / "database").mkdir(parents=True)
        mongod = start_mongod(program, port, folder)
        address = f"mongodb://127.0.0.1:{port}"
        environment.setenv("FIFTYONE_DATABASE_URI", address)
        environment.setenv("FIFTYONE_DATABASE_VALIDATION", "false")  # it warns that the fallback's mongod is old
        environment.setenv("FIFTYONE_DO_NOT_TRACK", "true")
        if "fiftyone" in sys.modules:  # then it has read the environment already
            environment.setattr("fiftyone.config.database_uri", address)
        try:
            wait_until_it_answers(port)
            yield address
        finally:
            mongod.terminate()
            mongod.wait()


def start_mongod(program: str, port: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start one over the database in a folder, without waiting until it answers."""
    options = f"--port {port} --bind_ip 127.0.0.1 --nounixsocket".split()
    paths = ["--dbpath", str(folder / "database"), "--logpath", str(folder / "mongo.log"), "--logappend"]
    return subprocess.Popen([program, *options, *paths], stdout=subprocess.DEVNULL)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        assert time.monotonic() < deadline, f"mongod does not answer within {_START_S} s"
        time.sleep(0.05)
