"""`resmem score` killed or stopped and resumed from its checkpoint: no score is lost, and the output is the same."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import command
from tests.jobs.runs import SUFFIXES, leave_checkpoint, score, start_score, wait_for_scores
from tests.models import RedEngine


def test_resume_after_sigkill_at_any_moment(image_folder: Path) -> None:
    command.run(["--version"], image_folder)  # now the processes that follow start at once
    expected, took_s = {}, {}
    for suffix in SUFFIXES:
        began = time.monotonic()
        process = start_score(image_folder, f"whole.{suffix}")
        process.join()
        took_s[suffix] = time.monotonic() - began
        assert process.exitcode == 1  # some are not images
        expected[suffix] = (image_folder / f"whole.{suffix}").read_bytes()
    delays = random.Random(25)
    killed = found = 0
    for number, suffix in zip(range(100), itertools.cycle(SUFFIXES), strict=False):
        out = image_folder / f"{number}.{suffix}"
        process = start_score(image_folder, out.name)
        process.join(delays.uniform(0, took_s[suffix]))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL  # else it was quicker
        found += Path(f"{out}.partial").exists()
        code, output = command.run(["score", "--device", "cpu", "images", "-o", out.name, "--resume"], image_folder)
        assert code == 1, output
        assert out.read_bytes() == expected[suffix]
        assert not Path(f"{out}.partial").exists()
        if killed == 25:
            break
    assert killed == 25
    assert found > 0


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("killed_at", ["replace", "unlink"])  # before the output is written, and after
def test_resume_after_sigkill_while_finishing(
    killed_at: str, suffix: str, image_folder: Path, use_engine: Callable[[RedEngine], RedEngine]
) -> None:
    out = f"out.{suffix}"
    process = command.start(["score", "--device", "cpu", "images", "-o", out], image_folder, killed_at=killed_at)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert Path(out).exists() == (killed_at == "unlink")
    engine = use_engine(RedEngine())
    assert score("images", "-o", out, "--resume") == 1
    assert engine.scored == 0
    assert score("images", "-o", f"whole.{suffix}") == 1
    assert Path(out).read_bytes() == Path(f"whole.{suffix}").read_bytes()
    assert not Path(f"{out}.partial").exists()


def test_resume_from_a_checkpoint_truncated_at_any_byte(
    image_folder: Path, use_engine: Callable[[RedEngine], RedEngine]
) -> None:
    for path in Path("images").glob("[123]?.png"):
        path.unlink()
    use_engine(RedEngine())
    score("images", "-o", "whole.csv")
    whole = Path("whole.csv").read_bytes()
    lines = leave_checkpoint(6, "out.csv", use_engine)
    content = b"".join(lines)
    last_two = range(len(content) - len(lines[-1]) - len(lines[-2]), len(content) + 1)
    for length in [*range(0, len(lines[0]) + 40, 40), *last_two]:
        Path("out.csv.partial").write_bytes(content[:length])
        assert score("images", "-o", "out.csv", "--resume") == 1
        assert Path("out.csv").read_bytes() == whole
        os.unlink("out.csv")


def test_damaged_checkpoint_line_only_rescores_its_batch(
    image_folder: Path, use_engine: Callable[[RedEngine], RedEngine]
) -> None:
    use_engine(RedEngine())
    score("images", "-o", "whole.csv")
    lines = leave_checkpoint(20, "out.csv", use_engine)
    lines[3] = bytes(len(lines[3]) - 1) + b"\n"  # zeros, as a power failure may leave them
    Path("out.csv.partial").write_bytes(b"".join(lines))
    engine = use_engine(RedEngine())
    assert score("images", "-o", "out.csv", "--resume") == 1
    kept = sum(b"null}" in line for line in lines)
    assert engine.scored == 36 - kept + 2  # the other images of its batch
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_resume_with_another_provenance_is_refused(
    image_folder: Path, use_engine: Callable[[RedEngine], RedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = leave_checkpoint(8, "out.csv", use_engine)
    capsys.readouterr()
    assert score("images", "-o", "out.csv", "--resume", "--exif-transpose") == 2
    message = capsys.readouterr().err
    assert "exif_transpose was False and is True" in message
    assert Path("out.csv.partial").read_bytes() == b"".join(lines)
    assert score("images", "-o", "out.csv", "--resume") == 1
    before = Path("out.csv").read_bytes()
    capsys.readouterr()
    assert score("images", "-o", "out.csv", "--resume", "--exif-transpose") == 2
    second_message = capsys.readouterr().err
    ids = [word.strip(",") for word in message.split() if len(word.strip(",")) == 12 and word.strip(",").isalnum()]
    assert len(ids) == 2
    assert all(name in second_message for name in ids)
    assert Path("out.csv").read_bytes() == before
    assert score("images", "-o", "out.csv", "--overwrite", "--exif-transpose") == 1
    assert Path("out.csv").read_bytes() == before.replace(ids[0].encode(), ids[1].encode())


def test_existing_checkpoint_and_output_files(
    image_folder: Path, use_engine: Callable[[RedEngine], RedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = leave_checkpoint(8, "out.csv", use_engine)
    assert score("images", "-o", "out.csv") == 2
    assert "out.csv.partial holds the scores of a run" in capsys.readouterr().err
    assert score("images", "-o", "out.csv", "--overwrite", "--path-column", "error") == 2
    assert Path("out.csv.partial").read_bytes() == b"".join(lines)
    assert score("images", "-o", "out.csv", "--overwrite") == 1
    Path("b.csv.partial").write_text("precious")
    Path("c.csv.partial").symlink_to("b.csv.partial")
    os.mkfifo("d.csv.partial")
    for out in ("b.csv", "c.csv", "d.csv"):
        assert score("images", "-o", out, "--overwrite") == 2
        assert "was not written by this command" in capsys.readouterr().err
    assert Path("b.csv.partial").read_text() == "precious"
    Path("e.csv").write_text("precious")
    assert score("images", "-o", "e.csv", "--resume") == 2
    assert Path("e.csv").read_text() == "precious"
    assert not Path("e.csv.partial").exists()
    assert score("images", "--resume") == 2
    assert score("images", "-o", "f.csv", "--retry-failed") == 2
    assert score("images", "-o", "f.csv", "--path-column", "error") == 2
    assert not Path("f.csv.partial").exists()
    assert score("images", "-o", "f.csv", "--resume") == 1  # without a checkpoint it starts from the beginning
    assert Path("f.csv").read_bytes() == Path("out.csv").read_bytes()


def test_checkpoint_is_locked_by_one_run(
    image_folder: Path, use_engine: Callable[[RedEngine], RedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    use_engine(RedEngine())
    process = start_score(image_folder, "out.csv", forward_s=0.3)
    wait_for_scores(image_folder / "out.csv")
    for option in ("--resume", "--overwrite"):
        assert score("images", "-o", "out.csv", option) == 2
        assert "another run is writing" in capsys.readouterr().err
    process.kill()
    process.join()
    assert score("images", "-o", "out.csv", "--resume") == 1
