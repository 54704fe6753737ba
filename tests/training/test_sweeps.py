"""Sweeps by several processes, of which one is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from resmem_plugin import training
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.network.weights import sha256_of
from resmem_plugin.training import TrainingConfig, run, sweep
from tests.training.small_network import rated_images, use_small_network
from tests.training.test_resume import kill_after, start

OPTIONS = {"resnet": "frozen", "epochs": 2, "batch_size": 8}


@pytest.fixture
def frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    use_small_network(monkeypatch)
    return rated_images(tmp_path)


def config(frame: pd.DataFrame, **changes: Any) -> TrainingConfig:
    space = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}
    given = {"data": frame, "target": "red", "split": "split", "training": OPTIONS, "space": space, "trials": 2}
    return TrainingConfig(**{**given, **changes})


def test_twelve_trials_by_two_processes_of_which_one_is_killed(tmp_path: Path) -> None:
    first = start(tmp_path, "sweep", OPTIONS)
    second = start(tmp_path, "sweep", OPTIONS)
    kill_after(first, tmp_path, 9)
    out, err = second.communicate(timeout=300)
    assert second.returncode == 0, err
    study = optuna.load_study(
        study_name="resmem", storage=JournalStorage(JournalFileBackend(str(tmp_path / "sweep" / "study.journal")))
    )
    complete = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    assert len(complete) == 12
    failed = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.FAIL]
    assert len(failed) <= 1  # that of the killed process, if it had one at that moment
    assert all(any(trial.params == other.params for other in complete) for trial in failed)
    assert "12 trials complete" in out
    assert (tmp_path / "sweep" / "sweep.png").stat().st_size > 5000
    histories = list((tmp_path / "sweep" / "trials").glob("*/history.csv"))
    assert len(histories) == 12
    assert not list((tmp_path / "sweep").rglob("*.ckpt"))


def test_the_best_weights_are_those_of_the_best_trial(frame: pd.DataFrame, tmp_path: Path) -> None:
    found = sweep(config(frame, trials=3), tmp_path / "sweep")
    best = found.trials["validation_spearman"].max()
    assert max(map(max, found.trials["history"])) == best
    assert found.weights == f"{tmp_path}/sweep/best.safetensors#sha256={sha256_of(tmp_path / 'sweep/best.safetensors')}"
    assert found.best is not None
    again = training.fine_tune(
        frame,
        "red",
        tmp_path / "again.safetensors",
        split="split",
        learning_rate=found.best.learning_rate,
        **OPTIONS,  # type: ignore[arg-type]
    )
    assert sha256_of(tmp_path / "again.safetensors") == found.weights.rpartition("=")[2]
    assert again.history["validation_spearman"].max() == pytest.approx(best)


def test_a_trial_that_crashes_is_tried_three_times(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, calls = run.TrainingRun.train, []

    def crash(self: Any, target: Any) -> Any:
        calls.append(self.options.learning_rate)
        if len(calls) < 5:
            raise MemoryError("no memory")
        return train(self, target)

    monkeypatch.setattr(run.TrainingRun, "train", crash)
    found = sweep(config(frame), tmp_path / "sweep")
    assert len(set(calls[:3])) == 1  # then it is given up
    assert len(set(calls[3:])) == 1
    assert found.trials["state"].tolist() == ["FAIL"] * 4 + ["COMPLETE"]


def test_if_every_trial_crashes_the_reason_is_told(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any) -> Any:
        raise MemoryError("no memory")

    monkeypatch.setattr(run.TrainingRun, "train", crash)
    with pytest.raises(MemoryError, match="no memory"):
        sweep(config(frame), tmp_path / "sweep")


def test_values_that_do_not_fit_each_other_are_left_out(frame: pd.DataFrame, tmp_path: Path) -> None:
    space = {"augment": ["flip+crop", "none"]}  # the first not with a frozen ResNet
    found = sweep(config(frame, space=space, trials=6), tmp_path / "sweep")
    assert set(found.trials.loc[found.trials["augment"] == "flip+crop", "state"]) <= {"PRUNED"}
    assert len(found.trials) == 6


def test_poor_trials_are_pruned(frame: pd.DataFrame, tmp_path: Path) -> None:
    options = {**OPTIONS, "epochs": 5, "patience": None}
    space = {"learning_rate": [1e-4, 2e-4, 50.0]}  # the last one ends in constant scores
    found = sweep(config(frame, space=space, training=options, trials=14), tmp_path / "sweep")
    pruned = found.trials[found.trials["state"] == "PRUNED"]
    assert len(pruned) >= 1
    assert all(len(history) > 2 for history in pruned["history"])  # not before the third epoch


def test_another_sweep_does_not_go_on_in_the_folder(frame: pd.DataFrame, tmp_path: Path) -> None:
    sweep(config(frame, trials=1), tmp_path / "sweep")
    with pytest.raises(OptionError, match="holds a sweep with other space: name another folder"):
        sweep(config(frame, space={"loss": ["mse"]}), tmp_path / "sweep")
    with pytest.raises(OptionError, match="holds a sweep with other values"):
        sweep(config(frame.assign(red=np.linspace(0, 1, 40))), tmp_path / "sweep")


@pytest.mark.parametrize("logger", ["tensorboard", "wandb"])
def test_trials_are_logged(logger: str, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    sweep(config(frame, trials=1, training={**OPTIONS, "logger": logger}), tmp_path / "sweep")
    logs = [*(tmp_path / "sweep" / "trials").rglob("events.out.*" if logger == "tensorboard" else "*.wandb")]
    assert len(logs) == 1
    assert b"validation_spearman" in logs[0].read_bytes()
