"""The images of a collection: groups, videos, empty datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.dataset.fields import ScoreField
from tests.models import Failing, Red


def test_empty_dataset(dataset: Any, red: Scorer) -> None:
    summary = compute_memorability(dataset, scorer=red)
    assert (summary.total, summary.lowest) == (0, None)
    assert dataset.has_field("memorability")


def test_groups(dataset: Any, reds: list[str], red: Scorer) -> None:
    dataset.add_group_field("group", default="left")
    for left, right in zip(reds[:3], reds[3:6], strict=True):
        group = fo.Group()
        paths = {"left": left, "right": right, "cloud": "points.pcd"}
        dataset.add_samples([fo.Sample(filepath=path, group=group.element(name)) for name, path in paths.items()])
    assert compute_memorability(dataset.select_group_slices("left"), scorer=red).scored == 3
    summary = compute_memorability(dataset, scorer=red)
    assert (summary.total, summary.scored, summary.skipped) == (6, 3, 3)
    images = dataset.select_group_slices(media_type="image")
    expected = {path: score.memorability for path, score in zip(reds, red.score(reds), strict=True)}
    assert dict(zip(*images.values(["filepath", "memorability"]), strict=True)) == {p: expected[p] for p in reds[:6]}
    with pytest.raises(OptionError, match="this collection contains point-cloud samples"):
        compute_memorability(dataset.select_group_slices("cloud"), scorer=red)
    with pytest.raises(OptionError, match="holds 6 scores"):  # those of every slice, and not only of the default one
        compute_memorability(dataset, scorer=Scorer(device="cpu", model=Failing(0)))


def test_videos_are_scored_by_their_frames(dataset: Any, reds: list[str], red: Scorer) -> None:
    sample = fo.Sample(filepath="clip.mp4")
    for number, path in enumerate(reds, start=1):
        box = fo.Detection(label="thing", bounding_box=[0, 0, 1, 1])
        sample.frames[number] = fo.Frame(filepath=path, things=fo.Detections(detections=[box]))
    dataset.add_sample(sample)
    with pytest.raises(OptionError, match="to_frames"):
        compute_memorability(dataset, scorer=red)
    frames = dataset.to_frames()
    assert compute_memorability(frames[:4], scorer=red).scored == 4
    assert compute_memorability(dataset.to_frames(), scorer=red).skipped == 4
    expected = [score.memorability for score in red.score(reds)]
    assert dataset.values("frames.memorability") == [pytest.approx(expected)]
    assert dataset.get_field("frames.memorability").info["resmem"]["provenance"] == red.provenance.id
    upright = Scorer(device="cpu", model=Red(), exif_transpose=True)
    assert compute_memorability(dataset.to_frames(), patches_field="things", scorer=upright).scored == 10
    assert dataset.values("frames.things.detections.memorability") == [[pytest.approx([score]) for score in expected]]
    assert ScoreField(dataset, "frames.memorability").delete()
    assert not dataset.has_field("frames.memorability")


@pytest.mark.parametrize("suffix", [".tga", ".j2k"])
def test_images_whose_suffix_fiftyone_does_not_know(dataset: Any, red: Scorer, tmp_path: Path, suffix: str) -> None:
    path = str(tmp_path / f"image{suffix}")
    Image.new("RGB", (64, 64), (51, 0, 0)).save(path)
    dataset.add_sample(fo.Sample(filepath=path))
    with pytest.raises(OptionError, match=r"contains unknown samples.*media_type='image'"):
        compute_memorability(dataset, scorer=red)
    dataset.clear()
    dataset.media_type = "image"
    dataset.add_sample(fo.Sample(filepath=path, media_type="image"))
    compute_memorability(dataset, scorer=red)
    assert dataset.values("memorability") == [pytest.approx(0.2, abs=0.02)]
