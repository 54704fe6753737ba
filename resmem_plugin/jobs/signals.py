"""What Ctrl-C and SIGTERM do to a job: exit at once, raise, or nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

_STOPS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM was received. Handled as Ctrl-C is, except for the exit code."""


def exit_code(stop: KeyboardInterrupt) -> int:
    """128 plus the number of the signal, as in a shell."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)


def install_sigterm_handler() -> None:
    """Make SIGTERM raise `Terminated` where by default it would end the process silently."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the signature is Python's)
    raise Terminated


@contextlib.contextmanager
def exit_on_signal(clean_up: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the command's process at once, after `clean_up`, while there is nothing to lose.

    Packages are imported like this: compiled ones swallow a KeyboardInterrupt, or turn it into an ImportError.
    """
    if signal.getsignal(signal.SIGTERM) != _terminate:  # another program called `main`
        yield
        return

    def end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 (the signature is Python's)
        with contextlib.suppress(OSError):
            clean_up()
            os.write(2, b"resmem: interrupted\n")  # sys.stderr may be in the middle of a write
        os._exit(128 + number)

    with _handling(end, *(number for number in _STOPS if signal.getsignal(number) != signal.SIG_IGN)):
        yield


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM while outputs are written, which takes a moment after hours of scoring."""
    if threading.current_thread() is threading.main_thread():  # the only one that handles signals
        with _handling(signal.SIG_IGN, *_STOPS):
            yield
    else:
        yield


@contextlib.contextmanager
def _handling(handler: Any, *numbers: signal.Signals) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
