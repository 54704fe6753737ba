"""Decoding for a scorer, in threads or worker processes: the same scores, and killed processes cost nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from tests.core.worker_processes import find_worker_processes, wait_for_end
from tests.models import Red


@pytest.mark.parametrize("options", [{}, {"decode": "fast", "exif_transpose": True}, {"cache": True}])
def test_worker_processes_and_threads_agree(
    mixed_images: list[object], tmp_path: Path, options: dict[str, object]
) -> None:
    if "cache" in options:
        options = {"cache": tmp_path / "scores.sqlite"}
    scorers = [
        Scorer(device="cpu", model=Red(), num_workers=2, processes=processes, **options)  # type: ignore[arg-type]
        for processes in (False, True)
    ]
    with pytest.warns(match="outside 0-255"):
        threads = scorers[0].score(mixed_images, errors="coerce")
    with pytest.warns(match="outside 0-255"):
        processes = scorers[1].score(mixed_images, errors="coerce")
    assert [score.error for score in processes] == [score.error for score in threads]
    for ours, theirs in zip(processes, threads, strict=True):
        assert ours.memorability == pytest.approx(theirs.memorability, abs=1e-6, nan_ok=True)
    wait_for_end(find_worker_processes())


def test_worker_processes_decode_from_the_first_file(mixed_images: list[object]) -> None:
    scorer = Scorer(device="cpu", model=Red(), num_workers=2, processes=True, batch_size=4)
    scores = scorer.iter_scores(mixed_images[:4] * 10)
    next(scores)
    assert find_worker_processes()
    scores.close()
    wait_for_end(find_worker_processes())


@pytest.mark.parametrize(("ahead", "num_workers", "expected"), [(0, 4, False), (1, 2, False), (1, 3, True)])
def test_default_is_worker_processes_for_long_runs_on_a_gpu_with_many_workers(
    mixed_images: list[object], monkeypatch: pytest.MonkeyPatch, ahead: int, num_workers: int, expected: bool
) -> None:
    scorer = Scorer(device="cpu", model=Red(), num_workers=num_workers, batch_size=4)
    monkeypatch.setattr(type(scorer.engine), "lookahead", ahead)
    scores = scorer.iter_scores(mixed_images[:4] * 50)
    next(scores)
    assert not find_worker_processes()
    for _ in range(190):
        next(scores)
    assert bool(find_worker_processes()) is expected
    scores.close()
    wait_for_end(find_worker_processes())


def test_killed_worker_processes_are_replaced_and_no_score_is_lost(mixed_images: list[object]) -> None:
    images = mixed_images[:4] * 200
    expected = Scorer(device="cpu", model=Red()).score(images)
    done = threading.Event()
    killed: set[int] = set()

    def kill() -> None:
        while not done.wait(0.1):
            for decoder in find_worker_processes():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if time.time() - decoder.create_time() > 2:  # none is killed before it has decoded something
                        killed.add(decoder.pid)
                        decoder.kill()

    threading.Thread(target=kill, daemon=True).start()
    scores = []
    for score in Scorer(device="cpu", model=Red(), num_workers=2, processes=True).iter_scores(images):
        scores.append(score)
        time.sleep(0.01)
    done.set()
    assert len(killed) > 1
    assert scores == expected
    wait_for_end(find_worker_processes())


@pytest.mark.parametrize(
    ("name", "value"),
    [("executable", "/nowhere/python"), ("executable", "/bin/true"), ("executable", ""), ("frozen", True)],
)
def test_threads_decode_where_no_worker_process_can_start(
    mixed_images: list[object], monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(sys, name, value, raising=False)
    images = mixed_images[:4] * 40
    scores = Scorer(device="cpu", model=Red(), num_workers=2, processes=True).score(images)
    assert scores == Scorer(device="cpu", model=Red()).score(images)


def test_worker_processes_import_nothing_from_the_current_folder(
    mixed_images: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "struct", "PIL", "numpy"):
        (tmp_path / f"{name}.py").write_text("open('it ran', 'w').close()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    scorer = Scorer(device="cpu", model=Red(), num_workers=2, processes=True)
    assert scorer.score(mixed_images[:4]) == Scorer(device="cpu", model=Red()).score(mixed_images[:4])
    assert not Path("it ran").exists()


PRINTING = "import os; os.write(1, b'a greeting, and no line end'); print('another', flush=True)"


def test_worker_processes_survive_prints_and_a_closed_stderr(mixed_images: list[object], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(PRINTING)
    code = """
        import os, sys
        from resmem_plugin import Scorer
        from tests.models import Red
        options = {"device": "cpu", "model": Red(), "num_workers": 2}
        images = sys.argv[1:] * 5
        expected = Scorer(**options).score(images)
        os.close(2)
        assert Scorer(**options, processes=True).score(images) == expected
    """
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, mixed_images[:3])]
    assert subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL).returncode == 0


class Panic(BaseException):
    """What a decoder written in Rust raises."""


class Panicking(Image.Image):
    def load(self) -> None:
        raise Panic("index out of range")


@pytest.mark.parametrize("processes", [False, True])
def test_a_panic_in_a_decoder_is_its_rows_error(mixed_images: list[object], processes: bool) -> None:
    scorer = Scorer(device="cpu", model=Red(), num_workers=1, processes=processes)
    scores = scorer.score([Panicking(), mixed_images[0]], errors="coerce")
    assert "Panic: index out of range" in str(scores[0].error)
    assert scores[1].ok


def test_processes_must_be_a_bool() -> None:
    with pytest.raises(OptionError, match="num_workers sets how many"):
        Scorer(device="cpu", model=Red(), processes=4)  # type: ignore[arg-type]


def test_worker_processes_end_with_a_killed_parent(photos: dict[str, Path]) -> None:
    code = """
        import itertools, sys
        from resmem_plugin import Scorer
        from tests.models import Red
        scorer = Scorer(device="cpu", model=Red(), num_workers=2, processes=True)
        for score in scorer.iter_scores(itertools.repeat(sys.argv[1])):
            if score.index == 200:
                print("decoding", flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(photos["chelsea.png"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "decoding\n"
        decoders = find_worker_processes(caller.pid)
        caller.kill()
        assert decoders
        wait_for_end(decoders)
        assert caller.stderr is not None
        assert caller.stderr.read() == ""
