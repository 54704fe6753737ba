"""Heatmaps of explanations: written, resumed, turned upright, and removed with their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image, ImageOps

from resmem_plugin import Scorer
from resmem_plugin.core.errors import FailedImagesWarning, OptionError
from resmem_plugin.explain import Explanation
from resmem_plugin.fiftyone import compute_explanations, delete_explanations
from resmem_plugin.fiftyone.app.delete import DeleteMemorability
from resmem_plugin.fiftyone.dataset.explanations import explanation_fields
from tests.fiftyone.app.operator_driver import execute_in_app, resolve_form
from tests.models import Quadrant, Red

QUADRANT = Scorer(model=Quadrant(), device="cpu")
OPTIONS: dict[str, Any] = {"baseline": "blank", "passes": 49, "scorer": QUADRANT}


@pytest.fixture
def images(dataset: Any, tmp_path: Path) -> Any:
    """Two images, bright and dark: red above and below gray in the quarter that `Quadrant` looks at."""
    for name, colour in (("bright", "red"), ("dark", "black")):
        Image.new("RGB", (600, 300), colour).save(tmp_path / f"{name}.png")
        dataset.add_sample(fo.Sample(str(tmp_path / f"{name}.png")))
    return dataset


def maps(dataset: Any, field: str) -> list[Any]:
    dataset.reload()
    return [None if label is None else label.get_map() for label in dataset.values(field)]


def test_what_raises_is_in_one_field_and_what_lowers_in_the_other(images: Any, tmp_path: Path) -> None:
    summary = compute_explanations(images, folder=tmp_path / "maps", **OPTIONS)
    assert (summary.explained, summary.skipped, summary.failed) == (2, 0, 0)
    assert summary.fields == ["explanation_raises", "explanation_lowers"]
    raises, lowers = maps(images, "explanation_raises"), maps(images, "explanation_lowers")
    assert [each.shape for each in raises] == [(256, 512), (256, 512)]
    assert raises[0][192, 384] > 200
    assert not lowers[0].any()
    assert not raises[1].any()
    assert lowers[1][192, 384] > 200
    assert not raises[0][:10].any()  # the border is not seen
    label = images.first()["explanation_raises"]
    assert Path(label.map_path).parent == tmp_path / "maps"
    assert label.range == [0, 255]
    stem = Path(label.map_path).name.removesuffix("_raises.png")
    explanation = Explanation.load(tmp_path / "maps" / f"{stem}.npz")
    assert label.limit == pytest.approx(explanation.limit)
    assert label.score == pytest.approx(explanation.score)
    np.testing.assert_allclose(
        raises[0] / 255 * label.limit, np.nan_to_num(explanation.resized((512, 256))), atol=label.limit / 500
    )


def test_a_limit_makes_maps_comparable(images: Any, tmp_path: Path) -> None:
    compute_explanations(images, folder=tmp_path / "maps", limit=10, **OPTIONS)
    assert max(each.max() for each in maps(images, "explanation_raises")) < 5
    assert images.first()["explanation_raises"].limit == 10


def test_a_second_run_explains_what_is_left(images: Any, tmp_path: Path) -> None:
    compute_explanations(images.limit(1), folder=tmp_path / "maps", **OPTIONS)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "maps").iterdir()}
    summary = compute_explanations(images, **OPTIONS)  # in the folder that the dataset names
    assert (summary.explained, summary.skipped) == (1, 1)
    assert Path(summary.folder) == tmp_path / "maps"
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert len(list((tmp_path / "maps").iterdir())) == 2 * len(files)
    again = compute_explanations(images, overwrite=True, **OPTIONS)
    assert (again.explained, again.skipped) == (2, 0)
    for path in (tmp_path / "maps").glob("bright*_raises.png"):
        path.unlink()
    assert compute_explanations(images, **OPTIONS).explained == 1  # the file was lost


def test_maps_made_otherwise_are_not_mixed(images: Any, tmp_path: Path) -> None:
    compute_explanations(images, folder=tmp_path / "maps", **OPTIONS)
    other = {**OPTIONS, "baseline": "mean"}
    with pytest.raises(OptionError, match=r"made otherwise \(method occlusion, baseline blank"):
        compute_explanations(images, **other)
    with pytest.raises(OptionError, match="1 samples outside of this view"):
        compute_explanations(images.limit(1), overwrite=True, **other)
    assert compute_explanations(images, overwrite=True, **other).explained == 2
    assert compute_explanations(images, "other", folder=tmp_path / "other", **OPTIONS).explained == 2
    assert explanation_fields(images) == ["explanation", "other"]


def test_failures_are_told_and_tried_again(images: Any, tmp_path: Path) -> None:
    images.add_sample(fo.Sample(str(tmp_path / "late.png")))
    with pytest.warns(FailedImagesWarning, match=r"1 of 3 images could not be explained.*late\.png"):
        summary = compute_explanations(images, folder=tmp_path / "maps", **OPTIONS)
    assert list(summary.errors) == [str(tmp_path / "late.png")]
    assert images.count("explanation_raises") == 2
    Image.new("RGB", (9, 9), "red").save(tmp_path / "late.png")
    assert compute_explanations(images, **OPTIONS).explained == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_maps_lie_on_the_image_as_browsers_turn_it(orientation: int, dataset: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.jpg"
    drawn = Image.new("RGB", (400, 300))
    drawn.paste("red", (250, 180, 390, 290))
    drawn.save(path, exif=exif)
    dataset.add_sample(fo.Sample(str(path)))
    compute_explanations(dataset, folder=tmp_path / "maps", **{**OPTIONS, "scorer": Scorer(model=Red(), device="cpu")})
    (found,) = maps(dataset, "explanation_raises")
    with Image.open(path) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    assert found.shape == upright.shape[:2]
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert upright[row, column, 0] > 200


def test_everything_is_deleted(images: Any, tmp_path: Path) -> None:
    compute_explanations(images, folder=tmp_path / "maps", **OPTIONS)
    (tmp_path / "maps" / "mine.txt").write_text("not a map")
    assert DeleteMemorability()(images, "explanation") == [
        "field explanation_raises",
        "field explanation_lowers",
        "8 files",
    ]
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["mine.txt"]
    assert explanation_fields(images) == []
    assert not any(images.has_field(f"explanation_{each}") for each in ("raises", "lowers"))
    with pytest.raises(OptionError, match="has no explanations 'explanation'"):
        delete_explanations(images)


def test_a_clone_keeps_the_originals_files(images: Any, tmp_path: Path) -> None:
    compute_explanations(images, folder=tmp_path / "maps", **OPTIONS)
    clone = images.clone()
    try:
        assert delete_explanations(clone) == ["field explanation_raises", "field explanation_lowers"]
    finally:
        clone.delete()
    assert all(each is not None for each in maps(images, "explanation_raises"))


def test_what_cannot_be_explained_is_refused(images: Any, tmp_path: Path) -> None:
    images.set_values("gt", [fo.Detections(detections=[fo.Detection(bounding_box=[0, 0, 1, 1])]), None])
    with pytest.raises(OptionError, match="whole images are explained"):
        compute_explanations(images.to_patches("gt"), **OPTIONS)
    with pytest.raises(OptionError, match="method must be one of"):
        compute_explanations(images, method="guess")
    with pytest.raises(OptionError, match="limit must be above 0"):
        compute_explanations(images, limit=0)
    with pytest.raises(OptionError, match="is not a valid field name"):
        compute_explanations(images, "no name", **OPTIONS)
    images.add_sample_field("mine_raises", fo.StringField)
    with pytest.raises(OptionError, match="another field 'mine_raises' already"):
        compute_explanations(images, "mine", **OPTIONS)
    assert explanation_fields(images) == []


def test_groups_have_their_images_explained(dataset: Any, tmp_path: Path) -> None:
    group = fo.Group()
    dataset.add_group_field("group", default="left")
    for slice_ in ("left", "right"):
        Image.new("RGB", (60, 60), "red").save(tmp_path / f"{slice_}.png")
        dataset.add_sample(fo.Sample(str(tmp_path / f"{slice_}.png"), group=group.element(slice_)))
    assert compute_explanations(dataset, folder=tmp_path / "maps", **OPTIONS).explained == 2
    assert delete_explanations(dataset)[-1] == "8 files"


def test_the_form_says_how_many_and_deletes_by_name(images: Any, tmp_path: Path) -> None:
    form = resolve_form("explain_memorability", images)
    assert form["few"]["view"]["label"] == "2 images will be explained"
    assert "baseline" in form
    assert "baseline" not in resolve_form("explain_memorability", images, method="layer_cam")
    compute_explanations(images, folder=tmp_path / "maps", **OPTIONS)
    form = resolve_form("delete_memorability", images)
    assert "heatmaps of the whole dataset" in form["warning"]["view"]["label"]


def test_the_app_is_told_of_an_error(images: Any) -> None:
    images.add_sample_field("mine_raises", fo.StringField)
    steps = execute_in_app("explain_memorability", images, explanation_field="mine")
    assert "another field 'mine_raises' already" in str(steps[-1])
