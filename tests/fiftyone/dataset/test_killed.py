"""A run killed at any moment and started again has the results of an uninterrupted run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from resmem_plugin import Scorer
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.dataset.fields import ScoreField
from tests.conftest import ROOT
from tests.models import Counted

KILLS = 25

ZYGOTE = """
import os, sys, time
import fiftyone as fo
from resmem_plugin import Scorer
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.dataset import run as computation
from tests.models import Counted

vars(computation).update(_WRITE_BATCH_SIZE=6, _CHECK_INTERVAL_S=0)

class Counted(Counted):  # slower, and the same to a provenance
    __module__, __qualname__ = Counted.__module__, Counted.__qualname__
    def forward(self, x):
        time.sleep(0.002 * len(x))
        return super().forward(x)

print("ready", flush=True)
while name := sys.stdin.readline():
    child = os.fork()
    if child == 0:
        try:
            scorer = Scorer(device="cpu", model=Counted(os.devnull), batch_size=4)
            compute_memorability(fo.load_dataset(name.strip()), scorer=scorer)
        finally:
            os._exit(0)
    print(child, flush=True)
    sys.stdin.readline()  # until then its number is its own, even if it has ended
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Zygote:
    """A process with everything imported, which forks one that scores a dataset on each request."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "ignore:MongoClient opened before fork", "-c", ZYGOTE]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._line() == "ready"

    def score(self, name: str, kill_after: Callable[[], None] | None = None) -> int:
        """Score a dataset; kill it when `kill_after` returns, if given; returns the exit code."""
        self.tell(name)
        child = int(self._line())
        if kill_after is not None:
            kill_after()
            os.kill(child, signal.SIGKILL)
        self.tell("")
        return int(self._line())

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def zygote(database: str) -> Iterator[Zygote]:
    made = Zygote()
    yield made
    made.process.communicate()
    assert made.process.returncode == 0


@pytest.fixture
def template(dataset: Any, reds: list[str], bad: dict[str, str]) -> Any:
    dataset.persistent = True
    dataset.add_samples([fo.Sample(filepath=path) for path in [*reds * 3, *bad.values(), *reds * 3]])
    return dataset


def _stored(dataset: Any) -> int:
    dataset.reload()
    return dataset.count("memorability") if dataset.has_field("memorability") else 0


def _wait_for(dataset: Any, count: int) -> None:
    deadline = time.monotonic() + 60
    while _stored(dataset) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _outcome(dataset: Any) -> tuple[Any, ...]:
    field = ScoreField(dataset, "memorability")
    scores, reasons = dataset.values(["memorability", "memorability_error"])
    record = field.provenance, field.run_report["state"] if field.run_report else None, dataset.list_indexes()
    return [None if score is None else round(score, 5) for score in scores], reasons, *record


def test_25_killed_runs_are_resumed(zygote: Zygote, template: Any, tmp_path: Path) -> None:
    moments = random.Random(5)
    scorer = Scorer(device="cpu", model=Counted(os.devnull), batch_size=4)
    whole = template.clone(f"{template.name}-whole", persistent=True)
    began = time.monotonic()
    assert zygote.score(whole.name) == 0
    lasts_s = time.monotonic() - began
    whole.reload()
    expected = _outcome(whole)
    assert expected[3] == "complete"
    assert sum(reason is not None for reason in expected[1]) == 4
    whole.delete()
    scored = sum(score is not None for score in expected[0])
    stored = []
    for number in range(4 * KILLS):
        dataset = template.clone(f"{template.name}-{uuid.uuid4().hex[:8]}", persistent=True)
        if number % 2:  # some time after it began, or after some of its scores were stored
            kill_after = partial(_wait_for, dataset, moments.randint(1, scored))
        else:
            kill_after = partial(time.sleep, moments.uniform(0, lasts_s))
        if zygote.score(dataset.name, kill_after) == -signal.SIGKILL:  # else it was quicker
            stored.append(_stored(dataset))
        dataset.reload()
        compute_memorability(dataset, scorer=scorer)
        assert _outcome(dataset) == expected
        dataset.delete()
        if len(stored) == KILLS:
            break
    assert len(stored) == KILLS
    assert len(set(stored)) > 3  # the moments were all over the run
