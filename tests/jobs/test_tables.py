"""Input and output tables: their cells, columns and rows are kept, in every format."""

from __future__ import annotations

import json
import os
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from resmem_plugin.cli import main
from resmem_plugin.jobs.tables import Table, read_table, write_table
from tests.conftest import flat
from tests.jobs.runs import COMMAND, SUFFIXES, score
from tests.models import RedEngine


@pytest.mark.weights
def test_input_table_columns_are_kept(expected_scores: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    Path("table.csv").write_text('id,file,note\n007,a.png,"x, y"\n008,,NA\n009,sub/c.png,\n')
    assert main(["score", "table.csv", "--path-column", "file", "--root", "images", "-o", "out.csv"]) == 1
    table = pd.read_csv("out.csv", dtype=str, keep_default_na=False)
    assert list(table.columns) == ["id", "file", "note", "memorability", "error", "provenance"]
    assert table["id"].tolist() == ["007", "008", "009"]
    assert table["note"].tolist() == ["x, y", "NA", ""]
    assert float(table["memorability"][0]) == pytest.approx(expected_scores["images/a.png"], abs=1e-6)
    assert "missing value" in table["error"][1]
    assert float(table["memorability"][2]) == pytest.approx(expected_scores["images/sub/c.png"], abs=1e-6)


@pytest.mark.weights
def test_cells_and_blank_rows_are_unchanged(expected_scores: dict[str, float]) -> None:
    Path("table.csv").write_bytes(b'path\nimages/a.png\n\n"c\rd"\n\n\n')
    assert main(["score", "table.csv", "-o", "out.csv"]) == 1
    table = pd.read_csv("out.csv", keep_default_na=False, lineterminator="\n")
    assert table["path"].tolist() == ["images/a.png", "", "c\rd"]
    lines = [
        {"path": "images/a.png", "x": 0.12345678901234567, "y": {"z": 1e-12}},
        {"path": "none", "x": None, "y": 2},
    ]
    Path("table.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["score", "table.jsonl", "-o", "out.jsonl"]) == 1
    out = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [{key: row[key] for key in ("path", "x", "y")} for row in out] == lines
    assert out[0]["memorability"] == pytest.approx(expected_scores["images/a.png"], abs=1e-6)
    assert out[1]["memorability"] is None
    Path("ragged.csv").write_text("path,n\nimages/a.png,1,\n")
    assert main(["score", "ragged.csv"]) == 2


@pytest.mark.weights
def test_duplicate_column_names_are_kept(expected_scores: dict[str, float]) -> None:
    Path("table.csv").write_text("note,path,note\n1,images/a.png,2\n")
    assert main(["score", "table.csv", "-o", "out.csv"]) == 0
    assert Path("out.csv").read_text().startswith("note,path,note,memorability,error,provenance\n1,images/a.png,2,0.88")


@pytest.mark.weights
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_jsonl_and_parquet_tables(
    suffix: str, expected_scores: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.DataFrame(
        {
            "path": list(expected_scores),
            "number": pd.array([2**53 + 1, None, 3], dtype="Int64"),
            "text": ["1", "b", None],
        },
        index=pd.Index([5, 6, 7], name="id"),
    )
    if suffix == "jsonl":
        table.reset_index().to_json("table.jsonl", orient="records", lines=True)
    else:
        table.to_parquet("table.parquet")
    assert main(["score", f"table.{suffix}", "-o", "out.parquet"]) == 0
    out = pd.read_parquet("out.parquet")
    assert out["memorability"].tolist() == pytest.approx(list(expected_scores.values()), abs=1e-6)
    assert out["id"].tolist() == [5, 6, 7]
    assert pd.read_parquet("out.parquet", dtype_backend="pyarrow")["number"].fillna(0).tolist() == [2**53 + 1, 0, 3]
    assert out["text"].tolist()[:2] == ["1", "b"]


@pytest.mark.weights
def test_csv_scores_have_float32_digits(expected_scores: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "images/a.png"]) == 0
    cell = capsys.readouterr().out.splitlines()[1].split(",")[1]
    assert cell == str(np.float32(cell))
    assert float(cell) == pytest.approx(expected_scores["images/a.png"], abs=1e-6)


@pytest.mark.weights
def test_file_names_that_are_not_utf8(expected_scores: dict[str, float]) -> None:
    name = b"images/\xff\xe9.png"
    Path(os.fsdecode(name)).write_bytes(Path("images/a.png").read_bytes())
    done = subprocess.run([*COMMAND, "score", "images"], capture_output=True, check=True)
    assert name in done.stdout
    for suffix in ("csv", "jsonl"):
        subprocess.run([*COMMAND, "score", "images", "-o", f"o.{suffix}"], capture_output=True, check=True)
    assert name in Path("o.csv").read_bytes()
    done = subprocess.run([*COMMAND, "score", "images", "-o", "o.parquet"], capture_output=True, check=False)
    assert done.returncode == 2  # before any image is scored
    assert b"a value is not UTF-8: write .csv or .jsonl" in done.stderr
    assert b"Traceback" not in done.stderr
    assert os.fsencode(json.loads(Path("o.jsonl").read_text().splitlines()[-1])["path"]) == name


def test_spreadsheet_formulas_are_escaped(
    image_folder: Path, use_engine: Callable[[RedEngine], RedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    use_engine(RedEngine())
    names = ["=1+1.png", "+a.png", "-a.png", "@a.png", "\ta.png", "plain.png", "images/=1+1.png"]
    for name in names[:-1]:
        Image.fromarray(flat(51)).save(name)
    Path("list").write_text("\n".join(names))
    for suffix in SUFFIXES:
        with pytest.MonkeyPatch.context() as patch, open("list") as stdin:
            patch.setattr("sys.stdin", stdin)
            assert score("-", "-o", f"out.{suffix}") == 0
        with pytest.MonkeyPatch.context() as patch, open("list") as stdin:
            patch.setattr("sys.stdin", stdin)
            assert score("-", "-o", f"out.{suffix}", "--resume") == 0  # the escaped paths are recognized
    out = first_column("out.csv")
    assert out == [f"./{name}" for name in names[:5]] + names[5:] == first_column("out.tsv")
    assert all(os.path.isfile(path) for path in out)
    assert [json.loads(line)["path"] for line in Path("out.jsonl").read_text().splitlines()] == names
    Path("table.csv").write_text("path,sum\nplain.png,=1+1\n=1+1.png,-1\n")
    capsys.readouterr()
    assert score("table.csv") == 0
    assert [line.split(",")[:2] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["plain.png", "=1+1"],
        ["=1+1.png", "-1"],
    ]


def write_input(name: str, rows: list[dict[str, object]]) -> None:
    frame = pd.DataFrame(rows)
    if name.endswith(".txt"):
        Path(name).write_text("".join(f"{row['path']}\n" for row in rows))
    elif name.endswith(".xlsx"):
        frame.to_excel(name, index=False)
    elif name.endswith((".json", ".jsonl.xz")):
        frame.to_json(name, orient="records", lines="jsonl" in name)
    elif name.endswith((".arrow", ".feather")):
        frame.to_feather(name)
    elif name.endswith(".parquet"):
        Path(name).mkdir(exist_ok=True)
        for start in range(0, len(rows), 10):
            frame[start : start + 10].to_parquet(f"{name}/part-{start:05}.parquet", index=False)
    else:
        frame.to_csv(name, index=False, sep="\t" if ".tsv" in name else ",")


@pytest.mark.parametrize(
    "name",
    ["t.json", "t.csv.gz", "t.TSV.BZ2", "t.jsonl.xz", "t.xlsx", "t.feather", "t.arrow", "t.parquet", "t.txt"],
)
def test_every_kind_of_table_is_scored_and_resumed_by_the_command(
    name: str, image_folder: Path, use_engine: Callable[[RedEngine], RedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, object]] = [
        {"path": f"images/{number:02}.png", "id": f"0{number}", "n": number} for number in range(4, 40)
    ]
    write_input(name, rows)
    for out in ("out.csv", "out.jsonl"):
        use_engine(RedEngine(fails_at=20))
        assert score(name, "-o", out) == 1
        use_engine(RedEngine())
        assert score(name, "-o", out, "--resume") == 1  # every tenth is not an image
        assert "images were done already" in capsys.readouterr().err
        whole = Path(out).read_bytes()
        assert score(name, "-o", out, "--resume") == 1
        assert Path(out).read_bytes() == whole
        assert score(name, "-o", f"again.{out}") == 1
        assert Path(f"again.{out}").read_bytes() == whole
    out_rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["path"] for row in out_rows] == [row["path"] for row in rows]
    assert [row["path"] for row in out_rows if row["error"]] == [
        f"images/{number}.png" for number in ("05", 15, 25, 35)
    ]
    if name != "t.txt":
        assert [(row["id"], int(row["n"])) for row in out_rows] == [(row["id"], row["n"]) for row in rows]


def test_a_cut_gzip_and_an_output_of_a_format_that_is_only_read_exit_with_2_and_score_nothing(
    image_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_input("t.csv.gz", [{"path": "images/06.png"}] * 100)
    Path("t.csv.gz").write_bytes(Path("t.csv.gz").read_bytes()[:-4])
    assert score("t.csv.gz", "-o", "out.csv") == 2
    assert "t.csv.gz is gzip that is cut short" in capsys.readouterr().err
    for out in ("out.csv.gz", "out.xlsx", "out.json", "out.arrow"):
        assert score("images", "-o", out) == 2
        assert f"{out} must end in one of .csv, .tsv, .jsonl, .parquet" in capsys.readouterr().err
    assert not list(image_folder.glob("out*"))


def test_the_sheet_of_a_workbook_is_chosen_by_its_name(
    image_folder: Path, use_engine: Callable[[RedEngine], RedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    use_engine(RedEngine())
    with pd.ExcelWriter("t.xlsx") as writer:
        for sheet in ("one", "two"):
            pd.DataFrame({"path": ["images/06.png"], "sheet": [sheet]}).to_excel(writer, sheet_name=sheet, index=False)
    assert score("t.xlsx", "--sheet", "two") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].startswith("images/06.png,two,")
    assert "the sheet" not in captured.err
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        assert score("t.xlsx") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].startswith("images/06.png,one,")
    assert score("t.xlsx", "--sheet", "three") == 2
    assert "choose one of 'one', 'two'" in capsys.readouterr().err


def first_column(path: str) -> list[str]:
    table = read_table(path)
    return list(map(str, table.columns[0]))


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_the_byte_order_mark_that_came_in_goes_out(suffix: str, tmp_path: Path) -> None:
    for encoding, mark in [("utf-8-sig", b"\xef\xbb\xbf"), ("utf-16", b"\xef\xbb\xbf"), ("utf-8", b"")]:
        (tmp_path / f"in.{suffix}").write_bytes("path\né.png\n".encode(encoding))
        write_table(read_table(tmp_path / f"in.{suffix}"), tmp_path / f"out.{suffix}", {})
        assert (tmp_path / f"out.{suffix}").read_bytes() == mark + "path\né.png\n".encode()
        assert read_table(tmp_path / f"out.{suffix}", own=True).names == ["path"]


def test_bytes_in_cells_are_kept_in_parquet_and_counted_in_text(tmp_path: Path) -> None:
    struct = {"bytes": b"\x89PNG", "path": "a.png"}
    table = Table(["image", "raw", "list"], [[struct], [b"abc"], [[b"de"]]])
    for suffix in ("csv", "tsv", "jsonl"):
        write_table(table, tmp_path / f"out.{suffix}", {})
        text = (tmp_path / f"out.{suffix}").read_text()
        assert "PNG" not in text
        assert all(f"<{count} bytes>" in text for count in (2, 3, 4))
    write_table(table, tmp_path / "out.parquet", {})
    assert pd.read_parquet(tmp_path / "out.parquet")["image"][0] == struct


def test_the_schema_metadata_of_a_parquet_file_are_kept(tmp_path: Path) -> None:
    given = pa.table({"path": ["a.jpg"]}).replace_schema_metadata({b"huggingface": b"{}"})
    pq.write_table(given, tmp_path / "in.parquet")
    write_table(read_table(tmp_path / "in.parquet"), tmp_path / "out.parquet", {"resmem": {"provenance": "0"}})
    metadata = pq.read_schema(tmp_path / "out.parquet").metadata
    assert metadata[b"huggingface"] == b"{}"
    assert b"provenance" in metadata[b"pandas"]
