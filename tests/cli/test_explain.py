"""`resmem explain`, `layers`, `activations` and `features`."""

from __future__ import annotations

import csv
import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from resmem_plugin.cli import main
from resmem_plugin.explain import Explanation
from tests import command


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of five images, one of which is a text."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (300, 200), (60 * number, 20, 20)).save(folder / f"{number}.png")
    (folder / "text.png").write_text("not an image")
    return folder


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "explanations.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_maps_pictures_a_table_and_a_gallery(images: Path, tmp_path: Path) -> None:
    arguments = ["explain", "photos", "-o", "out", "--html", "out.html", "--passes", "49", "--baseline", "blank", "-q"]
    code, said = command.run(arguments, tmp_path)
    assert code == 1
    assert "1 of 5 images failed: out/explanations.csv has the reasons" in said
    rows = table(tmp_path / "out")
    assert [row["path"] for row in rows] == [f"photos/{name}.png" for name in (0, 1, 2, 3, "text")]
    for row in rows[:4]:
        explanation = Explanation.load(tmp_path / "out" / f"{row['file']}.npz")
        assert float(row["memorability"]) == pytest.approx(explanation.score, abs=1e-6)
        assert (explanation.method, explanation.baseline, explanation.passes) == ("occlusion", "blank", 49)
        assert size_of(tmp_path / "out" / f"{row['file']}.png") == (300, 200)
    assert "not an image" in rows[4]["error"]
    assert rows[4]["file"] == rows[4]["memorability"] == ""
    page = (tmp_path / "out.html").read_text()
    assert page.count("<img") == 4
    assert "raises it" in page

    code, said = command.run(arguments, tmp_path)
    assert code == 2
    assert "use --resume or --overwrite" in said or "use --overwrite" in said


def test_a_killed_run_goes_on(images: Path, tmp_path: Path) -> None:
    arguments = ["explain", "photos", "-o", "out", "--passes", "49", "-q"]
    process = command.start(arguments, tmp_path, forward_s=0.05)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "out").glob("*.npz"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.npz")}
    assert not (tmp_path / "out" / "explanations.csv").exists()
    code, said = command.run(arguments, tmp_path)
    assert code == 2
    assert "resume or overwrite them" in said
    assert command.run([*arguments, "--resume"], tmp_path)[0] == 1
    assert [bool(row["file"]) for row in table(tmp_path / "out")] == [True] * 4 + [False]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    code, said = command.run([*arguments, "--resume", "--baseline", "blank"], tmp_path)
    assert code == 2
    assert "explained with other options" in said


def test_an_image_named_twice_is_explained_once(images: Path, tmp_path: Path) -> None:
    arguments = ["explain", "photos/1.png", "photos/text.png", "photos/1.png", "photos/text.png", "-o", "out", "-q"]
    assert command.run([*arguments, "--passes", "49"], tmp_path)[0] == 1
    rows = table(tmp_path / "out")
    assert rows[0] == rows[2]
    assert rows[1] == rows[3]
    assert len(list((tmp_path / "out").glob("*.npz"))) == 1


def test_files_of_one_name_in_two_folders_are_told_apart(images: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (30, 30), "blue").save(other / "1.png")
    arguments = ["explain", "photos/1.png", "other/1.png", "-o", "out", "--passes", "49", "-q"]
    assert command.run(arguments, tmp_path)[0] == 0
    names = [row["file"] for row in table(tmp_path / "out")]
    assert len(set(names)) == 2
    assert all(name.startswith("1-") for name in names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "photos", "-o", "out", "--passes", "3"], "a whole number from 49 to 169, not 3"),
        (["explain", "photos", "-o", "out", "--html", "out.pdf"], "must end in .html"),
        (["explain", "photos", "-o", "photos/1.png"], "is no folder"),
        (["explain", "photos", "-o", "out", "--method", "guess"], "invalid choice: 'guess'"),
        (["explain", "photos"], "required: -o/--output"),
        (["activations", "photos", "--layer", "conv1", "-o", "out.csv"], "must end in .parquet"),
        (["activations", "photos", "-o", "out.parquet"], "required: --layer"),
        (["features", "--layer", "conv1", "--filters", "a", "-o", "out.png"], "give numbers separated by commas"),
        (["features", "--layer", "conv1", "--filters", "0", "-o", "out.gif"], "must end in .png"),
    ],
)
def test_wrong_usage_changes_nothing(arguments: list[str], message: str, images: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    code, said = command.run(arguments, tmp_path)
    assert code == 2
    assert message in said
    assert sorted(set(tmp_path.iterdir()) - {tmp_path / "said"}) == before


def test_layers_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "layer,branch,address,depth,filters,height,width"
    assert len(lines) == 162
    assert "features.layer3.15.conv1,resnet,6-15-0,82,256,15,15" in lines


@pytest.mark.weights
def test_activations_and_features(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["activations", "photos", "--layer", "conv1", "--over", "max", "-o", "a.parquet", "-q"]
    assert main(arguments) == 1
    frame = pd.read_parquet("a.parquet")
    assert frame.shape == (5, 50)
    assert frame["error"].isna().tolist() == [True] * 4 + [False]
    assert main(arguments) == 2
    assert "a.parquet exists: name another file, or use --overwrite" in capsys.readouterr().err
    assert main(["activations", "photos", "--layer", "conv9", "-o", "b.parquet", "-q"]) == 2
    assert "did you mean conv" in capsys.readouterr().err
    features = ["features", "photos", "--layer", "conv1", "--filters", "0,3", "--top", "2", "--steps", "2", "-q"]
    assert main([*features, "-o", "f.png"]) == 0
    assert size_of(Path("f.png")) == (3 * 231 + 4, 2 * 231 + 4)
    assert main(["features", "--layer", "conv1", "--filters", "99", "-o", "g.png", "-q"]) == 2
    assert "filter must be a whole number from 0 to 47" in capsys.readouterr().err
