"""The `resmem` command: in this process with `main`, and as people start it."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.cli import main
from resmem_plugin.jobs.signals import defer_signals
from tests.conftest import flat

pytestmark = pytest.mark.weights

COMMAND = [str(Path(sys.executable).with_name("resmem"))]


@pytest.fixture
def folder(tmp_path: Path, photos: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with pictures/{a.png,b.jpg,sub/c.png,notes.txt}."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures/sub").mkdir(parents=True)
    Image.open(photos["coffee.png"]).save("pictures/a.png")
    Image.open(photos["rocket.jpg"]).save("pictures/b.jpg")
    Image.open(photos["moon.png"]).save("pictures/sub/c.png")
    (tmp_path / "pictures/notes.txt").write_text("no picture")
    (tmp_path / "pictures/.hidden.png").write_text("no picture")
    return tmp_path


@pytest.fixture
def expected(folder: Path, scorer: Scorer) -> dict[str, float]:
    paths = ["pictures/a.png", "pictures/b.jpg", "pictures/sub/c.png"]
    return {path: score.memorability for path, score in zip(paths, scorer.score(paths), strict=True)}


def _read(text: str) -> dict[str, float]:
    table = pd.read_csv(io.StringIO(text))
    assert list(table.columns) == ["path", "memorability", "error", "provenance"]
    return dict(zip(table["path"], table["memorability"], strict=True))


def test_files_and_folders(expected: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "pictures"]) == 0
    captured = capsys.readouterr()
    assert _read(captured.out) == pytest.approx({path: expected[path] for path in list(expected)[:2]}, abs=1e-6)
    assert "2 of 2 scored" in captured.err
    assert main(["score", "--recursive", "pictures"]) == 0
    assert _read(capsys.readouterr().out) == pytest.approx(expected, abs=1e-6)
    assert main(["score", "pictures/b.jpg", "pictures/sub"]) == 0
    assert list(_read(capsys.readouterr().out)) == ["pictures/b.jpg", "pictures/sub/c.png"]


def test_some_failed(expected: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "pictures/a.png", "pictures/notes.txt", "none.png", "pictures/b.jpg"]) == 1
    captured = capsys.readouterr()
    table = pd.read_csv(io.StringIO(captured.out))
    assert table["memorability"].isna().tolist() == [False, True, True, False]
    assert "not an image" in table["error"][1]
    assert "no such file" in table["error"][2]
    assert "2 of 4 scored, 2 failed" in captured.err


def test_errors_raise(expected: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--errors", "raise", "pictures/a.png", "none.png"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""  # found before anything was scored
    assert "none.png" in captured.err
    assert main(["score", "--errors", "raise", "pictures/a.png", "pictures/notes.txt", "pictures/b.jpg"]) == 1
    captured = capsys.readouterr()
    table = pd.read_csv(io.StringIO(captured.out))
    assert table["memorability"].notna().tolist() == [True, False, False]  # what was scored is not lost
    assert "not scored: the run stopped" in table["error"][2]
    assert "pictures/notes.txt: not an image" in captured.err


def test_csv_shows_no_more_digits_than_a_score_has(
    expected: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "pictures/a.png"]) == 0
    cell = capsys.readouterr().out.splitlines()[1].split(",")[1]
    assert cell == str(np.float32(cell))
    assert float(cell) == pytest.approx(expected["pictures/a.png"], abs=1e-6)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_output_files(suffix: str, expected: dict[str, float], folder: Path, scorer: Scorer) -> None:
    out = folder / f"out.{suffix}"
    arguments = ["score", "-r", "pictures", "missing.png", "-o", str(out)]
    assert main(arguments) == 1
    readers = {
        "csv": pd.read_csv,
        "tsv": lambda path: pd.read_csv(path, sep="\t"),
        "jsonl": lambda path: pd.read_json(path, lines=True),
        "parquet": pd.read_parquet,
    }
    table = readers[suffix](out)  # type: ignore[operator]
    assert table["memorability"][:3].tolist() == pytest.approx(list(expected.values()), abs=1e-6)
    assert np.isnan(table["memorability"][3])
    assert table["path"].tolist() == [*expected, "missing.png"]
    assert table["error"][:3].isna().all()
    assert set(table["provenance"]) == {scorer.provenance.id}
    if suffix == "parquet":
        assert table.attrs["resmem"]["weights"] == scorer.provenance.weights
        assert table["memorability"].dtype == np.float32


def test_an_output_that_exists_is_kept(expected: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    Path("out.csv").write_text("precious")
    assert main(["score", "pictures", "-o", "out.csv"]) == 2
    assert Path("out.csv").read_text() == "precious"
    assert "--overwrite" in capsys.readouterr().err
    assert main(["score", "pictures", "-o", "out.csv", "--overwrite"]) == 0
    assert len(pd.read_csv("out.csv")) == 2


def test_a_table_keeps_its_columns(expected: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    Path("table.csv").write_text('id,file,note\n007,a.png,"x, y"\n008,,NA\n009,sub/c.png,\n')
    assert main(["score", "table.csv", "--path-column", "file", "--root", "pictures", "-o", "out.csv"]) == 1
    table = pd.read_csv("out.csv", dtype=str, keep_default_na=False)
    assert list(table.columns) == ["id", "file", "note", "memorability", "error", "provenance"]
    assert table["id"].tolist() == ["007", "008", "009"]
    assert table["note"].tolist() == ["x, y", "NA", ""]
    assert float(table["memorability"][0]) == pytest.approx(expected["pictures/a.png"], abs=1e-6)
    assert "missing value" in table["error"][1]
    assert float(table["memorability"][2]) == pytest.approx(expected["pictures/sub/c.png"], abs=1e-6)


def test_rows_and_cells_come_out_as_they_went_in(expected: dict[str, float]) -> None:
    Path("table.csv").write_bytes(b'path\npictures/a.png\n\n"c\rd"\n\n\n')
    assert main(["score", "table.csv", "-o", "out.csv"]) == 1
    table = pd.read_csv("out.csv", keep_default_na=False, lineterminator="\n")
    assert table["path"].tolist() == ["pictures/a.png", "", "c\rd"]
    lines = [
        {"path": "pictures/a.png", "x": 0.12345678901234567, "y": {"z": 1e-12}},
        {"path": "none", "x": None, "y": 2},
    ]
    Path("table.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["score", "table.jsonl", "-o", "out.jsonl"]) == 1
    out = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [{key: row[key] for key in ("path", "x", "y")} for row in out] == lines
    assert out[0]["memorability"] == pytest.approx(expected["pictures/a.png"], abs=1e-6)
    assert out[1]["memorability"] is None
    Path("ragged.csv").write_text("path,n\npictures/a.png,1,\n")
    assert main(["score", "ragged.csv"]) == 2


def test_roots_are_for_tables_and_lists(
    expected: dict[str, float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", _Stdin(b"sub/c.png\n"))
    assert main(["score", "pictures/a.png", "-", "--root", "pictures"]) == 0
    assert list(_read(capsys.readouterr().out)) == ["pictures/a.png", "pictures/sub/c.png"]


def test_ctrl_c_waits_while_results_are_written() -> None:
    with defer_signals():
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_columns_of_one_name_stay_two(expected: dict[str, float]) -> None:
    Path("table.csv").write_text("note,path,note\n1,pictures/a.png,2\n")
    assert main(["score", "table.csv", "-o", "out.csv"]) == 0
    assert (
        Path("out.csv").read_text().startswith("note,path,note,memorability,error,provenance\n1,pictures/a.png,2,0.88")
    )


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_other_tables(suffix: str, expected: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame(
        {"path": list(expected), "number": pd.array([2**53 + 1, None, 3], dtype="Int64"), "text": ["1", "b", None]},
        index=pd.Index([5, 6, 7], name="id"),
    )
    if suffix == "jsonl":
        table.reset_index().to_json("table.jsonl", orient="records", lines=True)
    else:
        table.to_parquet("table.parquet")
    assert main(["score", f"table.{suffix}", "-o", "out.parquet"]) == 0
    out = pd.read_parquet("out.parquet")
    assert out["memorability"].tolist() == pytest.approx(list(expected.values()), abs=1e-6)
    assert out["id"].tolist() == [5, 6, 7]
    assert pd.read_parquet("out.parquet", dtype_backend="pyarrow")["number"].fillna(0).tolist() == [2**53 + 1, 0, 3]
    assert out["text"].tolist()[:2] == ["1", "b"]


class _Stdin(io.TextIOWrapper):
    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))


@pytest.mark.parametrize(("options", "separator"), [([], b"\n"), ([], b"\r\n"), (["-0"], b"\0")])
def test_a_list_on_stdin(
    options: list[str],
    separator: bytes,
    expected: dict[str, float],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", _Stdin(separator.join(path.encode() for path in expected) + separator))
    assert main(["score", "-", *options]) == 0
    assert _read(capsys.readouterr().out) == pytest.approx(expected, abs=1e-6)


def test_a_gallery(expected: dict[str, float], folder: Path) -> None:
    assert main(["score", "-r", "pictures", "none.png", "--html", "gallery.html", "-o", "out.csv"]) == 1
    page = (folder / "gallery.html").read_text(encoding="utf-8")
    assert page.index("a.png</figcaption>") < page.index("c.png</figcaption>") < page.index("b.jpg</figcaption>")
    assert "no such file" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "pictures", "-o", "out.xlsx"], "must end in one of .csv"),
        (["score", "pictures", "-o", "nowhere/out.csv"], "no folder"),
        (["score", "pictures", "--html", "nowhere/g.html"], "no folder"),
        (["score", "pictures", "-o", ""], "must end in one of"),
        (["score", "pictures", "-o", "a.csv", "--html", "./a.csv"], "both name"),
        (["score", "pictures", "-o", "empty/a.csv", "--html", "link/a.csv"], "both name"),
        (["score", "pictures", "--html", "pictures", "--overwrite"], "pictures is a folder"),
        (["score", "pictures", "--path-column", "error"], "column of results"),
        (["score", "list.jsonl"], "a line is not a JSON object"),
        (["score", "empty"], "no images in the folder empty (--recursive"),
        (["score", "none.csv"], "no table none.csv"),
        (["score", "table.csv", "pictures"], "on its own"),
        (["score", "table.csv", "--path-column", "image"], "--path-column name one of path, memorability"),
        (["score", "table.csv"], "has a column 'memorability' already"),
        (["score", "broken.parquet"], "is not a parquet table"),
        (["score", "empty.csv"], "is not a csv table"),
        (["score", "pictures", "--precision", "fp64"], "precision"),
        (["score", "pictures", "--device", "cuda:7"], "cuda"),
        (["score", "pictures", "--batch-size", "0"], "batch_size"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("empty")
    (folder / "list.jsonl").write_text("[1, 2]\n3\n")
    (folder / "table.csv").write_text("path,memorability\npictures/a.png,1\n")
    (folder / "broken.parquet").write_text("no parquet")
    (folder / "empty.csv").touch()
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("arguments", [[], ["score"], ["score", "a.jpg", "--errors", "ignore"], ["rank"]])
def test_usage_of_argparse(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_weights(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["weights"]) == 0
    out = capsys.readouterr().out
    assert "model.pt" in out
    assert "8e4b8ab0ac338909add68a674e9bd4c1602350731abe7f97bc060dc159706a53 (verified)" in out
    assert "Non-commercial" in out
    monkeypatch.setenv("RESMEM_WEIGHTS", "none.pt")
    assert main(["weights"]) == 1
    assert "no weights file at none.pt" in capsys.readouterr().err


def test_warnings_are_one_line_each(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray((flat(255).astype("uint16") * 257)[:, :, 0]).save("deep.png")
    assert main(["score", "deep.png"]) == 0
    assert "resmem: warning: 1 image(s) hold values outside 0-255" in capsys.readouterr().err


def test_scores_are_not_lost_with_their_file(
    expected: dict[str, float], folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    assert main(["score", "pictures", "-o", "out.parquet"]) == 1
    captured = capsys.readouterr()
    assert "out.parquet could not be written" in captured.err
    assert "--resume" in captured.err
    assert captured.out == ""
    assert [name for name in os.listdir() if "out" in name or "unfinished" in name] == ["out.parquet.partial"]
    monkeypatch.undo()
    os.chdir(folder)
    assert main(["score", "pictures", "-o", "out.parquet", "--resume"]) == 0
    assert pd.read_parquet("out.parquet")["memorability"].tolist() == pytest.approx(
        list(expected.values())[:2], abs=1e-6
    )


# As people start it.


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", "<&- -", "2>&-"])
def test_closed_and_full_streams(redirection: str, expected: dict[str, float]) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND[0]} score pictures {redirection}"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert "Traceback" not in done.stderr
    if redirection == "2>&-":
        assert done.returncode == 0
        assert len(_read(done.stdout)) == 2
    else:
        assert done.returncode in (1, 2)
        assert "error" in done.stderr


def test_names_that_are_no_utf8(expected: dict[str, float]) -> None:
    name = b"pictures/\xff\xe9.png"
    Path(os.fsdecode(name)).write_bytes(Path("pictures/a.png").read_bytes())
    done = subprocess.run([*COMMAND, "score", "pictures"], capture_output=True, check=True)
    assert name in done.stdout
    for suffix in ("csv", "jsonl", "parquet"):
        done = subprocess.run([*COMMAND, "score", "pictures", "-o", f"o.{suffix}"], capture_output=True, check=False)
        assert b"Traceback" not in done.stderr
        written = Path(f"o.{suffix}")
        assert written.exists() or name in done.stdout
    assert os.fsencode(json.loads(Path("o.jsonl").read_text().splitlines()[-1])["path"]) == name


def test_the_command(expected: dict[str, float]) -> None:
    done = subprocess.run([*COMMAND, "score", "pictures"], capture_output=True, text=True, check=True)
    assert _read(done.stdout) == pytest.approx({path: expected[path] for path in list(expected)[:2]}, abs=1e-6)
    assert subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True).stdout.startswith(
        "resmem-plugin 0."
    )


def test_a_reader_that_has_had_enough(expected: dict[str, float]) -> None:
    command = f"{COMMAND[0]} score -r pictures pictures pictures | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.fixture
def many(folder: Path) -> Path:
    """A list of far more images than can be scored before the test interrupts it."""
    path = folder / "many.txt"
    path.write_text("pictures/a.png\npictures/b.jpg\n" * 5000)
    return path


def test_ctrl_c_prints_what_was_scored(many: Path, expected: dict[str, float]) -> None:
    terminal, stderr = pty.openpty()  # on which there is a progress bar to watch
    fcntl.ioctl(stderr, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    with many.open() as stdin, open("out.csv", "w") as stdout:
        process = subprocess.Popen(
            [*COMMAND, "score", "-", "--batch-size", "2"], stdin=stdin, stdout=stdout, stderr=stderr
        )
    os.close(stderr)
    said = ""
    while not re.search(r"[2-9]/10000 \[", said):
        said += os.read(terminal, 1000).decode()
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # the terminal's end
        while more := os.read(terminal, 1000).decode():
            said += more
    os.close(terminal)
    assert process.wait(30) == 130
    assert "interrupted after" in said
    assert "Traceback" not in said
    table = pd.read_csv("out.csv")
    assert len(table) == 10_000  # no row is dropped
    done = table["memorability"].notna().sum()
    assert 0 < done < 10_000
    assert table["error"][done:].str.startswith("not scored").all()
    assert table["memorability"][:2].tolist() == pytest.approx(list(expected.values())[:2], abs=1e-6)
