"""Trainings that are killed: they end with the weights of one that was not, bit for bit."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback
from safetensors.torch import load_file
from typing_extensions import override

from resmem_plugin.training import fine_tune, loop
from tests.training.small_network import rated_images, use_small_network

STEPS_PER_EPOCH = 4
KINDS: dict[str, dict[str, Any]] = {
    "frozen": {"resnet": "frozen", "optimizer": "adamw", "learning_rate": 1e-2, "fit_head_first": True},
    "all": {"augment": "flip+crop", "learning_rate": 1e-2, "loss": "mse+plcc", "train_batchnorm": True},
    "accumulated": {"resnet": "layer4", "accumulate": 2, "learning_rate": 1e-2, "patience": 2, "epochs": 5},
}


def start(folder: Path, what: str, options: dict[str, Any]) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    if not (folder / "rated.csv").exists():
        rated_images(folder).to_csv(folder / "rated.csv", index=False)
    command = [sys.executable, "-m", "tests.training.train_small", str(folder), what, json.dumps(options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def steps(folder: Path) -> int:
    path = folder / "steps"
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


def kill_after(process: subprocess.Popen[str], folder: Path, count: int) -> None:
    """Kill a training after so many more steps."""
    target = steps(folder) + count
    while process.poll() is None and steps(folder) < target:
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()
    time.sleep(random.uniform(0, 0.05))  # in the next step, or while a checkpoint is written
    process.kill()
    process.communicate()


def test_a_training_killed_three_times_ends_as_one_that_was_not(tmp_path: Path) -> None:
    options = {"epochs": 4, "batch_size": 8, **KINDS["all"]}
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    process = start(undisturbed, "train", options)
    for _ in range(3):
        kill_after(start(killed, "train", options), killed, random.randint(1, STEPS_PER_EPOCH))
    out = start(killed, "train", options).communicate(timeout=300)
    assert process.wait(timeout=300) == 0, process.communicate()
    process.communicate()
    assert (killed / "mine.safetensors").exists(), out
    require_equal(undisturbed, killed)
    assert sorted(path.name for path in (killed / "mine.run").iterdir() if path.suffix != ".lock") == ["history.csv"]


class StopAt(Callback):
    """Raises an error at the beginning of a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    @override
    def on_train_batch_start(self, *_: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("stopped")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_training_goes_on_as_if_it_had_not_stopped(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_small_network(monkeypatch)
    fit = loop.fit

    def train(folder: str, stop: int) -> None:
        callback = StopAt(stop)
        monkeypatch.setattr(loop, "fit", lambda *args, **others: fit(*args, **{**others, "callbacks": [callback]}))
        (tmp_path / folder).mkdir(exist_ok=True)
        fine_tune(
            rated_images(tmp_path),
            "red",
            tmp_path / folder / "mine.safetensors",
            split="split",
            **{"epochs": 3, "batch_size": 8, "checkpoint_minutes": 0, **KINDS[kind]},
        )

    train("undisturbed", 10**6)
    for stop in (2, STEPS_PER_EPOCH, 3):  # within an epoch, at its beginning, ...
        with pytest.raises(RuntimeError, match="stopped"):
            train("stopped", stop)
    train("stopped", 10**6)
    require_equal(tmp_path / "undisturbed", tmp_path / "stopped")


def require_equal(one: Path, other: Path) -> None:
    """Check that two trainings have the same weights and figures."""
    expected, found = (load_file(folder / "mine.safetensors") for folder in (one, other))
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []
    histories = [(folder / "mine.run" / "history.csv").read_text(encoding="utf-8") for folder in (one, other)]
    assert histories[0] == histories[1]
