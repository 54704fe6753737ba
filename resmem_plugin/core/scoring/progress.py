"""Progress of a run: a tqdm bar, or a callback."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO, TypeAlias


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a run, for a callback; attributes are named as in FiftyOne's progress bars.

    Attributes:
        iteration: images done.
        total: images in all, or None if unknown.
        failed: images done that have no score.
        elapsed_s: seconds since the start of the run.

    Examples:
        >>> from resmem_plugin import Scorer
        >>> def report(progress):
        ...     print(f"{progress.iteration} of {progress.total}, {progress.failed} failed")
        >>> _ = Scorer().score(["coffee.png", "none.jpg"], errors="coerce", progress=report)
        1 of 2, 0 failed
        2 of 2, 1 failed
    """

    iteration: int
    total: int | None
    failed: int
    elapsed_s: float

    @property
    def progress(self) -> float:
        """The fraction done, 0 to 1; 0 if the total is unknown."""
        return self.iteration / self.total if self.total else 0.0


ProgressOption: TypeAlias = "bool | Callable[[Progress], object] | None"
"""True or False: a bar or none. None: a bar on a terminal. A function: called with a `Progress` after each image."""


@contextlib.contextmanager
def reporting(option: ProgressOption, total: int | None) -> Iterator[Callable[[bool], None]]:
    """Yield a function to be called after each image with whether that image failed."""
    if callable(option):
        start_s, done, failed = time.monotonic(), 0, 0

        def call_back(is_failure: bool) -> None:
            nonlocal done, failed
            done += 1
            failed += is_failure
            option(Progress(iteration=done, total=total, failed=failed, elapsed_s=time.monotonic() - start_s))

        yield call_back
        return

    if not option and (option is False or not _is_terminal(sys.stderr)):
        yield lambda _: None
        return

    from tqdm.auto import tqdm  # here: it looks for notebook widgets, which takes time

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
