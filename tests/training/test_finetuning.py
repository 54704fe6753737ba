"""Training on one's own ratings: what it learns, what it cannot, and the files that it becomes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from resmem_plugin import Scorer, ScorerOptions
from resmem_plugin.core.errors import FailedImagesWarning, OptionError, WeightsNotFoundError
from resmem_plugin.core.network.weights import PUBLISHED_SHA256
from resmem_plugin.training import fine_tune, loop, run
from tests.training.small_network import rated_images, small_network, use_small_network


@pytest.fixture
def rated(tmp_path: Path) -> pd.DataFrame:
    return rated_images(tmp_path)


def small(frame: pd.DataFrame, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    use_small_network(monkeypatch)
    options = {"split": "split", "epochs": 1, "batch_size": 8, **options}
    return fine_tune(frame, "red", folder / "mine.safetensors", **options)


def test_a_known_function_of_the_image_is_learnt_and_a_shuffled_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = rated_images(tmp_path, 160)
    random = np.random.default_rng(1)
    truth = 1 - frame["red"]  # the small network begins with the opposite
    noisy = np.clip(truth + random.normal(0, 0.1, len(frame)), 0, 1)
    held_out = frame["split"] == "val"
    allowed = truth[held_out].corr(noisy[held_out], method="spearman")
    assert 0.85 < allowed < 0.97
    options: dict[str, Any] = {"epochs": 12, "patience": None, "optimizer": "adamw", "learning_rate": 0.003}
    options |= {"batch_size": 16, "overwrite": True, "loss": "mse+plcc"}
    tuned = small(frame.assign(red=noisy), tmp_path, monkeypatch, **options)
    assert tuned.before.spearman.value < 0
    assert tuned.evaluation.spearman.value >= 0.95 * allowed
    shuffled = small(frame.assign(red=random.permutation(noisy)), tmp_path, monkeypatch, **options)
    assert abs(shuffled.history["validation_spearman"].mean()) < 0.35  # 40 images: rho of nothing is below .31 in 95 %


def test_the_last_layer_is_fitted_before_the_first_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = rated_images(tmp_path, 160)
    noisy = np.clip(1 - frame["red"] + np.random.default_rng(1).normal(0, 0.1, len(frame)), 0, 1)
    options: dict[str, Any] = {"learning_rate": 0, "overwrite": True}
    as_it_was = small(frame.assign(red=noisy), tmp_path, monkeypatch, **options)
    fitted = small(frame.assign(red=noisy), tmp_path, monkeypatch, fit_head_first=True, **options)
    assert fitted.before == as_it_was.before == as_it_was.evaluation
    assert as_it_was.evaluation.spearman.value < 0
    assert fitted.evaluation.spearman.value > 0.8
    assert fitted.evaluation.mse.value < as_it_was.evaluation.mse.value / 2


@pytest.mark.weights
def test_another_engine_gives_the_scores_that_were_evaluated(
    photos: dict[str, Path], tmp_path: Path, scorer: Scorer
) -> None:
    paths = [*map(str, photos.values()), *map(str, photos.values())][:20]
    frame = pd.DataFrame({"path": paths, "rated": np.linspace(0.4, 0.9, 20), "split": ["train"] * 14 + ["val"] * 6})
    options: dict[str, Any] = {"resnet": "frozen", "augment": "none", "epochs": 1, "learning_rate": 1e-2}
    tuned = fine_tune(frame, "rated", tmp_path / "mine.safetensors", split="split", **options)
    trained = Scorer(device="cpu", weights=tuned.weights)
    for each, evaluation in ((scorer, tuned.before), (trained, tuned.evaluation)):
        assert evaluation is not None
        scores = np.array([score.memorability for score in each.score(paths[14:])])
        assert np.mean((scores - frame["rated"][14:]) ** 2) == pytest.approx(evaluation.mse.value, abs=1e-5)
    assert tuned.evaluation.mse.value != pytest.approx(tuned.before.mse.value, abs=1e-4)  # type: ignore[union-attr]
    assert trained.provenance.parent == trained.provenance.to_record()["parent"] == PUBLISHED_SHA256
    assert scorer.provenance.parent is None
    card = (tmp_path / "mine.md").read_text(encoding="utf-8")
    for part in (
        "14 train, 6 validation, 0 test",
        PUBLISHED_SHA256,
        "Non-commercial",
        tuned.weights.rpartition("=")[2],
    ):
        assert part in card
    assert "validation, 95 % interval | the parent on the same images" in card
    assert "on which the epoch was chosen" in card


@pytest.mark.parametrize("resnet", ["all", "layer3", "fc", "frozen"])
def test_what_is_frozen_stays(
    resnet: str, rated: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = small_network()[0].state_dict()
    tuned = small(rated, tmp_path, monkeypatch, resnet=resnet, learning_rate=0.1)
    found = load_file(tuned.weights.partition("#")[0])
    changed = {name for name in found if not torch.equal(found[name], start[name])}
    stages = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc")
    trained = {"all": stages, "layer3": stages[4:], "fc": stages[6:], "frozen": ()}[resnet]
    allowed = tuple(f"features.{stage}." for stage in trained)
    assert {name for name in changed if name.startswith("features.")} <= {
        name for name in found if name.startswith(allowed)
    }
    assert all(any(name.startswith(f"features.{stage}.") for name in changed) for stage in trained)
    assert {name.partition(".")[0] for name in changed} >= {"conv1", "conv5", "fc6", "fc12"}
    assert not [name for name in changed if "running" in name or "num_batches" in name]


def test_batchnorm_follows_the_batches_if_asked(
    rated: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = small_network()[0].state_dict()
    found = load_file(small(rated, tmp_path, monkeypatch, train_batchnorm=True).weights.partition("#")[0])
    assert not torch.equal(found["features.bn1.running_mean"], start["features.bn1.running_mean"])
    assert int(found["features.bn1.num_batches_tracked"]) > 0


def test_rows_without_image_value_or_split_are_left_out_and_told(
    rated: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rated.loc[0, "path"], rated.loc[1, "red"], rated.loc[2, "split"] = "none.png", None, None
    with pytest.warns(FailedImagesWarning, match="1 of 40 images cannot be read and are left out; the first is none"):
        tuned = small(rated, tmp_path, monkeypatch)
    assert list(tuned.left_out) == [0]
    assert "27 train, 10 validation, 0 test; 3 rows left out" in (tmp_path / "mine.md").read_text(encoding="utf-8")


def test_early_stopping_keeps_the_best_epoch(
    rated: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = small(rated, tmp_path, monkeypatch, epochs=30, patience=2, learning_rate=0.02, optimizer="adamw")
    best = int(tuned.history["validation_spearman"].idxmax())
    assert len(tuned.history) in (30, best + 3)
    assert tuned.evaluation.spearman.value == pytest.approx(tuned.history["validation_spearman"][best], abs=1e-6)


def test_a_seed_gives_the_same_weights_again(
    rated: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = torch.get_rng_state()
    hashes = [small(rated, tmp_path, monkeypatch, seed=seed, overwrite=True).weights for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()


def test_two_devices_share_each_batch(rated: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DDP over two processes learns what one learns from the same batches, but for dropout."""
    network, parent = small_network()
    network.drp6, network.drp8 = torch.nn.Dropout(0), torch.nn.Dropout(0)
    monkeypatch.setattr(run, "starting_network", lambda _: (copy.deepcopy(network), parent))
    options: dict[str, Any] = {"split": "split", "batch_size": 10, "epochs": 2, "learning_rate": 0.1, "device": "cpu"}
    found = {}
    for devices in (1, 2):
        found[devices] = fine_tune(rated, "red", tmp_path / f"{devices}.safetensors", devices=devices, **options)
    one, two = (load_file(found[devices].weights.partition("#")[0]) for devices in (1, 2))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    pd.testing.assert_series_equal(found[1].history["validation_mse"], found[2].history["validation_mse"], rtol=1e-4)


def test_an_unfinished_run_is_not_replaced_by_another(
    rated: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(loop, "fit", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            small(rated, tmp_path, monkeypatch)
    with pytest.raises(OptionError, match=r"holds an unfinished run, with other epochs, images: go on with the same"):
        small(rated[:30].assign(split="train"), tmp_path, monkeypatch, epochs=2)
    small(rated, tmp_path, monkeypatch, epochs=2, overwrite=True)
    with pytest.raises(OptionError, match="exists: name another file, or pass overwrite=True"):
        small(rated, tmp_path, monkeypatch)


def test_two_processes_do_not_train_in_one_folder(
    rated: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filelock

    (tmp_path / "mine.run").mkdir()
    with filelock.FileLock(tmp_path / "mine.run" / "run.lock"), pytest.raises(OptionError, match="another process"):
        small(rated, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"split": "fold"}, "no unique column 'fold'"),
        ({}, {"images": "file"}, "no unique column 'file'"),
        ({"red": "warm"}, {}, "does not hold numbers"),
        ({"red": 1.5}, {}, "memorability is 0 to 1"),
        ({"split": "holdout"}, {}, "'holdout' is no split: name them train, validation and test"),
        ({"split": "val"}, {}, "0 images are left for train"),
        ({"red": None}, {}, "0 of 40 images can be read and have a value in 'red', and 20 are needed"),
        ({}, {"epoch": 3}, "no training option 'epoch'; did you mean epochs?"),
        ({}, {"device": "tpu"}, "device 'tpu' is not available for training"),
    ],
)
def test_what_does_not_fit_is_told(
    change: dict[str, Any],
    options: dict[str, Any],
    message: str,
    rated: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(OptionError) as caught:
        small(rated.assign(**change), tmp_path, monkeypatch, **options)
    assert message in str(caught.value)


def test_the_output_must_be_a_safetensors_file_in_a_folder_that_exists(rated: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"must end in \.safetensors"):
        fine_tune(rated, "red", tmp_path / "mine.pt")
    with pytest.raises(OptionError, match="there is no folder"):
        fine_tune(rated, "red", tmp_path / "none" / "mine.safetensors")


def test_weights_to_start_from_must_exist(rated: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(WeightsNotFoundError):
        fine_tune(rated, "red", tmp_path / "mine.safetensors", start="none.pt")


def test_images_are_read_as_asked(rated: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(FailedImagesWarning, match="40 of 40"), pytest.raises(OptionError, match="0 of 40"):
        small(rated, tmp_path, monkeypatch, reading=ScorerOptions(max_pixels=9))
