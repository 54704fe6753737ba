"""The `resmem` command.

Results go to standard output, progress and warnings to standard error. Exit codes: 0 all scored, 1 some failed, 2 wrong
usage, 130 interrupted, 143 ended by SIGTERM. What takes long to import is imported when an interrupt is looked for.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn, TextIO

from resmem_plugin.core.errors import OptionError, ResMemError, ResMemWarning
from resmem_plugin.core.scores import package_version
from resmem_plugin.stopping import exit_code, expendable, take_sigterm, undisturbed
from resmem_plugin.terminal import Parser, tell


def run() -> NoReturn:
    """What the console script calls: `main`, then out.

    Python would take half a second to take the loaded network and torch apart before it exits, for nothing.
    """
    take_sigterm()
    if sys.stderr is None:  # closed, as by `2>&-`
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    try:
        code = main()
    except SystemExit as usage:  # argparse has said what is wrong
        code = usage.code if isinstance(usage.code, int) else 2
    with undisturbed():
        with contextlib.suppress(OSError, ValueError, AttributeError):  # what matters is flushed already
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        warnings.simplefilter("always", ResMemWarning)
        try:
            with expendable():
                options = _parser().parse_args(arguments)
            return int(options.run(options))
        except OptionError as error:
            tell(f"error: {error}")
            return 2
        except BrokenPipeError:  # `resmem score ... | head`: the reader has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except (ResMemError, OSError) as error:
            tell(f"error: {error}")
            return 1
        except KeyboardInterrupt as stop:
            tell("interrupted")
            return exit_code(stop)


def _parser() -> argparse.ArgumentParser:
    from resmem_plugin import cli_cache, cli_fiftyone, cli_score

    parser = Parser(prog="resmem", description="How memorable are these pictures? ResMem's answer, 0 to 1.")
    parser.add_argument("--version", action="version", version=f"resmem-plugin {package_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    cli_score.add_command(commands)
    commands.add_parser("weights", help="where the weights are, their hash, their licence").set_defaults(run=_weights)
    cli_cache.add_commands(commands)
    cli_fiftyone.add_commands(commands)
    return parser


def _weights(options: argparse.Namespace) -> int:  # noqa: ARG001 (every command takes its options)
    from resmem_plugin.core.weights import LICENCE, find_weights, verify

    weights = find_weights()
    verify(weights)
    print(f"path      {weights.path}")
    print(f"sha256    {weights.sha256} (verified)")
    print(f"converted {weights.cached}{'' if weights.cached.exists() else ' (at the first use)'}")
    print(f"licence   {LICENCE}")
    return 0


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 (this and the others: the signature is Python's)
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    tell(f"warning: {message}")


if __name__ == "__main__":
    run()
