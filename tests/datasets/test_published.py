"""Published data sets, from generated folders of their layouts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resmem_plugin.core.errors import OptionError
from resmem_plugin.datasets import figrim, lamem, memcat, things
from resmem_plugin.datasets.layout import SEEN_IN_TRAINING
from tests.datasets import folders

COLUMNS = ["path", "memorability", "split", "group", "n_ratings"]
EACH = [
    (lamem, folders.lamem, True),
    (memcat, folders.memcat, True),
    (figrim, folders.figrim, False),
    (things, folders.things, False),
]


@pytest.mark.parametrize(("load", "make", "is_seen"), EACH)
def test_every_frame_has_the_columns_and_finds_its_images(
    load: Callable[[Any], pd.DataFrame], make: Callable[[Path], Path], is_seen: bool, tmp_path: Path
) -> None:
    frame = load(make(tmp_path / "data"))
    assert frame.columns[:5].tolist() == COLUMNS
    assert frame.dtypes[["memorability", "n_ratings"]].tolist() == ["float64", "float64"]
    assert all(map(os.path.isfile, frame["path"]))
    assert all(map(os.path.isabs, frame["path"]))
    assert frame.attrs == {SEEN_IN_TRAINING: is_seen}


def test_lamem(tmp_path: Path) -> None:
    root = folders.lamem(tmp_path)
    frame = lamem(str(root), fold=3)
    assert frame["split"].tolist() == ["train", "train", "val", "val", "test", "test"]
    assert frame["memorability"].tolist() == pytest.approx([0.78, 0.68, 0.58, 0.48, 0.38, 0.28])
    assert Path(frame["path"][1]).name == "0000 0002.jpg"
    whole = lamem(root, fold=None)
    assert whole["memorability"].tolist() == frame["memorability"].tolist()
    assert whole["split"].isna().all()
    with pytest.raises(OptionError, match="fold must be 1 to 5"):
        lamem(root, fold=6)


@pytest.mark.parametrize("images", ["images", "MemCat", "MemCat_images/MemCat", "."])
def test_memcat(tmp_path: Path, images: str) -> None:
    root = folders.memcat(tmp_path, images)
    without, corrected = memcat(root), memcat(root, column="memorability_w_fa_correction")
    assert without["memorability"].tolist() == [0.8, 0.5, 0.7]
    assert corrected["memorability"].tolist() == [0.75, 0.4, 0.7]
    assert without["group"].tolist() == ["animal", "food", "sports"]
    assert without["path"][2] == os.path.normpath(f"{root}/{images}/sports/golf, mini/c.jpg")
    assert without["misses"].tolist() == [20, 45, 30]
    assert without["correct_rejections"].tolist() == [95, 81, 100]
    with pytest.raises(OptionError, match="column must be 'memorability_wo_fa_correction'"):
        memcat(root, column="memorability")


def test_figrim(tmp_path: Path) -> None:
    root = folders.figrim(tmp_path)
    assert figrim(root)["memorability"].tolist() == [0.75, 0.5]
    within = figrim(root, "within")
    assert within["memorability"].tolist() == [0.625, 0.375]
    assert within[["hits", "misses", "false_alarms", "correct_rejections"]].iloc[1].tolist() == [30, 50, 4, 76]
    assert within["group"].tolist() == ["bathroom", "castle"]
    with pytest.raises(OptionError, match="'across' or 'within'"):
        figrim(root, "both")  # type: ignore[arg-type]


def test_things_without_a_value_are_missing(tmp_path: Path) -> None:
    frame = things(folders.things(tmp_path))
    np.testing.assert_equal(frame["memorability"].tolist(), [0.81, np.nan, -0.02])
    assert frame["group"].tolist() == ["aardvark", "aardvark", "abacus"]
    (tmp_path / "object_images").rename(tmp_path / "images")
    assert things(tmp_path)["path"].map(os.path.isfile).all()


@pytest.mark.parametrize(
    ("load", "make", "file", "name"),
    [
        (lamem, folders.lamem, "splits/val_1.txt", "LaMem"),
        (memcat, folders.memcat, "memcat_image_data.csv", "MemCat"),
        (figrim, folders.figrim, "across_category.csv", "FIGRIM"),
        (things, folders.things, "THINGS_Memorability_Scores.csv", "THINGS"),
    ],
)
def test_a_wrong_folder_says_what_it_lacks_and_where_to_get_it(
    load: Callable[[Any], pd.DataFrame], make: Callable[[Path], Path], file: str, name: str, tmp_path: Path
) -> None:
    root = make(tmp_path / "data")
    (root / file).unlink()
    with pytest.raises(OptionError, match=f"no folder of {name}: it lacks {file}.* Get {name} from http"):
        load(root)
    with pytest.raises(OptionError, match="no folder of"):
        load(tmp_path / "none")


@pytest.mark.parametrize(("load", "make", "is_seen"), EACH)
def test_missing_images_are_told(
    load: Callable[[Any], pd.DataFrame], make: Callable[[Path], Path], is_seen: bool, tmp_path: Path
) -> None:
    root = make(tmp_path / "data")
    for image in root.rglob("*.jpg"):
        image.unlink()
    with pytest.raises(OptionError, match=r"the images of .* are not in .*Get them from http"):
        load(root)


def test_what_is_no_number_is_named_with_its_row(tmp_path: Path) -> None:
    root = folders.memcat(tmp_path)
    table = root / "memcat_image_data.csv"
    table.write_text(table.read_text().replace(",0.5,0.4", ",n/a,0.4"))
    with pytest.raises(
        OptionError, match=r"memorability_wo_fa_correction of row 2 of .*memcat_image_data.csv is 'n/a'"
    ):
        memcat(root)
    table.write_text(table.read_text().replace("memorability_w_fa", "w_fa"))
    with pytest.raises(OptionError, match="lacks the column 'memorability_w_fa_correction'"):
        memcat(root, column="memorability_w_fa_correction")


def test_a_line_of_lamem_without_a_score_is_named(tmp_path: Path) -> None:
    root = folders.lamem(tmp_path)
    (root / "splits" / "val_1.txt").write_text("00000003.jpg\n")
    with pytest.raises(OptionError, match=r"line 1 of .*val_1.txt is not a file name, a space and a score"):
        lamem(root)
