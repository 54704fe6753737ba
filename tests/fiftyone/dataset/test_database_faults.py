"""The database or the weights disappear during a run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.errors import WeightsNotFoundError
from resmem_plugin.core.network.weights import find_weights
from resmem_plugin.core.scoring import scorer as scorer_module
from resmem_plugin.core.scoring.progress import Progress
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.setup.database import find_database
from tests.conftest import ROOT
from tests.models import Counted, use_stand_in
from tests.mongod import free_port, start_mongod, wait_until_it_answers

RUNS = """
import sys, time
import fiftyone as fo
from resmem_plugin import Scorer
from resmem_plugin.core.errors import ScoringError
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.dataset import run as computation
from tests.models import Slow

vars(computation).update(_WRITE_BATCH_SIZE=4)
paths, forwarded = sys.argv[2:], sys.argv[1]
scorer = Scorer(device="cpu", model=Slow(forwarded), batch_size=1)

def ask(question):
    print(question, flush=True)
    return sys.stdin.readline()

def at_the_tenth(now):
    if now.iteration == 10:
        ask("tenth")

while ask("next") == "run\\n":
    dataset = fo.Dataset()
    dataset.add_samples([fo.Sample(filepath=path) for path in paths])
    try:
        compute_memorability(dataset, scorer=scorer, progress=at_the_tenth)
    except ScoringError as error:
        ask(f"error: {error}")
        dataset.reload()
        print(f"stored {dataset.count('memorability')}")
        print(f"skipped {compute_memorability(dataset, scorer=scorer).skipped}")
    print(dataset.count("memorability"), dataset.get_run_info("memorability").config.report["state"], flush=True)
"""


class Database:
    """A mongod that the tests stop and start."""

    def __init__(self, folder: Path) -> None:
        self.port, self.folder, self._program = free_port(), folder, find_program()
        (folder / "database").mkdir()
        self.start()

    def start(self) -> None:
        self._process = start_mongod(self._program, self.port, self.folder)
        wait_until_it_answers(self.port)

    def stop(self, number: signal.Signals) -> None:
        self._process.send_signal(number)
        self._process.wait(timeout=60)


def find_program() -> str:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("FIFTYONE_DATABASE_URI", raising=False)
        environment.setattr(fo.config, "database_uri", None)
        return find_database()


@pytest.fixture(scope="module")
def stoppable(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    made = Database(tmp_path_factory.mktemp("stoppable"))
    yield made
    made.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def process(stoppable: Database) -> Iterator[subprocess.Popen[str]]:
    """Scores a dataset of 30 images on each request; waits for an answer at the tenth."""
    address = f"mongodb://127.0.0.1:{stoppable.port}/?serverSelectionTimeoutMS=10000"
    paths = [stoppable.folder / f"{number}.png" for number in range(30)]
    for number, path in enumerate(paths):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    with subprocess.Popen(
        [sys.executable, "-c", RUNS, str(stoppable.folder / "forwarded"), *map(str, paths)],
        cwd=ROOT,
        env={**os.environ, "FIFTYONE_DATABASE_URI": address},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        yield started
        started.communicate()
        assert started.returncode == 0


def _asked(process: subprocess.Popen[str], question: str) -> str:
    """Wait for a question; returns its line."""
    assert process.stdout is not None
    line = process.stdout.readline().rstrip()
    assert line.startswith(question), line
    return line


def _answer(process: subprocess.Popen[str], answer: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{answer}\n")
    process.stdin.flush()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_database_restart_is_survived(
    process: subprocess.Popen[str], stoppable: Database, number: signal.Signals
) -> None:
    (stoppable.folder / "forwarded").write_bytes(b"")
    _asked(process, "next")
    _answer(process, "run")
    _asked(process, "tenth")
    _answer(process, "go on")  # while the database goes down, is away, and comes again
    stoppable.stop(number)
    stoppable.start()
    _asked(process, "30 complete")
    assert (stoppable.folder / "forwarded").stat().st_size == 30  # nothing was scored twice


def test_database_failure_is_reported_and_run_resumed(process: subprocess.Popen[str], stoppable: Database) -> None:
    _asked(process, "next")
    _answer(process, "run")
    _asked(process, "tenth")
    stoppable.stop(signal.SIGKILL)
    _answer(process, "go on")
    line = _asked(process, "error: the database failed (")
    assert line.endswith("Connection refused): restart it and run again, to continue after the scores written so far")
    stoppable.start()
    _answer(process, "it is there again")
    _asked(process, "stored 8")
    _asked(process, "skipped 8")
    _asked(process, "30 complete")


@pytest.fixture
def removable(tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch, scorer: Scorer) -> Path:
    """A folder of links to the weights, converted and as published, to be removed."""
    shutil.copytree(cache_folder, tmp_path / "weights/cache", copy_function=os.link)
    (tmp_path / "weights/model.pt").symlink_to(find_weights().path)
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(tmp_path / "weights/cache"))
    monkeypatch.setenv("RESMEM_WEIGHTS", str(tmp_path / "weights/model.pt"))
    return tmp_path / "weights"


@pytest.mark.weights
def test_removed_weights_are_reported(dataset: Any, photos: dict[str, Path], removable: Path, scorer: Scorer) -> None:
    dataset.add_samples([fo.Sample(filepath=str(path)) for path in list(photos.values())[:10]])

    def remove(now: Progress) -> None:
        if now.iteration == 1:
            shutil.rmtree(removable)

    summary = compute_memorability(dataset, device="cpu", batch_size=2, progress=remove)
    assert (summary.scored, summary.failed) == (10, 0)
    expected = [score.memorability for score in scorer.score(dataset.values("filepath"))]
    assert dataset.values("memorability") == pytest.approx(expected, abs=1e-6)

    schema = list(dataset.get_field_schema())
    with pytest.raises(WeightsNotFoundError, match=r"no weights file at .*model.pt: correct the path"):
        compute_memorability(dataset, "another", device="cpu")
    assert list(dataset.get_field_schema()) == schema


@pytest.mark.weights
def test_cache_is_shared_by_datasets(
    dataset: Any, reds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer_module, "load_engine", None)  # what `use` replaces is put back
    use_stand_in(Counted, str(tmp_path / "forwarded"))
    dataset.add_samples([fo.Sample(filepath=path) for path in reds])
    compute_memorability(dataset, cache=tmp_path / "scores.sqlite")
    compute_memorability(dataset, "again", cache=tmp_path / "scores.sqlite")
    assert (tmp_path / "forwarded").stat().st_size == 10
    assert dataset.values("again") == dataset.values("memorability")
