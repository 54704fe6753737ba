"""How far a run has come: a tqdm bar, or a callback of the caller's."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO, TypeAlias


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run has come, as a callback sees it; named as FiftyOne's progress bars name it.

    Attributes:
        iteration: images done.
        total: images in all, or None if unknown.
        failed: images done that have no score.
        elapsed_s: seconds since the run began.
    """

    iteration: int
    total: int | None
    failed: int
    elapsed_s: float

    @property
    def progress(self) -> float:
        """The share that is done, 0 to 1; 0 if the total is unknown."""
        return self.iteration / self.total if self.total else 0.0


ProgressOption: TypeAlias = "bool | Callable[[Progress], object] | None"
"""True or False: a bar or none. None: a bar on a terminal. A function: called with a `Progress` after every image."""


@contextlib.contextmanager
def reporting(option: ProgressOption, total: int | None) -> Iterator[Callable[[bool], None]]:
    """Within the context, call the function it gives after each image with whether that image failed."""
    if callable(option):
        began, done, failed = time.monotonic(), 0, 0

        def call_back(is_failure: bool) -> None:
            nonlocal done, failed
            done += 1
            failed += is_failure
            option(Progress(iteration=done, total=total, failed=failed, elapsed_s=time.monotonic() - began))

        yield call_back
        return

    if not option and (option is False or not _is_terminal(sys.stderr)):
        yield lambda _: None
        return

    from tqdm.auto import tqdm  # here, for looking for notebook widgets takes time

    with tqdm(total=total, unit="image") as bar:
        failed = 0

        def advance(is_failure: bool) -> None:
            nonlocal failed
            failed += is_failure
            if is_failure:
                bar.set_postfix(failed=failed, refresh=False)
            bar.update()

        yield advance


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()
