"""`resmem train` and `resmem sweep`."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from resmem_plugin.cli import main
from resmem_plugin.cli.train import OPTIONS, SWITCHES
from resmem_plugin.training import TrainingOptions
from tests.training.small_network import rated_images, use_small_network


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ratings of images whose paths are relative to the table; the small network is trained."""
    use_small_network(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    frame = rated_images(tmp_path / "images")
    frame["path"] = [os.path.relpath(path, tmp_path) for path in frame["path"]]
    frame.to_csv("rated.csv", index=False)
    return tmp_path


def test_every_training_option_has_a_flag() -> None:
    assert {*OPTIONS, *SWITCHES} == {each.name for each in dataclasses.fields(TrainingOptions)}


def test_a_table_becomes_weights_and_a_model_card(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["train", "rated.csv", "--target", "red", "--split", "split", "-o", "mine.safetensors", "-q"]
    assert main([*run, "--epochs", "1", "--learning-rate", "1e-3", "--loss", "mse+rank"]) == 0
    assert "weights: mine.safetensors#sha256=" in capsys.readouterr().out
    card = (table / "mine.md").read_text(encoding="utf-8")
    assert "learning_rate=0.001" in card
    assert "loss=mse+rank" in card
    assert "30 train, 10 validation" in card
    assert main(run) == 2
    assert "exists: name another file" in capsys.readouterr().err


def test_a_configuration_is_read_and_options_take_precedence(table: Path) -> None:
    (table / "train.yaml").write_text(
        "data: rated.csv\ntarget: red\nsplit: split\noutput: mine.safetensors\n"
        "training: {epochs: 1, learning_rate: 1e-3, loss: plcc}\n",
        encoding="utf-8",
    )
    assert main(["train", "train.yaml", "--loss", "mse", "-q"]) == 0
    card = (table / "mine.md").read_text(encoding="utf-8")
    assert "learning_rate=0.001" in card
    assert "loss=mse," in card


def test_an_image_that_cannot_be_read_is_told(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (table / "images" / "3.png").unlink()
    run = ["train", "rated.csv", "--target", "red", "-o", "mine.safetensors", "--epochs", "1", "-q"]
    assert main(run) == 1
    assert "1 of 40 images cannot be read and are left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rated.csv", "-o", "a.safetensors"], "name the column of what was measured with --target"),
        (["rated.csv", "--target", "red"], "name the .safetensors file to write with -o"),
        (["rated.csv", "--target", "red", "-o", "a.pt"], "must end in .safetensors"),
        (["rated.csv", "--target", "blue", "-o", "a.safetensors"], "no unique column 'blue'"),
        (["rated.csv", "--target", "red", "-o", "a.safetensors", "--epochs", "many"], "epochs must be a number"),
        (["rated.csv", "--target", "red", "-o", "a.safetensors", "--head", "--epochs", "3"], "leave --epochs out"),
        (["images", "--target", "red", "-o", "a.safetensors"], "say which data set it holds with --dataset"),
        (["images", "--dataset", "lamen", "-o", "a.safetensors"], "dataset must be lamem, memcat, figrim, things"),
        (["none.yaml", "-o", "a.safetensors"], "none.yaml cannot be read as YAML"),
    ],
)
def test_what_does_not_fit_is_told(
    arguments: list[str], message: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target: red", "must name its data"),
        ("data: rated.csv\ntrails: 3", "has an entry 'trails'; did you mean trials?"),
        ("data: [", "cannot be read as YAML"),
        ("data: rated.csv\ntrials: many", "trials must be a whole number from 1"),
        ("data: rated.csv\nspace: 3", "space must be names with values"),
        ("data: rated.csv\ntarget: red", "there is no space to search"),
        ("data: rated.csv\ntarget: red\nspace: {los: [mse]}", "did you mean loss?"),
        ("data: rated.csv\ntarget: red\nspace: {loss: []}", "space names no values for loss"),
        ("data: rated.csv\ntarget: red\nspace: {loss: [mse, huber]}", "loss must be mse"),
        ("data: rated.csv\ntarget: red\nspace: {epochs: {low: 3}}", "a range with low and high"),
        ("data: rated.csv\ntarget: red\nspace: {loss: {low: mse, high: plcc}}", "loss has no range"),
        ("data: rated.csv\ntarget: red\nspace: {epochs: {low: 3, high: 2}}", "low must be the smaller"),
        ("data: rated.csv\ntarget: red\nspace: {momentum: {low: 0, high: 1, log: true}}", "above 0 with log"),
        ("data: rated.csv\ntarget: red\ntraining: {loss: mse}\nspace: {loss: [mse]}", "leave one out"),
    ],
)
def test_a_sweep_that_does_not_fit_is_told(
    text: str, message: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (table / "sweep.yaml").write_text(text, encoding="utf-8")
    assert main(["sweep", "sweep.yaml"]) == 2
    assert message in capsys.readouterr().err
    assert not (table / "sweep").exists()


def test_a_sweep_keeps_the_best_weights(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (table / "sweep.yaml").write_text(
        "data: rated.csv\ntarget: red\nsplit: split\ntrials: 2\ntraining: {epochs: 2, resnet: frozen}\n"
        "space: {learning_rate: {low: 1e-4, high: 1e-2, log: true}, batch_size: {low: 8, high: 16, step: 8}}\n",
        encoding="utf-8",
    )
    assert main(["sweep", "sweep.yaml", "-o", "found", "-q"]) == 0
    out = capsys.readouterr().out
    assert "2 trials complete" in out
    assert "weights: found/best.safetensors#sha256=" in out
    assert main(["sweep", "sweep.yaml", "-o", "found", "--trials", "3", "-q"]) == 0
    assert "3 trials complete" in capsys.readouterr().out
    assert {"best.safetensors", "best.md", "study.journal", "sweep.png"} <= {*os.listdir("found")}
    assert not [name for name in os.listdir("found") if name.endswith(".npy")]
