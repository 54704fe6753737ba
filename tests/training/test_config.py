"""The example of a sweep, which the documentation shows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from resmem_plugin.core.errors import OptionError
from resmem_plugin.training import TrainingConfig
from resmem_plugin.training.space import check_space
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "sweep.yaml"


def test_the_example_is_the_one_of_the_documentation_and_fits() -> None:
    assert f"```yaml\n{EXAMPLE.read_text(encoding='utf-8')}```" in (ROOT / "docs" / "training.md").read_text(
        encoding="utf-8"
    )
    config = TrainingConfig.read(EXAMPLE)
    check_space(config.space, config.training)
    assert config.data == str(ROOT / "examples" / "lamem")


def test_paths_of_a_configuration_are_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "study" / "a.png")
    pd.DataFrame({"file": ["a.png"], "rated": [0.5], "fold": ["train"]}).to_csv(tmp_path / "study" / "r.csv")
    path = tmp_path / "study" / "c.yaml"
    path.write_text("data: r.csv\nimages: file\ntarget: rated\nsplit: fold\noutput: out\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    config = TrainingConfig.read("study/c.yaml")
    frame = config.frame()
    assert frame["path"].tolist() == [str(tmp_path / "study" / "a.png")]
    assert frame[["memorability", "split"]].to_numpy().tolist() == [[0.5, "train"]]
    assert config.output == str(tmp_path / "study" / "out")


def test_a_data_set_is_read_from_its_folder(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is no folder of LaMem"):
        TrainingConfig(data=str(tmp_path), dataset="lamem").frame()
    with pytest.raises(OptionError, match="has no unique column 'memorability'"):
        dataclasses.replace(TrainingConfig(data=pd.DataFrame({"path": []}))).frame()


def test_splits_of_a_data_set_are_taken() -> None:
    split, none = pd.DataFrame({"split": ["train", "val"]}), pd.DataFrame({"split": [None, None]})
    assert TrainingConfig(data="lamem", dataset="lamem").split_of(split) == "split"
    assert TrainingConfig(data="memcat", dataset="memcat").split_of(none) is None
    assert TrainingConfig(data="a.csv").split_of(split) is None
    assert TrainingConfig(data="a.csv", split="fold").split_of(none) == "split"
