"""The `resmem` command.

Results go to standard output, progress and warnings to standard error. Exit codes: 0 all scored, 1 some failed, 2 wrong
usage, 130 interrupted, 143 ended by SIGTERM. Slow imports happen where an interrupt is handled.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn, TextIO

from resmem_plugin.cli.terminal import Parser, echo_err
from resmem_plugin.core.errors import OptionError, ResMemError, ResMemWarning
from resmem_plugin.core.provenance import package_version
from resmem_plugin.jobs.signals import defer_signals, exit_code, exit_on_signal, install_sigterm_handler


def run() -> NoReturn:
    """The console script: run `main`, then exit at once.

    Python would spend half a second tearing down torch and the loaded network.
    """
    install_sigterm_handler()
    if sys.stderr is None:  # closed, as by `2>&-`
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    try:
        code = main()
    except SystemExit as usage:  # argparse has printed what is wrong
        code = usage.code if isinstance(usage.code, int) else 2
    with defer_signals():
        with contextlib.suppress(OSError, ValueError, AttributeError):  # the results are flushed already
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        warnings.simplefilter("always", ResMemWarning)
        try:
            with exit_on_signal():
                options = _parser().parse_args(arguments)
            return int(options.run(options))
        except OptionError as error:
            echo_err(f"error: {error}")
            return 2
        except BrokenPipeError:  # `resmem score ... | head`: the reader closed the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except (ResMemError, OSError) as error:
            echo_err(f"error: {error}")
            return 1
        except KeyboardInterrupt as stop:
            echo_err("interrupted")
            return exit_code(stop)


def _parser() -> argparse.ArgumentParser:
    from resmem_plugin.cli import cache, curate, distributed, evaluate, explain, fiftyone, report, score, train, weights

    parser = Parser(prog="resmem", description="Score how memorable images are, 0 to 1, with ResMem.")
    parser.add_argument("--version", action="version", version=f"resmem-plugin {package_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    score.add_command(commands)
    distributed.add_merge_command(commands)
    explain.add_commands(commands)
    curate.add_commands(commands)
    report.add_command(commands)
    evaluate.add_command(commands)
    train.add_commands(commands)
    weights.add_command(commands)
    cache.add_commands(commands)
    fiftyone.add_commands(commands)
    return parser


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 (here and below: the signature is Python's)
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    echo_err(f"warning: {message}")
