"""What the `resmem` command says to a person: on standard error, a line each, and no command to the terminal."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from resmem_plugin.core.sanitize import printable


def echo_err(message: str) -> None:
    """Say something on standard error, after the command's name."""
    print(f"resmem: {printable(message)}", file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """A parser that repeats wrong arguments, which may be names of files, as safely."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with 2."""
        super().error(printable(message))
