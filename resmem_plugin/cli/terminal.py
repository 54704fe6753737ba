"""Messages of the `resmem` command on standard error, one line each, without terminal control codes."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

from resmem_plugin.core.sanitize import printable

_DOT_INTERVAL_S = 2.0


def echo_err(message: str) -> None:
    """Print a message on standard error, prefixed with the command's name."""
    print(f"resmem: {printable(message)}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def working(message: str) -> Iterator[None]:
    """Say on standard error what takes long in this context, and by a dot every two seconds that it goes on."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(_DOT_INTERVAL_S):
            print(".", end="", file=sys.stderr, flush=True)

    print(f"resmem: {printable(message)} ...", end="", file=sys.stderr, flush=True)
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        print(file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors escape control characters, which file names may hold."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, and exit with 2."""
        super().error(printable(message))
