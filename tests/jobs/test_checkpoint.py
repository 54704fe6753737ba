"""`resmem score` stopped in every way there is, and gone on with: nothing lost, and the same file in the end."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from PIL import Image

from resmem_plugin.cli import main
from resmem_plugin.core.engines.calibration import Calibration, calibration_id
from resmem_plugin.core.engines.resolve import Choice
from resmem_plugin.core.network.weights import WeightsFile
from resmem_plugin.core.scoring import scorer
from tests import command
from tests.conftest import flat
from tests.models import RedEngine

SUFFIXES = ("csv", "tsv", "jsonl", "parquet")
NAMES = ["=1+1.png", "two\nlines.png", 'a "quoted", one.png', "é.png"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with pictures/ of 40 files; every tenth is no picture."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for number, name in enumerate([*NAMES, *(f"{number:02}.png" for number in range(len(NAMES), 40))]):
        path = tmp_path / "pictures" / name
        if number % 10 == 5:
            path.write_text("no picture")
        else:
            Image.fromarray(flat(number)).save(path)
    return tmp_path


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[RedEngine], RedEngine]:
    """Have the command use an engine of ours, in this process."""

    def use(engine: RedEngine) -> RedEngine:
        monkeypatch.setattr(scorer, "load_engine", lambda *_: engine)
        return engine

    return use


def score(*arguments: str) -> int:
    return main(["score", "--device", "cpu", *arguments])


def stop_after(count: int, out: str, use: Callable[[RedEngine], RedEngine]) -> list[bytes]:
    """Leave a record as if a run had been killed, having scored about so many pictures: its lines."""
    use(RedEngine(fails_at=count))
    assert score("pictures", "-o", out) == 1
    lines = Path(f"{out}.partial").read_bytes().splitlines(keepends=True)
    assert 5 <= len(lines) < 41
    assert not os.path.exists(out)
    use(RedEngine())
    return lines


def start(folder: Path, out: str, *arguments: str, forward_s: float = 0.02) -> ForkServerProcess:
    return command.start(["score", "--device", "cpu", "pictures", "-o", out, *arguments], folder, forward_s=forward_s)


def wait_for_scores(out: Path) -> None:
    partial = Path(f"{out}.partial")
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.read_bytes().count(b"\n") > 4):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_at_any_moment(folder: Path) -> None:
    command.run(["--version"], folder)  # now the processes that follow start at once
    expected, took_s = {}, {}
    for suffix in SUFFIXES:
        began = time.monotonic()
        process = start(folder, f"whole.{suffix}")
        process.join()
        took_s[suffix] = time.monotonic() - began
        assert process.exitcode == 1  # some are no pictures
        expected[suffix] = (folder / f"whole.{suffix}").read_bytes()
    moments = random.Random(25)
    killed = found = 0
    for number, suffix in zip(range(100), itertools.cycle(SUFFIXES), strict=False):
        out = folder / f"{number}.{suffix}"
        process = start(folder, out.name)
        process.join(moments.uniform(0, took_s[suffix]))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL  # else it was quicker
        found += Path(f"{out}.partial").exists()
        code, said = command.run(["score", "--device", "cpu", "pictures", "-o", out.name, "--resume"], folder)
        assert code == 1, said
        assert out.read_bytes() == expected[suffix]
        assert not Path(f"{out}.partial").exists()
        if killed == 25:
            break
    assert killed == 25
    assert found > 0


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("killed_at", ["replace", "unlink"])  # before the output is there, and after that
def test_killed_while_it_finishes(
    killed_at: str, suffix: str, folder: Path, use: Callable[[RedEngine], RedEngine]
) -> None:
    out = f"out.{suffix}"
    process = command.start(["score", "--device", "cpu", "pictures", "-o", out], folder, killed_at=killed_at)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert Path(out).exists() == (killed_at == "unlink")
    engine = use(RedEngine())
    assert score("pictures", "-o", out, "--resume") == 1
    assert engine.scored == 0
    assert score("pictures", "-o", f"whole.{suffix}") == 1
    assert Path(out).read_bytes() == Path(f"whole.{suffix}").read_bytes()
    assert not Path(f"{out}.partial").exists()


def test_cut_at_any_byte(folder: Path, use: Callable[[RedEngine], RedEngine]) -> None:
    for path in Path("pictures").glob("[123]?.png"):
        path.unlink()
    use(RedEngine())
    score("pictures", "-o", "whole.csv")
    whole = Path("whole.csv").read_bytes()
    lines = stop_after(6, "out.csv", use)
    content = b"".join(lines)
    last_two = range(len(content) - len(lines[-1]) - len(lines[-2]), len(content) + 1)
    for length in [*range(0, len(lines[0]) + 40, 40), *last_two]:
        Path("out.csv.partial").write_bytes(content[:length])
        assert score("pictures", "-o", "out.csv", "--resume") == 1
        assert Path("out.csv").read_bytes() == whole
        os.unlink("out.csv")


def test_a_damaged_line_costs_its_batch_only(folder: Path, use: Callable[[RedEngine], RedEngine]) -> None:
    use(RedEngine())
    score("pictures", "-o", "whole.csv")
    lines = stop_after(20, "out.csv", use)
    lines[3] = bytes(len(lines[3]) - 1) + b"\n"  # zeros, as a power failure may leave them
    Path("out.csv.partial").write_bytes(b"".join(lines))
    engine = use(RedEngine())
    assert score("pictures", "-o", "out.csv", "--resume") == 1
    kept = sum(b"null}" in line for line in lines)
    assert engine.scored == 36 - kept + 2  # the other pictures of its batch
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_another_provenance_is_refused(
    folder: Path, use: Callable[[RedEngine], RedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = stop_after(8, "out.csv", use)
    capsys.readouterr()
    assert score("pictures", "-o", "out.csv", "--resume", "--exif-transpose") == 2
    said = capsys.readouterr().err
    assert "exif_transpose was False and is True" in said
    assert Path("out.csv.partial").read_bytes() == b"".join(lines)
    assert score("pictures", "-o", "out.csv", "--resume") == 1
    before = Path("out.csv").read_bytes()
    capsys.readouterr()
    assert score("pictures", "-o", "out.csv", "--resume", "--exif-transpose") == 2
    again = capsys.readouterr().err
    ids = [word.strip(",") for word in said.split() if len(word.strip(",")) == 12 and word.strip(",").isalnum()]
    assert len(ids) == 2
    assert all(name in again for name in ids)
    assert Path("out.csv").read_bytes() == before
    assert score("pictures", "-o", "out.csv", "--overwrite", "--exif-transpose") == 1
    assert Path("out.csv").read_bytes() == before.replace(ids[0].encode(), ids[1].encode())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_failed_is_scored_again_only_if_asked(
    suffix: str, folder: Path, use: Callable[[RedEngine], RedEngine]
) -> None:
    out = f"out.{suffix}"
    use(RedEngine(batch_dependent=False))
    assert score("pictures", "-o", out) == 1
    finished, changed_s = Path(out).read_bytes(), os.stat(out).st_mtime_ns
    engine = use(RedEngine(batch_dependent=False))
    assert score("pictures", "-o", out, "--resume") == 1  # as the file says
    assert (engine.scored, os.stat(out).st_mtime_ns) == (0, changed_s)
    assert score("pictures", "-o", out, "--resume", "--retry-failed") == 1
    assert (engine.scored, Path(out).read_bytes()) == (0, finished)
    for path in Path("pictures").glob("?5.png"):
        Image.fromarray(flat(200)).save(path)
    assert score("pictures", "-o", out, "--resume") == 1
    assert score("pictures", "-o", out, "--resume", "--retry-failed") == 0
    assert engine.scored == 4
    assert score("pictures", "-o", f"whole.{suffix}") == 0
    assert Path(out).read_bytes() == Path(f"whole.{suffix}").read_bytes()
    assert not Path(f"{out}.partial").exists()


def test_a_retry_that_is_stopped(folder: Path, use: Callable[[RedEngine], RedEngine]) -> None:
    use(RedEngine(batch_dependent=False))
    score("pictures", "-o", "out.csv")
    finished = Path("out.csv").read_bytes()
    for path in Path("pictures").glob("?5.png"):
        Image.fromarray(flat(200)).save(path)
    use(RedEngine(fails_at=1, batch_dependent=False))
    retry = ["pictures", "-o", "out.csv", "--resume", "--retry-failed", "--batch-size", "1"]
    assert score(*retry) == 1
    assert Path("out.csv").read_bytes() == finished
    engine = use(RedEngine(batch_dependent=False))
    assert score(*retry) == 0
    assert engine.scored == 3
    assert score("pictures", "-o", "whole.csv") == 0
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_overwriting_takes_nothing_from_what_it_replaces(folder: Path, use: Callable[[RedEngine], RedEngine]) -> None:
    use(RedEngine())
    score("pictures", "-o", "out.csv")
    finished = Path("out.csv").read_bytes()
    for path in Path("pictures").glob("3*.png"):
        Image.fromarray(flat(200)).save(path)
    use(RedEngine(fails_at=8))
    assert score("pictures", "-o", "out.csv", "--overwrite") == 1
    assert Path("out.csv").read_bytes() == finished  # until there is something better
    use(RedEngine())
    assert score("pictures", "-o", "out.csv", "--resume") == 1
    score("pictures", "-o", "whole.csv")
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes() != finished


@pytest.mark.parametrize("finished", [False, True])
def test_other_inputs_are_refused(
    finished: bool, folder: Path, use: Callable[[RedEngine], RedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("table.csv").write_text("path,n\n" + "".join(f"pictures/{number:02}.png,x\n" for number in range(6, 30)))
    use(RedEngine(fails_at=None if finished else 10))
    assert score("table.csv", "-o", "out.csv") == 1
    assert Path("out.csv").exists() == finished
    use(RedEngine())
    rows = Path("table.csv").read_text().splitlines(keepends=True)
    for changed, message in [
        ([*rows[:3], rows[4], rows[3], *rows[5:]], "image 3 is 'pictures/08.png' in out.csv"),
        (rows[:4], "'pictures/09.png' in out.csv"),
        ([rows[0].replace("n", "m"), *rows[1:]], None if not finished else "out.csv has other columns"),
    ]:
        Path("table.csv").write_text("".join(changed))
        capsys.readouterr()
        assert score("table.csv", "-o", "out.csv", "--resume") == (2 if message else 1)
        assert message is None or message in capsys.readouterr().err
    Path("out.csv").unlink(missing_ok=True)
    Path("table.csv").write_text("".join(rows))
    assert score("table.csv", "-o", "out.csv") == 1
    Path("table.csv").write_text("".join([*rows, "pictures/39.png,y\n"]))
    assert score("table.csv", "-o", "out.csv", "--resume") == 1  # rows that have come are no contradiction
    assert Path("out.csv").read_text().splitlines()[-1].startswith("pictures/39.png,y,0.15")


def test_files_that_are_there(
    folder: Path, use: Callable[[RedEngine], RedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = stop_after(8, "out.csv", use)
    assert score("pictures", "-o", "out.csv") == 2
    assert "out.csv.partial holds the scores of a run" in capsys.readouterr().err
    assert score("pictures", "-o", "out.csv", "--overwrite", "--path-column", "error") == 2
    assert Path("out.csv.partial").read_bytes() == b"".join(lines)
    assert score("pictures", "-o", "out.csv", "--overwrite") == 1
    Path("b.csv.partial").write_text("precious")
    Path("c.csv.partial").symlink_to("b.csv.partial")
    os.mkfifo("d.csv.partial")
    for out in ("b.csv", "c.csv", "d.csv"):
        assert score("pictures", "-o", out, "--overwrite") == 2
        assert "was not written by this command" in capsys.readouterr().err
    assert Path("b.csv.partial").read_text() == "precious"
    Path("e.csv").write_text("precious")
    assert score("pictures", "-o", "e.csv", "--resume") == 2
    assert Path("e.csv").read_text() == "precious"
    assert not Path("e.csv.partial").exists()
    assert score("pictures", "--resume") == 2
    assert score("pictures", "-o", "f.csv", "--retry-failed") == 2
    assert score("pictures", "-o", "f.csv", "--path-column", "error") == 2
    assert not Path("f.csv.partial").exists()
    assert score("pictures", "-o", "f.csv", "--resume") == 1  # where nothing is, it just starts
    assert Path("f.csv").read_bytes() == Path("out.csv").read_bytes()


def test_one_run_at_a_time(
    folder: Path, use: Callable[[RedEngine], RedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    use(RedEngine())
    process = start(folder, "out.csv", forward_s=0.3)
    wait_for_scores(folder / "out.csv")
    for option in ("--resume", "--overwrite"):
        assert score("pictures", "-o", "out.csv", option) == 2
        assert "another run is writing" in capsys.readouterr().err
    process.kill()
    process.join()
    assert score("pictures", "-o", "out.csv", "--resume") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_by_a_signal(
    number: signal.Signals, code: int, folder: Path, use: Callable[[RedEngine], RedEngine]
) -> None:
    process = start(folder, "out.csv", forward_s=0.1)
    wait_for_scores(folder / "out.csv")
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join()
    said = Path("said").read_text()
    assert process.exitcode == code
    assert "of 40 images, which are kept in out.csv.partial: --resume goes on from there" in said
    assert "Traceback" not in said
    assert not Path("out.csv").exists()
    use(RedEngine())
    score("pictures", "-o", "whole.csv")
    assert score("pictures", "-o", "out.csv", "--resume") == 1
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_ctrl_c_while_it_starts(folder: Path) -> None:
    """As a person may press it, in the time in which everything is imported."""
    starting = "import os; from resmem_plugin.cli import run; os.write(1, b'.'); run()"
    moments = random.Random(8)
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", starting, "score", "pictures", "-o", "out.csv", "--overwrite"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.read(1) == "."
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(moments.uniform(0, 0.5))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "interrupted" in said
        assert "Traceback" not in said
        assert "Exception ignored" not in said


@pytest.mark.parametrize("full_at", ["record", "output"])
def test_a_full_disk(full_at: str, folder: Path) -> None:
    images = [f"pictures/{number:02}.png" for number in range(10, 14 if full_at == "output" else 40)]
    arguments = ["score", "--device", "cpu", *images, "-o"]
    command.run([*arguments, "whole.parquet"], folder)
    limit_bytes = os.path.getsize("whole.parquet") - 1 if full_at == "output" else 1500
    code, said = command.run([*arguments, "out.parquet"], folder, limit_bytes=limit_bytes)
    assert code == 1
    assert ("out.parquet could not" if full_at == "output" else "out.parquet.partial cannot") in said
    assert "free some space" in said
    assert "--resume" in said
    assert "Traceback" not in said
    kept = Path("out.parquet.partial").read_bytes().count(b"\n") - 1
    assert kept == len(images) if full_at == "output" else f"{kept} of {len(images)} images, which are kept" in said
    assert sorted(os.listdir()) == ["out.parquet.partial", "pictures", "said", "whole.parquet"]
    command.run([*arguments, "out.parquet", "--resume"], folder)
    assert Path("out.parquet").read_bytes() == Path("whole.parquet").read_bytes()


def test_cells_that_a_spreadsheet_would_run(
    folder: Path, use: Callable[[RedEngine], RedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    use(RedEngine())
    names = ["=1+1.png", "+a.png", "-a.png", "@a.png", "\ta.png", "plain.png", "pictures/=1+1.png"]
    for name in names[:-1]:
        Image.fromarray(flat(51)).save(name)
    Path("list").write_text("\n".join(names))
    for suffix in SUFFIXES:
        with pytest.MonkeyPatch.context() as patch, open("list") as stdin:
            patch.setattr("sys.stdin", stdin)
            assert score("-", "-o", f"out.{suffix}") == 0
        with pytest.MonkeyPatch.context() as patch, open("list") as stdin:
            patch.setattr("sys.stdin", stdin)
            assert score("-", "-o", f"out.{suffix}", "--resume") == 0  # the paths are known again
    out = pandas_csv("out.csv")
    assert out == [f"./{name}" for name in names[:5]] + names[5:] == pandas_csv("out.tsv")
    assert all(os.path.isfile(path) for path in out)
    assert [json.loads(line)["path"] for line in Path("out.jsonl").read_text().splitlines()] == names
    Path("table.csv").write_text("path,sum\nplain.png,=1+1\n=1+1.png,-1\n")
    capsys.readouterr()
    assert score("table.csv") == 0
    assert [line.split(",")[:2] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["plain.png", "=1+1"],
        ["=1+1.png", "-1"],
    ]


def pandas_csv(path: str) -> list[str]:
    from resmem_plugin.jobs.tables import read_table

    table = read_table(path)
    return list(map(str, table.columns[0]))


def test_int8_is_calibrated_on_what_is_named_or_as_before_or_on_a_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, count in (("scored", 6), ("named", 2)):
        (tmp_path / name).mkdir()
        for number in range(count):
            Image.fromarray(flat(number)).save(f"{name}/{number}.png")
    calibrations: list[Calibration] = []

    def load(weights: WeightsFile, choice: Choice, calibration: Calibration) -> RedEngine:
        calibrations.append(calibration)
        engine = RedEngine(fails_at=4 if len(calibrations) == 1 else None)
        engine.precision, engine.calibration = choice.precision, calibration_id(calibration)
        return engine

    monkeypatch.setattr(scorer, "load_engine", load)
    command = ("scored", "--precision", "int8", "-o")
    assert score(*command, "a.csv", "--calibration", "named") == 1  # the engine fails in the second batch
    assert score(*command, "a.csv", "--resume") == 0
    assert score(*command, "b.csv") == 0
    named, before, sample = calibrations
    assert not isinstance(named, str)
    assert not isinstance(sample, str)
    assert (len(named), len(sample)) == (2, 6)
    assert isinstance(before, str)
    assert before == calibration_id(named)
    assert score(*command, "c.csv", "--calibration", before) == 0
    assert calibrations[3] == before
    assert len(Path("a.csv").read_text().splitlines()) == 7
