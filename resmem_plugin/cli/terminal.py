"""Messages of the `resmem` command on standard error, one line each, without terminal control codes."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from resmem_plugin.core.sanitize import printable


def echo_err(message: str) -> None:
    """Print a message on standard error, prefixed with the command's name."""
    print(f"resmem: {printable(message)}", file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors escape control characters, which file names may hold."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, and exit with 2."""
        super().error(printable(message))
