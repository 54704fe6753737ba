from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image, ImageOps

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.dataset.fields import ScoreField


@pytest.fixture
def halves(tmp_path: Path) -> str:
    """An image whose left half is red and whose right half is black."""
    pixels = np.zeros((40, 80, 3), dtype=np.uint8)
    pixels[:, :40, 0] = 255
    Image.fromarray(pixels).save(tmp_path / "halves.png")
    return str(tmp_path / "halves.png")


def _box(*box: float, label: str = "thing") -> Any:
    return fo.Detection(label=label, bounding_box=list(box))


@pytest.mark.weights
def test_a_box_around_everything_is_the_image(dataset: Any, photos: dict[str, Path], scorer: Scorer) -> None:
    paths = [str(photos[name]) for name in ("rocket.jpg", "camera.png")]  # colour and grey
    dataset.add_samples([fo.Sample(filepath=path, gt=fo.Detections(detections=[_box(0, 0, 1, 1)])) for path in paths])
    compute_memorability(dataset, patches_field="gt", device="cpu")
    expected = [[pytest.approx(score.memorability, abs=1e-6)] for score in scorer.score(paths)]
    assert dataset.values("gt.detections.memorability") == expected


def test_each_patch_has_its_own_score(dataset: Any, halves: str, upright_red: Scorer) -> None:
    boxes = [_box(0, 0, 0.5, 1), _box(0.5, 0, 0.5, 1), _box(0.25, 0, 0.5, 0.5), _box(-0.5, 0.5, 1, 2)]
    dataset.add_sample(fo.Sample(filepath=halves, gt=fo.Detections(detections=boxes)))
    summary = compute_memorability(dataset, patches_field="gt", scorer=upright_red)
    assert (summary.field, summary.total, summary.scored) == ("gt.detections.memorability", 4, 4)
    assert dataset.values("gt.detections.memorability", unwind=True) == pytest.approx([1, 0, 0.5, 1], abs=0.01)
    assert not dataset.has_field("memorability")
    field = ScoreField(dataset, "gt.detections.memorability")
    assert field.provenance is not None
    assert field.provenance.exif_transpose
    assert dataset.first().gt.detections[0].label == "thing"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_relative_to_the_upright_image(
    dataset: Any, halves: str, upright_red: Scorer, tmp_path: Path, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.open(halves).save(path, exif=exif)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    box = [0.0, 0.0, 0.5, 0.5]
    height, width = upright.shape[:2]
    expected = upright[: height // 2, : width // 2, 0].mean() / 255
    dataset.add_sample(fo.Sample(filepath=str(path), gt=fo.Detections(detections=[_box(*box)])))
    compute_memorability(dataset, patches_field="gt", scorer=upright_red)
    assert dataset.values("gt.detections.memorability", unwind=True) == [pytest.approx(expected, abs=0.01)]


def test_invalid_patches_have_an_error(dataset: Any, halves: str, bad: dict[str, str], upright_red: Scorer) -> None:
    boxes = [
        _box(0, 0, 0.5, 1),
        _box(2, 2, 0.1, 0.1),
        _box(0.1, 0.1, 0, 0),
        _box(float("nan"), 0, 1, 1),
        fo.Detection(),
    ]
    dataset.add_samples(
        [
            fo.Sample(filepath=halves, gt=fo.Detections(detections=boxes)),
            fo.Sample(filepath=bad["text"], gt=fo.Detections(detections=[_box(0, 0, 1, 1), _box(0, 0, 0.5, 1)])),
            fo.Sample(filepath=halves, gt=fo.Detections(detections=[])),
            fo.Sample(filepath=halves),
        ]
    )
    summary = compute_memorability(dataset, patches_field="gt", scorer=upright_red)
    assert (summary.total, summary.scored, summary.failed) == (7, 1, 6)
    scores, reasons = dataset.values(["gt.detections.memorability", "gt.detections.memorability_error"], unwind=True)
    scores = [score for score in scores if score is not None]
    assert scores == [pytest.approx(1.0)]
    given = [reason for reason in reasons if reason is not None]
    assert sum("covers no pixel" in reason for reason in given) == 3
    assert sum("invalid bounding box" in reason for reason in given) == 1
    assert sum("not an image" in reason for reason in given) == 2
    again = compute_memorability(dataset, patches_field="gt", scorer=upright_red)
    assert (again.skipped, again.scored, again.failed) == (1, 0, 6)


def test_detection_polyline_and_polylines(dataset: Any, halves: str, upright_red: Scorer) -> None:
    outline = fo.Polyline(points=[[(0, 0), (0.5, 0), (0.5, 1), (0, 1)]], closed=True, filled=True)
    dataset.add_sample(
        fo.Sample(
            filepath=halves, one=_box(0.5, 0, 0.5, 1), line=outline, lines=fo.Polylines(polylines=[outline, outline]),
            kind=fo.Classification(label="x"),
        )
    )  # fmt: skip
    for field, count in (("one", 1), ("line", 1), ("lines", 2)):
        assert compute_memorability(dataset, patches_field=field, scorer=upright_red).scored == count
    assert dataset.values("one.memorability") == pytest.approx([0], abs=0.01)
    assert dataset.values("line.memorability") == pytest.approx([1], abs=0.01)
    assert dataset.values("lines.polylines.memorability", unwind=True) == pytest.approx([1, 1], abs=0.01)
    for field in ("kind", "nothing", "filepath"):
        with pytest.raises(OptionError, match="available: one, line, lines"):
            compute_memorability(dataset, patches_field=field, scorer=upright_red)


def test_patches_view_scores_its_patches(dataset: Any, halves: str, upright_red: Scorer) -> None:
    boxes = [_box(0, 0, 0.5, 1, label="left"), _box(0.5, 0, 0.5, 1, label="right")]
    dataset.add_sample(fo.Sample(filepath=halves, gt=fo.Detections(detections=boxes)))
    patches = dataset.to_patches("gt").match(fo.ViewField("gt.label") == "right")
    assert compute_memorability(patches, scorer=upright_red).scored == 1
    scores = dataset.values("gt.detections.memorability", unwind=True)
    assert scores == [None, pytest.approx(0, abs=0.01)]
    assert dataset.to_patches("gt").values("gt.memorability") == scores
    patches.reload()  # this view is a copy, which was made before
    assert patches.values("gt.memorability") == scores[1:]


def test_filtered_patches_view_scores_its_patches(dataset: Any, halves: str, upright_red: Scorer) -> None:
    boxes = [_box(0, 0, 0.5, 1, label="left"), _box(0.5, 0, 0.5, 1, label="right")]
    dataset.add_sample(fo.Sample(filepath=halves, gt=fo.Detections(detections=boxes)))
    lefts = dataset.filter_labels("gt", fo.ViewField("label") == "left")
    assert compute_memorability(lefts, patches_field="gt", scorer=upright_red).total == 1
    assert dataset.values("gt.detections.memorability", unwind=True) == [pytest.approx(1), None]
    again = compute_memorability(dataset, patches_field="gt", scorer=upright_red)
    assert (again.skipped, again.scored) == (1, 1)


def test_patches_need_exif_transpose(dataset: Any, halves: str, red: Scorer) -> None:
    dataset.add_sample(fo.Sample(filepath=halves, gt=fo.Detections(detections=[_box(0, 0, 1, 1)])))
    with pytest.raises(OptionError, match="exif_transpose=True"):
        compute_memorability(dataset, patches_field="gt", scorer=red)
