"""`resmem score`: exit codes, messages, wrong usage, and Ctrl-C."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resmem_plugin.cli import main
from resmem_plugin.jobs.tables import read_table
from tests.http_server import WebServer
from tests.jobs.photo_folder import read_scores
from tests.jobs.runs import COMMAND

pytestmark = pytest.mark.weights


def test_console_script(expected_scores: dict[str, float]) -> None:
    done = subprocess.run([*COMMAND, "score", "images"], capture_output=True, text=True, check=True)
    assert read_scores(done.stdout) == pytest.approx(
        {path: expected_scores[path] for path in list(expected_scores)[:2]}, abs=1e-6
    )
    assert subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True).stdout.startswith(
        "resmem-plugin 0."
    )


def test_failed_images_exit_with_1_and_keep_their_rows(
    expected_scores: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "images/a.png", "images/notes.txt", "none.png", "images/b.jpg"]) == 1
    captured = capsys.readouterr()
    table = pd.read_csv(io.StringIO(captured.out))
    assert table["memorability"].isna().tolist() == [False, True, True, False]
    assert "not an image" in table["error"][1]
    assert "no such file" in table["error"][2]
    assert "2 of 4 scored, 2 failed" in captured.err


def test_errors_raise_stops_at_the_first_failed_image(
    expected_scores: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "--errors", "raise", "images/a.png", "none.png"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""  # found before anything was scored
    assert "none.png" in captured.err
    assert main(["score", "--errors", "raise", "images/a.png", "images/notes.txt", "images/b.jpg"]) == 1
    captured = capsys.readouterr()
    table = pd.read_csv(io.StringIO(captured.out))
    assert table["memorability"].notna().tolist() == [True, False, False]  # completed scores are printed
    assert "not scored: the run stopped" in table["error"][2]
    assert "images/notes.txt: not an image" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "images", "-o", "out.xlsx"], "must end in one of .csv"),
        (["score", "images", "-o", "nowhere/out.csv"], "no folder"),
        (["score", "images", "--html", "nowhere/g.html"], "no folder"),
        (["score", "images", "-o", ""], "must end in one of"),
        (["score", "images", "-o", "a.csv", "--html", "./a.csv"], "both name"),
        (["score", "images", "-o", "empty/a.csv", "--html", "link/a.csv"], "both name"),
        (["score", "images", "--html", "images", "--overwrite"], "images is a folder"),
        (["score", "images", "--path-column", "error"], "column of results"),
        (["score", "list.jsonl"], "line 1 is an array, not a JSON object"),
        (["score", "empty"], "no images in the folder empty (--recursive"),
        (["score", "none.csv"], "no table none.csv"),
        (["score", "table.csv", "images"], "score it alone"),
        (["score", "table.csv", "--path-column", "image"], "choose one with --path-column from path, memorability"),
        (["score", "table.csv"], "has a column 'memorability' already"),
        (["score", "broken.parquet"], "is not a parquet table"),
        (["score", "empty.csv"], "does not begin with the names of its columns"),
        (["score", "images", "--precision", "fp64"], "precision"),
        (["score", "images", "--device", "cuda:7"], "cuda"),
        (["score", "images", "--batch-size", "0"], "batch_size"),
    ],
)
def test_wrong_usage_exits_with_2(
    arguments: list[str], message: str, photo_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photo_folder / "empty").mkdir()
    (photo_folder / "link").symlink_to("empty")
    (photo_folder / "list.jsonl").write_text("[1, 2]\n3\n")
    (photo_folder / "table.csv").write_text("path,memorability\nimages/a.png,1\n")
    (photo_folder / "broken.parquet").write_text("no parquet")
    (photo_folder / "empty.csv").touch()
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_flaws_are_columns_on_request_and_kept_by_resume(suffix: str, photo_folder: Path) -> None:
    deep, raw = photo_folder / "deep.png", photo_folder / "raw.tif"
    Image.fromarray(np.full((9, 9), 40_000, np.uint16)).save(deep)
    Image.new("RGB", (16, 12)).save(raw, tiffinfo={254: 1})
    (photo_folder / "list.csv").write_text(f"path\nimages/a.png\n{deep}\n{raw}\nnone.png\n")
    command = ["score", "list.csv", "-o", f"out{suffix}", "--columns", "thumbnail,clipped"]
    assert main(command) == 1

    def read() -> pd.DataFrame:
        table = read_table(f"out{suffix}")
        return pd.DataFrame(dict(zip(table.names, map(list, table.columns), strict=True))).astype(str)

    table = read()
    assert table.columns.tolist() == ["path", "memorability", "error", "provenance", "thumbnail", "clipped"]
    assert [str(text).lower() for text in table["clipped"]][:3] == ["false", "true", "false"]
    assert [str(text).lower() for text in table["thumbnail"]][:3] == ["false", "false", "true"]
    assert str(table["clipped"][3]) in ("", "None", "nan", "<NA>")
    with open("list.csv", "a") as file:
        file.write("images/b.jpg\n")
    assert main([*command, "--resume"]) == 1
    assert read().iloc[:4].drop(columns="memorability").equals(table.drop(columns="memorability"))
    assert main([*command[:-2], "--resume"]) == 2  # without the columns


@pytest.mark.parametrize("names", ["none", "clipped,clipped", ""])
def test_unknown_columns_are_wrong_usage(names: str, photo_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["score", "images", "--columns", names])
    assert "choose from clipped, thumbnail, each once" in capsys.readouterr().err
    (photo_folder / "table.csv").write_text("path,clipped\nimages/a.png,1\n")
    assert main(["score", "table.csv", "--columns", "clipped"]) == 2
    assert "has a column 'clipped' already" in capsys.readouterr().err


def test_base64_in_a_table_or_on_standard_input(
    expected_scores: dict[str, float], photo_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = base64.b64encode((photo_folder / "images" / "a.png").read_bytes()).decode()
    (photo_folder / "table.csv").write_text(f"id,image\n007,{text}\n008,images/a.png\n")
    assert main(["score", "table.csv", "--path-column", "image", "--base64", "-o", "out.csv", "--html", "g.html"]) == 1
    table = pd.read_csv("out.csv")
    assert table["memorability"][0] == pytest.approx(expected_scores["images/a.png"], abs=1e-6)
    assert "cannot be there" in table["error"][1]
    assert "data:image/" in (photo_folder / "g.html").read_text()
    done = subprocess.run([*COMMAND, "score", "-", "--base64"], input=text, capture_output=True, text=True, check=True)
    assert pd.read_csv(io.StringIO(done.stdout))["memorability"][0] == table["memorability"][0]
    for wrong in (["images"], ["table.csv", "--path-column", "image", "--root", "images"]):
        assert main(["score", *wrong, "--base64"]) == 2
        assert "--base64 is for the column of a table" in capsys.readouterr().err


@pytest.fixture
def many_paths(photo_folder: Path) -> Path:
    """A list of far more images than can be scored before the test interrupts it."""
    path = photo_folder / "many.txt"
    path.write_text("images/a.png\nimages/b.jpg\n" * 5000)
    return path


def test_ctrl_c_prints_the_completed_scores(many_paths: Path, expected_scores: dict[str, float]) -> None:
    terminal, stderr = pty.openpty()  # on which there is a progress bar to watch
    fcntl.ioctl(stderr, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    with many_paths.open() as stdin, open("out.csv", "w") as stdout:
        process = subprocess.Popen(
            [*COMMAND, "score", "-", "--batch-size", "2"], stdin=stdin, stdout=stdout, stderr=stderr
        )
    os.close(stderr)
    output = ""
    while not re.search(r"[2-9]/10000 \[", output):
        output += os.read(terminal, 1000).decode()
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # the terminal's end
        while more := os.read(terminal, 1000).decode():
            output += more
    os.close(terminal)
    assert process.wait(30) == 130
    assert "interrupted after" in output
    assert "Traceback" not in output
    table = pd.read_csv("out.csv")
    assert len(table) == 10_000  # no row is dropped
    done = table["memorability"].notna().sum()
    assert 0 < done < 10_000
    assert table["error"][done:].str.startswith("not scored").all()
    assert table["memorability"][:2].tolist() == pytest.approx(list(expected_scores.values())[:2], abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["images", "--exclude", "b*"], 0),
        (["images/*.png", "images/b.jpg"], 0),
        (["images/a.png", "none[1].png"], 1),
        (["images/*.gif"], 2),
        (["images", "--exclude", "*"], 2),
        (["nothere/", "images/a.png"], 2),
        (["none.txt"], 2),
    ],
)
def test_exit_codes_of_folders_and_patterns(
    arguments: list[str], code: int, expected_scores: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", *arguments]) == code
    scored = read_scores(capsys.readouterr().out) if code < 2 else {}
    assert scored.get("images/a.png") == pytest.approx(expected_scores["images/a.png"] if code < 2 else None, abs=1e-6)
    assert ("images/b.jpg" in scored) == ("images/b.jpg" in arguments)


def test_the_gallery_sends_the_headers_too(
    expected_scores: dict[str, float], web: WebServer, capsys: pytest.CaptureFixture[str]
) -> None:
    url = web.url("private/a.jpg")
    assert main(["score", url, "--header", f"Authorization: {web.private}", "--html", "gallery.html"]) == 0
    page = Path("gallery.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 1
    assert web.private not in page
