"""The outputs of `resmem score`: formats, files that exist, full disks, and which outputs can be resumed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.cli import main
from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.outputs import RESULT_COLUMNS, Outputs, check_columns, read_output
from resmem_plugin.jobs.results import NOT_REACHED, Results
from resmem_plugin.jobs.tables import Table, write_table
from tests import command
from tests.conftest import flat
from tests.jobs.runs import score
from tests.models import RedEngine


@pytest.mark.weights
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_output_formats(suffix: str, expected_scores: dict[str, float], photo_folder: Path, scorer: Scorer) -> None:
    out = photo_folder / f"out.{suffix}"
    arguments = ["score", "-r", "images", "missing.png", "-o", str(out)]
    assert main(arguments) == 1
    readers = {
        "csv": pd.read_csv,
        "tsv": lambda path: pd.read_csv(path, sep="\t"),
        "jsonl": lambda path: pd.read_json(path, lines=True),
        "parquet": pd.read_parquet,
    }
    table = readers[suffix](out)  # type: ignore[operator]
    assert table["memorability"][:3].tolist() == pytest.approx(list(expected_scores.values()), abs=1e-6)
    assert np.isnan(table["memorability"][3])
    assert table["path"].tolist() == [*expected_scores, "missing.png"]
    assert table["error"][:3].isna().all()
    assert set(table["provenance"]) == {scorer.provenance.id}
    if suffix == "parquet":
        assert table.attrs["resmem"]["weights"] == scorer.provenance.weights
        assert table["memorability"].dtype == np.float32


@pytest.mark.weights
def test_existing_output_needs_overwrite(expected_scores: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    Path("out.csv").write_text("precious")
    assert main(["score", "images", "-o", "out.csv"]) == 2
    assert Path("out.csv").read_text() == "precious"
    assert "--overwrite" in capsys.readouterr().err
    assert main(["score", "images", "-o", "out.csv", "--overwrite"]) == 0
    assert len(pd.read_csv("out.csv")) == 2


@pytest.mark.weights
def test_html_gallery(expected_scores: dict[str, float], photo_folder: Path) -> None:
    assert main(["score", "-r", "images", "none.png", "--html", "gallery.html", "-o", "out.csv"]) == 1
    page = (photo_folder / "gallery.html").read_text(encoding="utf-8")
    assert page.index("a.png</figcaption>") < page.index("c.png</figcaption>") < page.index("b.jpg</figcaption>")
    assert "no such file" in page


@pytest.mark.weights
def test_scores_are_kept_if_the_output_cannot_be_written(
    expected_scores: dict[str, float],
    photo_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def disk_full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", disk_full)
    assert main(["score", "images", "-o", "out.parquet"]) == 1
    captured = capsys.readouterr()
    assert "out.parquet could not be written" in captured.err
    assert "--resume" in captured.err
    assert captured.out == ""
    assert [name for name in os.listdir() if "out" in name or "unfinished" in name] == ["out.parquet.partial"]
    monkeypatch.undo()
    os.chdir(photo_folder)
    assert main(["score", "images", "-o", "out.parquet", "--resume"]) == 0
    assert pd.read_parquet("out.parquet")["memorability"].tolist() == pytest.approx(
        list(expected_scores.values())[:2], abs=1e-6
    )


@pytest.mark.parametrize("full_at", ["checkpoint", "output"])
def test_full_disk(full_at: str, image_folder: Path) -> None:
    images = [f"images/{number:02}.png" for number in range(10, 14 if full_at == "output" else 40)]
    arguments = ["score", "--device", "cpu", *images, "-o"]
    command.run([*arguments, "whole.parquet"], image_folder)
    limit_bytes = os.path.getsize("whole.parquet") - 1 if full_at == "output" else 1500
    code, output = command.run([*arguments, "out.parquet"], image_folder, limit_bytes=limit_bytes)
    assert code == 1
    assert ("out.parquet could not" if full_at == "output" else "out.parquet.partial cannot") in output
    assert "free some space" in output
    assert "--resume" in output
    assert "Traceback" not in output
    kept = Path("out.parquet.partial").read_bytes().count(b"\n") - 1
    assert kept == len(images) if full_at == "output" else f"{kept} of {len(images)} images, which are kept" in output
    assert sorted(os.listdir()) == ["images", "out.parquet.partial", "said", "whole.parquet"]
    command.run([*arguments, "out.parquet", "--resume"], image_folder)
    assert Path("out.parquet").read_bytes() == Path("whole.parquet").read_bytes()


def test_overwrite_reuses_no_score_of_the_old_output(
    image_folder: Path, use_engine: Callable[[RedEngine], RedEngine]
) -> None:
    use_engine(RedEngine())
    score("images", "-o", "out.csv")
    finished = Path("out.csv").read_bytes()
    for path in Path("images").glob("3*.png"):
        Image.fromarray(flat(200)).save(path)
    use_engine(RedEngine(fails_at=8))
    assert score("images", "-o", "out.csv", "--overwrite") == 1
    assert Path("out.csv").read_bytes() == finished  # until the new output is complete
    use_engine(RedEngine())
    assert score("images", "-o", "out.csv", "--resume") == 1
    score("images", "-o", "whole.csv")
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes() != finished


@pytest.mark.parametrize("finished", [False, True])
def test_resume_with_other_inputs_is_refused(
    finished: bool, image_folder: Path, use_engine: Callable[[RedEngine], RedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("table.csv").write_text("path,n\n" + "".join(f"images/{number:02}.png,x\n" for number in range(6, 30)))
    use_engine(RedEngine(fails_at=None if finished else 10))
    assert score("table.csv", "-o", "out.csv") == 1
    assert Path("out.csv").exists() == finished
    use_engine(RedEngine())
    rows = Path("table.csv").read_text().splitlines(keepends=True)
    for changed, message in [
        ([*rows[:3], rows[4], rows[3], *rows[5:]], "image 3 is 'images/08.png' in out.csv"),
        (rows[:4], "'images/09.png' in out.csv"),
        ([rows[0].replace("n", "m"), *rows[1:]], None if not finished else "out.csv has other columns"),
    ]:
        Path("table.csv").write_text("".join(changed))
        capsys.readouterr()
        assert score("table.csv", "-o", "out.csv", "--resume") == (2 if message else 1)
        assert message is None or message in capsys.readouterr().err
    Path("out.csv").unlink(missing_ok=True)
    Path("table.csv").write_text("".join(rows))
    assert score("table.csv", "-o", "out.csv") == 1
    Path("table.csv").write_text("".join([*rows, "images/39.png,y\n"]))
    assert score("table.csv", "-o", "out.csv", "--resume") == 1  # added rows are allowed
    assert Path("out.csv").read_text().splitlines()[-1].startswith("images/39.png,y,0.15")


def results_table(memorability: list[str], errors: list[str], provenance: list[str]) -> Table:
    """What the command writes for the images 0.png, 1.png, ..."""
    paths = [f"{number}.png" for number in range(len(memorability))]
    return Table(["path", *RESULT_COLUMNS], [paths, memorability, errors, provenance])


def read(written: Table, path: Path, count: int) -> tuple[str | None, Results]:
    """Write a table as csv, and read it as the output of an earlier run over `count` images."""
    write_table(written, path, {})
    results = Results.empty(count)
    table = Table(["path"], [[f"{number}.png" for number in range(count)]])
    return read_output(str(path), table, "path", results), results


def test_read_output_scores_errors_and_rows_not_reached(tmp_path: Path) -> None:
    written = results_table(["0.5", "", ""], ["", "not an image", NOT_REACHED], ["a" * 12] * 3)
    provenance, results = read(written, tmp_path / "out.csv", count=4)  # one row was added since
    assert provenance == "a" * 12
    assert results.memorability[0] == 0.5
    assert results.errors == {1: "not an image"}
    assert results.not_reached == [2, 3]


def test_read_output_without_rows(tmp_path: Path) -> None:
    provenance, results = read(results_table([], [], []), tmp_path / "out.csv", count=2)
    assert provenance is None
    assert results.done == 0


@pytest.mark.parametrize("names", [["path", "memorability", "error"], ["file", *RESULT_COLUMNS], ["path", "n"]])
def test_read_output_with_other_columns_raises(names: list[str], tmp_path: Path) -> None:
    written = Table(names, [["0.png"], *(["1"] for _ in names[1:])])
    with pytest.raises(OptionError, match=r"out\.csv has other columns than this command writes"):
        read(written, tmp_path / "out.csv", count=1)


def test_read_output_with_several_provenances_raises(tmp_path: Path) -> None:
    written = results_table(["0.5", "0.6"], ["", ""], ["b" * 12, "a" * 12])
    with pytest.raises(OptionError, match=f"several provenances \\({'a' * 12}, {'b' * 12}\\): --overwrite it"):
        read(written, tmp_path / "out.csv", count=2)


def test_read_output_with_a_memorability_that_is_not_a_number_raises(tmp_path: Path) -> None:
    written = results_table(["0.5", "high"], ["", ""], ["a" * 12] * 2)
    with pytest.raises(OptionError, match=r"out\.csv has a memorability that is not a number .*'high'.*--overwrite it"):
        read(written, tmp_path / "out.csv", count=2)


def test_read_output_of_more_rows_than_the_input_raises(tmp_path: Path) -> None:
    written = results_table(["0.5", "0.6"], ["", ""], ["a" * 12] * 2)
    with pytest.raises(OptionError, match=r"image 2 is '1\.png' in .*out\.csv and missing in the input"):
        read(written, tmp_path / "out.csv", count=1)


def test_check_columns_accepts_other_names() -> None:
    check_columns(Table(["path", "score"], [["a.png"], [1]]), "path")


@pytest.mark.parametrize("column", RESULT_COLUMNS)
def test_check_columns_rejects_names_of_result_columns(column: str) -> None:
    with pytest.raises(OptionError, match=f"the table has a column '{column}' already: rename it"):
        check_columns(Table(["path", column], [["a.png"], [1]]), "path")
    with pytest.raises(OptionError, match=f"--path-column {column} is the name of a column of results"):
        check_columns(Table([column], [["a.png"]]), column)


@pytest.mark.parametrize("names", [["path", "x", "x"], ["path", 1, "1"]])
def test_check_columns_rejects_repeated_names_in_formats_that_would_lose_one(names: list[object]) -> None:
    table = Table(names, [["a.png"], [1], [2]])
    for output in (None, "out.csv", "out.TSV"):
        check_columns(table, "path", output=output)
    for output in ("out.jsonl", "out.parquet"):
        with pytest.raises(OptionError, match=f"several columns '[x1]', of which {output} would keep one: rename"):
            check_columns(table, "path", output=output)


@pytest.mark.parametrize("values", [[1, "a"], [[1], "a"], [b"a", 1], [1 << 70, 1], [1.5, "a"]])
def test_check_columns_rejects_what_parquet_cannot_hold(values: list[object]) -> None:
    for column in (values, pd.Series(values, dtype=object)):
        table = Table(["path", "n"], [["a.png", None], column])
        check_columns(table, "path", output="out.jsonl")
        with pytest.raises(OptionError, match=r"^out\.parquet cannot hold the column 'n'.*: write \.csv or \.jsonl"):
            check_columns(table, "path", output="out.parquet")
    check_columns(Table(["path", "n"], [["a.png", None], [None, 1]]), "path", output="out.parquet")


def test_the_gallery_must_not_be_the_checkpoint(tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    with pytest.raises(OptionError, match=r"scores.csv.partial is where scores are kept"):
        Outputs(str(table), f"{table}.partial").check(may_exist=True)
