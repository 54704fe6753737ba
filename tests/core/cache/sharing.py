"""Processes that share a cache. A module apart, so that they import little else."""

from __future__ import annotations

import multiprocessing
import random
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from resmem_plugin import Scorer
from resmem_plugin.core.errors import CacheWarning
from tests.models import Counted

_barrier: Any = None


def share(processes: int, cache: str, paths: Sequence[str], counter: str) -> list[tuple[dict[str, float], list[str]]]:
    """Score the same images in several processes at once, each in its own order; the scores and warnings of each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, _remember, (barrier,)) as pool:
        runs = [pool.submit(_score, cache, list(paths), counter, seed) for seed in range(processes)]
        return [run.result() for run in runs]


def _remember(barrier: Any) -> None:
    global _barrier
    _barrier = barrier


def _score(cache: str, paths: list[str], counter: str, seed: int) -> tuple[dict[str, float], list[str]]:
    random.Random(seed).shuffle(paths)
    scorer = Scorer(device="cpu", model=Counted(counter), num_workers=1, cache=cache)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CacheWarning)
        _barrier.wait()
        scores = scorer.score(paths)
    messages = [str(warning.message) for warning in caught]
    return {path: score.memorability for path, score in zip(paths, scores, strict=True)}, messages
