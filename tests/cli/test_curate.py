"""`resmem reference`, `percentiles`, `select` and `report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.cli import main
from resmem_plugin.curation import Reference, percentiles, select
from resmem_plugin.jobs.tables import Table, write_table

Captured = pytest.CaptureFixture[str]


def table_of(path: Path, **columns: Any) -> Path:
    """A table of 40 scores; columns may be added."""
    random = np.random.default_rng(0)
    found = {
        "path": [f"{row:02}.png" for row in range(40)],
        "memorability": random.random(40).round(3).tolist(),
        "kind": ["a", "b"] * 20,
        **columns,
    }
    write_table(Table(list(found), list(found.values())), path, {})
    return path


@pytest.mark.weights
def test_a_reference_is_built_and_applied(
    photos: dict[str, Path], tmp_path: Path, scorer: Scorer, capsys: Captured
) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    names = ("coffee.png", "chelsea.png", "rocket.jpg")
    for name in names:
        (folder / name).symlink_to(photos[name])
    (folder / "broken.jpg").write_bytes(b"no image")
    reference, scored, output = (str(tmp_path / name) for name in ("r.json", "scored.csv", "out.csv"))
    cache = ["--cache", str(tmp_path / "scores.sqlite"), "-q"]
    assert main(["reference", "build", str(folder), "-o", reference, *cache]) == 1
    said = capsys.readouterr()
    assert "photographs: 3 images" in said.out
    assert "1 of 4 images cannot be read" in said.err
    found = Reference.load(reference)
    expected = [score.memorability for score in scorer.score([photos[name] for name in names])]
    assert found.scores == pytest.approx(sorted(expected), abs=1e-6)
    assert found.provenance == scorer.provenance
    assert main(["reference", "build", str(folder), "-o", reference, *cache]) == 2
    assert "exists: name another file, or use --overwrite" in capsys.readouterr().err

    assert main(["score", str(folder), "-o", scored, "-q"]) == 1
    assert main(["percentiles", scored, "--reference", reference, "-o", output]) == 0
    table = pd.read_csv(output)
    assert table["percentile"].isna().sum() == 1
    assert sorted(table["percentile"].dropna()) == pytest.approx([100 / 6, 50, 500 / 6], abs=0.01)
    assert table.drop(columns="percentile").equals(pd.read_csv(scored))
    other = pd.read_csv(scored)
    other["provenance"] = "0123456789ab"
    other.to_csv(scored, index=False)
    assert main(["percentiles", scored, "--reference", reference, "-o", output, "--overwrite"]) == 2
    assert "have the provenance 0123456789ab, the reference" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_percentiles_within_a_table(tmp_path: Path, suffix: str) -> None:
    table = table_of(tmp_path / f"t.{suffix}", percentile=["old"] * 40)
    output = tmp_path / "out.parquet"
    assert main(["percentiles", str(table), "-o", str(output)]) == 0
    found = pd.read_parquet(output)
    assert found.columns.tolist() == ["path", "memorability", "kind", "percentile"]
    scores = found["memorability"].astype(float)
    assert found["percentile"].to_numpy() == pytest.approx(percentiles(scores), abs=0.01)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_are_selected_as_by_the_function(tmp_path: Path, suffix: str, capsys: Captured) -> None:
    vectors = np.random.default_rng(1).normal(size=(40, 8))
    table = table_of(tmp_path / "t.parquet", vector=list(vectors), taken=[True] * 3 + [False] * 37)
    output = tmp_path / f"out.{suffix}"
    command = ["select", str(table), "-n", "4", "-o", str(output), "--embeddings", "vector", "--per", "kind"]
    assert main([*command, "--strength", "0.7", "--preselected", "taken", "--near-distance", "0.9"]) == 0
    assert "8 of 40 rows selected" in capsys.readouterr().err
    frame = pd.read_parquet(table)
    expected = select(frame, 4, embeddings=vectors, strength=0.7, per="kind", preselected="taken", near_distance=0.9)
    found = pd.read_parquet(output) if suffix == "parquet" else pd.read_csv(output)
    assert found["path"].tolist() == expected["path"].tolist()
    assert found["distance"].to_numpy() == pytest.approx(expected["distance"].to_numpy(), nan_ok=True)
    near = [json.loads(each) for each in found["near_duplicates"]]
    assert near == [[frame["path"][row] for row in rows] for rows in expected["near_duplicates"]]
    assert any(near)


def test_top_and_random_need_no_images(tmp_path: Path) -> None:
    table, output = table_of(tmp_path / "t.csv"), tmp_path / "out.csv"
    keep = ["-o", str(output), "--near-duplicates", "keep", "--overwrite"]
    assert main(["select", str(table), "-n", "5", "--strategy", "top", "--ascending", *keep]) == 0
    before = pd.read_csv(table)
    assert pd.read_csv(output)["path"].tolist() == before.sort_values("memorability")["path"][:5].tolist()
    assert main(["select", str(table), "-n", "5", "--strategy", "random", "--seed", "3", *keep]) == 0
    assert len(pd.read_csv(output)) == 5


@pytest.mark.weights
def test_copies_are_left_out_and_named(photos: dict[str, Path], tmp_path: Path, capsys: Captured) -> None:
    with Image.open(photos["coffee.png"]) as image:
        image.convert("RGB").save(tmp_path / "copy, of a cup.jpg", quality=80)
    paths = [str(photos[name]) for name in ("coffee.png", "rocket.jpg")]
    frame = pd.DataFrame({"path": [*paths, str(tmp_path / "copy, of a cup.jpg"), "none.jpg"]})
    frame["memorability"] = [0.8, 0.7, 0.79, None]
    frame.to_csv(tmp_path / "t.csv", index=False)
    command = ["select", str(tmp_path / "t.csv"), "-n", "9", "-o", str(tmp_path / "out.csv"), "-q"]
    assert main(command) == 1
    assert "1 of 4 images cannot be read" in capsys.readouterr().err
    found = pd.read_csv(tmp_path / "out.csv")
    assert found["path"].tolist() == paths
    assert json.loads(found["near_duplicates"][0]) == [str(tmp_path / "copy, of a cup.jpg")]


@pytest.mark.weights
def test_a_report_of_a_table(photos: dict[str, Path], tmp_path: Path, capsys: Captured) -> None:
    Image.new("RGB", (60, 60), "white").save(tmp_path / "white.png")
    names = [
        str(photos["coffee.png"]),
        str(photos["rocket.jpg"]),
        str(tmp_path / "white.png"),
        str(tmp_path / "no.png"),
    ]
    pd.DataFrame({"path": names, "split": ["<b>", "<b>", "test", "test"]}).to_csv(tmp_path / "in.csv", index=False)
    scored, page = tmp_path / "scored.parquet", tmp_path / "report.html"
    assert main(["score", str(tmp_path / "in.csv"), "-o", str(scored), "-q"]) == 1
    command = ["report", str(scored), "-o", str(page), "--by", "split", "--kinds", "--near-duplicates", "-q"]
    assert main(command) == 1
    text = page.read_text()
    assert "4 images, 3 scored, 1 failed" in text
    assert "&lt;b&gt;" in text
    assert "<td>blank</td><td>1</td>" in text
    assert "no such file" in text
    assert text.count('src="data:image/jpeg') == 6  # three images, in both galleries
    capsys.readouterr()


def test_a_report_of_a_table_without_images(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("memorability\n0.5\n0.6\n")
    command = ["report", str(table), "-o", str(tmp_path / "r.html"), "--title", "A study"]
    assert main(command) == 0
    assert "<h1>A study</h1>" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["select", "{t}", "-n", "3", "-o", "{d}/o.txt"], "o.txt"),
        (["select", "{t}", "-n", "3", "-o", "{d}/none/o.csv"], "there is no folder"),
        (
            ["select", "{t}", "-n", "-3", "-o", "{d}/o.csv", "--strategy", "top", "--near-duplicates", "keep"],
            "n must be",
        ),
        (["select", "{t}", "-n", "3", "-o", "{d}/o.csv", "--per", "none"], "no column 'none' (--per)"),
        (["select", "{t}", "-n", "3", "-o", "{d}/o.csv", "--preselected", "kind"], "must hold true and false"),
        (["select", "{t}", "-n", "3", "-o", "{d}/o.csv", "--embeddings", "kind"], "holds no vectors"),
        (["select", "{t}", "-n", "3", "-o", "{d}/o.csv", "--path-column", "none"], "no column 'none' (--path-column)"),
        (["percentiles", "{t}", "-o", "{d}/o.csv", "--score-column", "none"], "no column 'none' (--score-column)"),
        (["percentiles", "{t}", "-o", "{d}/o.csv", "--score-column", "kind"], "'kind' is not numeric"),
        (["percentiles", "{t}", "-o", "{d}/o.csv", "--reference", "{t}"], "is no reference"),
        (["percentiles", "{t}", "-o", "{t}"], "exists"),
        (["report", "{t}", "-o", "{d}/o.pdf"], "must end in .html"),
        (["report", "{d}/none.csv", "-o", "{d}/o.html"], "none.csv"),
        (["report", "{t}", "-o", "{d}/o.html", "--by", "none"], "no one column 'none'"),
        (["reference", "build", "{d}", "-o", "{d}/o.txt"], "must end in .json"),
    ],
)
def test_unusable_options_are_errors(command: list[str], message: str, tmp_path: Path, capsys: Captured) -> None:
    table = table_of(tmp_path / "t.csv")
    assert main([part.format(t=table, d=tmp_path) for part in command]) == 2
    assert message in capsys.readouterr().err


def test_a_report_of_a_fiftyone_dataset(tmp_path: Path, database: None, capsys: Captured) -> None:
    import fiftyone as fo

    dataset = fo.Dataset("report <b>me</b>")
    dataset.add_samples(
        [
            fo.Sample(filepath=f"/none/{row}.png", memorability=0.5 + row / 100, tags=["ab"[row % 2]])
            for row in range(40)
        ]
    )
    page = tmp_path / "r.html"
    assert main(["report", dataset.name, "-o", str(page), "--by", "tags"]) == 0
    text = page.read_text()
    assert "<h1>report &lt;b&gt;me&lt;/b&gt;</h1>" in text
    assert "40 images, 40 scored" in text
    assert "<h2>By tags</h2>" in text
    assert main(["report", dataset.name, "-o", str(page), "--overwrite", "--by", "none"]) == 2
    assert "not a field of classes" in capsys.readouterr().err
    assert main(["report", "no such dataset", "-o", str(page), "--overwrite"]) == 2
    assert "neither a file nor a FiftyOne dataset 'no such dataset'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["percentiles", "select"])
def test_mixed_provenances_are_refused(command: str, tmp_path: Path, capsys: Captured) -> None:
    table = table_of(tmp_path / "t.csv", provenance=["aaaaaaaaaaaa", "bbbbbbbbbbbb"] * 20)
    more = ["-n", "3", "--strategy", "top", "--near-duplicates", "keep"] if command == "select" else []
    assert main([command, str(table), "-o", str(tmp_path / "o.csv"), *more]) == 2
    assert "of several provenances, aaaaaaaaaaaa, bbbbbbbbbbbb" in capsys.readouterr().err


@pytest.mark.weights
def test_images_that_cannot_be_read_are_counted(tmp_path: Path, capsys: Captured) -> None:
    table = table_of(tmp_path / "t.csv")
    assert main(["select", str(table), "-n", "3", "-o", str(tmp_path / "o.csv"), "-q"]) == 1
    assert "40 of 40 images cannot be read" in capsys.readouterr().err
    assert main(["report", str(table), "-o", str(tmp_path / "r.html"), "--near-duplicates", "-q"]) == 1
    (tmp_path / "empty.csv").write_text("path,memorability\n")
    assert main(["select", str(tmp_path / "empty.csv"), "-n", "3", "-o", str(tmp_path / "e.csv"), "-q"]) == 0


def test_a_column_of_images_that_was_named_must_exist(tmp_path: Path, capsys: Captured) -> None:
    table = table_of(tmp_path / "t.csv")
    assert main(["report", str(table), "-o", str(tmp_path / "r.html"), "--path-column", "pth"]) == 2
    assert "no column 'pth' (--path-column)" in capsys.readouterr().err
