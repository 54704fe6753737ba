"""Decoding in processes of their own: the same scores, and a killed one costs nothing or its own row."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError, UnreadableImageError
from resmem_plugin.core.images import worker_process as decode_process
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.images.reader import ImageReader
from resmem_plugin.core.images.worker_process import DecodeProcess
from tests.models import Red


def _decoders(of: int | None = None) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(of).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            if "serve(*sys.argv" in " ".join(child.cmdline()):
                found.append(child)
    return found


def _wait_for_end(processes: list[psutil.Process]) -> None:
    assert not psutil.wait_procs(processes, timeout=10)[1]


@pytest.fixture
def many(photos: dict[str, Path], tmp_path: Path) -> list[object]:
    """Photographs, paths and bytes of them, files of other kinds and things that are no image, over and over."""
    broken, deep = tmp_path / "broken.jpg", tmp_path / "deep.png"
    broken.write_bytes(photos["rocket.jpg"].read_bytes()[:5000])
    Image.fromarray(np.arange(0, 60_000, 10_000, dtype=np.uint16).reshape(2, 3)).save(deep)
    small = []
    for name in ("coffee.png", "rocket.jpg", "chelsea.png"):
        small.append(tmp_path / f"{name}.jpg")
        Image.open(photos[name]).resize((320, 240)).save(small[-1])
    image = Image.open(small[0])
    return [*small, small[1].read_bytes(), broken, tmp_path / "missing.jpg", deep, image, np.asarray(image), None] * 12


@pytest.mark.parametrize("options", [{}, {"decode": "fast", "exif_transpose": True}, {"cache": True}])
def test_the_scores_and_reasons_of_threads(many: list[object], tmp_path: Path, options: dict[str, object]) -> None:
    if "cache" in options:
        options = {"cache": tmp_path / "scores.sqlite"}
    scorers = [
        Scorer(device="cpu", model=Red(), num_workers=2, processes=processes, **options)  # type: ignore[arg-type]
        for processes in (False, True)
    ]
    with pytest.warns(match="outside 0-255"):
        threads = scorers[0].score(many, errors="coerce")
    with pytest.warns(match="outside 0-255"):
        processes = scorers[1].score(many, errors="coerce")
    assert [score.error for score in processes] == [score.error for score in threads]
    for ours, theirs in zip(processes, threads, strict=True):
        assert ours.memorability == pytest.approx(theirs.memorability, abs=1e-6, nan_ok=True)
    _wait_for_end(_decoders())


def test_they_do_the_decoding_from_the_first_file_on(many: list[object]) -> None:
    scorer = Scorer(device="cpu", model=Red(), num_workers=2, processes=True, batch_size=4)
    scores = scorer.iter_scores(many[:4] * 10)
    next(scores)
    assert _decoders()
    scores.close()
    _wait_for_end(_decoders())


@pytest.mark.parametrize(("ahead", "num_workers", "expected"), [(0, 4, False), (1, 2, False), (1, 3, True)])
def test_without_a_word_they_are_for_long_runs_on_a_card_with_more_workers_than_a_gil_serves(
    many: list[object], monkeypatch: pytest.MonkeyPatch, ahead: int, num_workers: int, expected: bool
) -> None:
    scorer = Scorer(device="cpu", model=Red(), num_workers=num_workers, batch_size=4)
    monkeypatch.setattr(type(scorer.engine), "lookahead", ahead)
    scores = scorer.iter_scores(many[:4] * 50)
    next(scores)
    assert not _decoders()
    for _ in range(190):
        next(scores)
    assert bool(_decoders()) is expected
    scores.close()
    _wait_for_end(_decoders())


def test_killed_over_and_over_nothing_is_lost(many: list[object]) -> None:
    images = many[:4] * 200
    expected = Scorer(device="cpu", model=Red()).score(images)
    done = threading.Event()
    killed: set[int] = set()

    def kill() -> None:
        while not done.wait(0.1):
            for decoder in _decoders():
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
    _wait_for_end(_decoders())


@pytest.fixture
def process() -> Iterator[DecodeProcess]:
    process = DecodeProcess(ImageReader())
    yield process
    process.close()


def test_what_kills_two_processes_is_a_reason_and_the_next_file_is_decoded(
    process: DecodeProcess, many: list[object]
) -> None:
    content = many[3]
    assert isinstance(content, bytes)
    slow = io.BytesIO()
    Image.new("RGB", (12_000, 12_000)).save(slow, "PNG", compress_level=1)
    outcome: list[Exception] = []

    def decode() -> None:
        try:
            process.decode(slow.getvalue())
        except UnreadableImageError as error:
            outcome.append(error)

    thread = threading.Thread(target=decode)
    thread.start()
    killed: set[int] = set()
    until = time.monotonic() + 60
    while len(killed) < 2 and time.monotonic() < until:
        for decoder in _decoders():
            with contextlib.suppress(psutil.NoSuchProcess):
                if decoder.pid not in killed and decoder.memory_info().rss > 150e6:  # which is the picture's
                    killed.add(decoder.pid)
                    decoder.kill()
        time.sleep(0.005)
    thread.join(60)
    assert "ended (SIGKILL), and so did a second one" in str(outcome[0])
    decoded = process.decode(content)
    assert decoded is not None
    assert (decoded[0] == pixels(ImageReader().read(content).image)).all()


def test_the_callers_limit_on_pixels_holds(process: DecodeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    Image.new("RGB", (100, 100)).save(content, "PNG")
    assert process.decode(content.getvalue()) is not None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4999)
    assert process.decode(content.getvalue()) is None
    for most in (None, 1e9, float("inf"), 10**30):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        assert process.decode(content.getvalue()) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [("executable", "/nowhere/python"), ("executable", "/bin/true"), ("executable", ""), ("frozen", True)],
)
def test_where_no_process_can_be_had_threads_decode(
    many: list[object], monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(sys, name, value, raising=False)
    images = many[:4] * 40
    scores = Scorer(device="cpu", model=Red(), num_workers=2, processes=True).score(images)
    assert scores == Scorer(device="cpu", model=Red()).score(images)


def test_no_code_is_taken_from_the_current_folder(
    many: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "struct", "PIL", "numpy"):
        (tmp_path / f"{name}.py").write_text("open('it ran', 'w').close()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    scorer = Scorer(device="cpu", model=Red(), num_workers=2, processes=True)
    assert scorer.score(many[:4]) == Scorer(device="cpu", model=Red()).score(many[:4])
    assert not Path("it ran").exists()


def test_an_answer_that_was_not_heard_is_not_taken_for_the_next_ones(
    process: DecodeProcess, many: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [Path(str(path)).read_bytes() for path in many[:3]]
    expected = [pixels(ImageReader().read(content).image) for content in contents]

    def full(*_: object) -> None:
        raise MemoryError

    assert process.decode(contents[0]) is not None
    with monkeypatch.context() as patch:
        patch.setattr(decode_process, "_read", full)
        with pytest.raises(MemoryError):
            process.decode(contents[0])
    for content, seen in zip(contents, expected, strict=True):
        decoded = process.decode(content)
        assert decoded is not None
        assert (decoded[0] == seen).all()


PRINTING = "import os; os.write(1, b'a greeting, and no line end'); print('another', flush=True)"


def test_what_else_prints_or_is_closed_is_no_answer(many: list[object], tmp_path: Path) -> None:
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
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, many[:3])]
    assert subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_a_process_that_the_caller_forked_keeps_none_alive(process: DecodeProcess, many: list[object]) -> None:
    assert process.decode(Path(str(many[0])).read_bytes()) is not None
    (decoder,) = _decoders()
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    began = time.monotonic()
    process.close()
    took_s = time.monotonic() - began
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert took_s < 10
    assert not decoder.is_running()


def test_memory_that_runs_out_in_the_process_is_a_reason(process: DecodeProcess, many: list[object]) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (9_000, 9_000)).save(picture, "PNG", compress_level=1)
    assert process.decode(Path(str(many[0])).read_bytes()) is not None
    (decoder,) = _decoders()
    decoder.rlimit(psutil.RLIMIT_AS, (decoder.memory_info().vms + 100_000_000,) * 2)
    with pytest.raises(UnreadableImageError, match="more memory than is available"):
        process.decode(picture.getvalue())
    assert process.decode(Path(str(many[0])).read_bytes()) is not None


class Panic(BaseException):
    """What a decoder written in Rust raises."""


class Panicking(Image.Image):
    def load(self) -> None:
        raise Panic("index out of range")


@pytest.mark.parametrize("processes", [False, True])
def test_a_decoders_panic_costs_its_row(many: list[object], processes: bool) -> None:
    scorer = Scorer(device="cpu", model=Red(), num_workers=1, processes=processes)
    scores = scorer.score([Panicking(), many[0]], errors="coerce")
    assert "Panic: index out of range" in str(scores[0].error)
    assert scores[1].ok


def test_how_many_is_another_option() -> None:
    with pytest.raises(OptionError, match="num_workers sets how many"):
        Scorer(device="cpu", model=Red(), processes=4)  # type: ignore[arg-type]


def test_they_end_with_whoever_started_them(photos: dict[str, Path]) -> None:
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
        decoders = _decoders(caller.pid)
        caller.kill()
        assert decoders
        _wait_for_end(decoders)
        assert caller.stderr is not None
        assert caller.stderr.read() == ""
