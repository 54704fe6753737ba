"""Ctrl-C and SIGTERM: while packages are imported, while images are scored, and while outputs are written."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resmem_plugin.jobs.signals import Terminated, defer_signals, exit_code, install_sigterm_handler
from tests.jobs.runs import score, start_score, wait_for_scores
from tests.models import RedEngine


def test_defer_signals_ignores_ctrl_c_until_the_end() -> None:
    with defer_signals():
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def sigterm() -> Iterator[None]:
    """Restore the handler of SIGTERM after a test that replaces it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_defer_signals_ignores_sigterm_and_restores_the_handlers(sigterm: None) -> None:
    handled: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: handled.append(number))
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with contextlib.suppress(OSError), defer_signals():
        signal.raise_signal(signal.SIGTERM)
        raise OSError("the disk is full")
    assert handled == []
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    signal.raise_signal(signal.SIGTERM)
    assert handled == [signal.SIGTERM]


def test_defer_signals_in_another_thread_changes_no_handler() -> None:
    before, during = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with defer_signals():
            during.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert during == [before]


def test_exit_code_is_128_plus_the_signal() -> None:
    assert exit_code(KeyboardInterrupt()) == 130
    assert exit_code(Terminated()) == 143


def test_sigterm_handler_raises_terminated(sigterm: None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    install_sigterm_handler()
    with pytest.raises(Terminated):
        signal.raise_signal(signal.SIGTERM)


def test_sigterm_handler_of_a_caller_is_kept(sigterm: None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    install_sigterm_handler()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_sigterm_and_ctrl_c_keep_the_scores(
    number: signal.Signals, code: int, image_folder: Path, use_engine: Callable[[RedEngine], RedEngine]
) -> None:
    process = start_score(image_folder, "out.csv", forward_s=0.1)
    wait_for_scores(image_folder / "out.csv")
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join()
    output = Path("said").read_text()
    assert process.exitcode == code
    assert "of 40 images, which are kept in out.csv.partial: --resume goes on from there" in output
    assert "Traceback" not in output
    assert not Path("out.csv").exists()
    use_engine(RedEngine())
    score("images", "-o", "whole.csv")
    assert score("images", "-o", "out.csv", "--resume") == 1
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_ctrl_c_during_imports(image_folder: Path) -> None:
    script = "import os; from resmem_plugin.cli import run; os.write(1, b'.'); run()"
    delays = random.Random(8)
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", script, "score", "images", "-o", "out.csv", "--overwrite"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.read(1) == "."
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(delays.uniform(0, 0.5))
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "interrupted" in stderr
        assert "Traceback" not in stderr
        assert "Exception ignored" not in stderr
