"""Names of fields: every name that FiftyOne uses is refused, or can be written and deleted without harm."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterable
from types import FunctionType
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionError

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.dataset.fields import ScoreField
from tests.conftest import ROOT
from tests.fiftyone.app.operator_driver import PLUGIN, resolve_form

_LOAD = """
import sys, fiftyone as fo
dataset = fo.load_dataset(sys.argv[1])
for sample in dataset:
    sample.to_dict(include_private=True), sample.dataset_id, sample.media_type, sample.copy()
    if dataset.media_type == "video":
        for frame in sample.frames.values():
            frame.to_dict(include_private=True), frame.dataset_id, frame.sample_id
dataset.to_dict(include_frames=dataset.media_type == "video")
if dataset.has_field("gt"):
    assert all(patch.gt.to_dict() and patch.sample_id for patch in dataset.to_patches("gt"))
if dataset.media_type == "video":
    assert all(frame.sample_id and frame.frame_number for frame in dataset.to_frames())
"""
_ODD = ("", " ", "a b", "a.b", "$a", "a\0", "a\n", "_a", "1st", "é", "x" * 65, None, 7, "__class__", "a-b")
_PLAIN = ("score", "Memorability", "class", "x_id", "memorability_error")


@pytest.fixture
def images(dataset: Any, reds: list[str]) -> Any:
    box = fo.Detection(label="thing", bounding_box=[0, 0, 1, 1], instance=fo.Instance())
    dataset.add_samples([fo.Sample(filepath=path, gt=fo.Detections(detections=[box.copy()])) for path in reds[:2]])
    return dataset


@pytest.fixture
def video(dataset: Any, reds: list[str]) -> Any:
    sample = fo.Sample(filepath="clip.mp4")
    for number, path in enumerate(reds[:2], start=1):
        sample.frames[number] = fo.Frame(filepath=path)
    dataset.add_sample(sample)
    return dataset


def _names_of(*objects: Any) -> set[str]:
    """Every public name of these objects, and what they store privately, with and without its underscore."""
    names: set[str] = set()
    for each in objects:
        stored = (*getattr(each, "field_names", ()), *each.to_dict(), *getattr(each, "_doc", each)._fields)
        for name in (*dir(each), *dir(getattr(each, "_doc", each)), *stored):
            if name.startswith("__"):
                continue
            static = inspect.getattr_static(type(each), name, None)
            names.add(name)
            if not isinstance(static, (FunctionType, classmethod, staticmethod)) and not callable(
                getattr(type(getattr(each, "_doc", each)), name, None)
            ):
                names.add(name.lstrip("_"))
    return names - {""}


def _load_anew(dataset: Any) -> None:
    """Load all of a dataset in a new process, which has cached nothing."""
    dataset.persistent = True
    command = [sys.executable, "-c", _LOAD, dataset.name]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _write_and_delete(samples: Any, names: Iterable[Any], scorer: Scorer, patches_field: str | None = None) -> set[str]:
    """Score into a field of each name, check that the dataset still loads, and delete it; returns the refused names."""
    refused, reasons = set(), []
    dataset = samples._root_dataset
    for name in names:
        try:
            field = compute_memorability(samples, name, patches_field=patches_field, scorer=scorer).field
        except OptionError as error:
            reasons.append(str(error))
            refused.add(name)
            continue
        dataset.reload()
        stored = dataset.count(field)
        loaded = [sample.to_dict(include_private=True) for sample in dataset]
        assert (stored, len(loaded)) == (2, len(dataset)), name
        assert ScoreField(dataset, field).delete(), name
        if samples._is_frames:
            samples.reload()
    for reason in reasons:
        assert "is not a valid field name" in reason or "already has a" in reason
        assert "choose another name" in reason
    return refused


def test_every_name_of_samples_is_refused_or_harmless(images: Any, red: Scorer) -> None:
    names = _names_of(images.first(), images.view().first(), images.to_patches("gt").first())
    refused = _write_and_delete(images, [*_ODD, *sorted(names), *_PLAIN], red)
    assert {"dataset_id", "sample_id", "id", "filepath", "rand", "copy", "media_type", "frames", "pk"} <= refused
    assert not refused & set(_PLAIN)
    _load_anew(images)


def test_every_name_of_labels_is_refused_or_harmless(images: Any, upright_red: Scorer) -> None:
    label = images.first().gt.detections[0]
    names = _names_of(label, fo.Polyline(points=[]))
    refused = _write_and_delete(images, [*_ODD, *sorted(names), *_PLAIN], upright_red, "gt")
    assert {"id", "label", "confidence", "index", "instance", "cls", "copy", "bounding_box"} <= refused
    assert not refused & set(_PLAIN)
    assert images.first().gt.detections[0].instance is not None
    _load_anew(images)


def test_every_name_of_frames_is_refused_or_harmless(video: Any, red: Scorer) -> None:
    frames = video.to_frames()
    names = _names_of(video.first().frames[1], frames.first()) | {"frame_id"}
    refused = _write_and_delete(frames, [*_ODD, *sorted(names), *_PLAIN], red)
    assert {"dataset_id", "sample_id", "frame_id", "frame_number", "id", "filepath", "copy"} <= refused
    assert not refused & set(_PLAIN)
    _load_anew(video)


def test_names_that_hold_other_fields_of_labels_are_harmless_on_samples(images: Any, red: Scorer) -> None:
    assert not _write_and_delete(images, ["label", "confidence", "index"], red)
    _load_anew(images)


@pytest.mark.parametrize("patches_field", [None, "gt"])
def test_form_and_operator_refuse_a_name_as_python_does(images: Any, red: Scorer, patches_field: str | None) -> None:
    for name in ("index" if patches_field else "dataset_id", "id", "copy", "_id", "a.b", "x" * 65):
        params = {"memorability_field": name, **({"patches_field": patches_field} if patches_field else {})}
        with pytest.raises(OptionError) as refused:
            compute_memorability(images, name, patches_field=patches_field, scorer=red)
        shown = resolve_form("compute_memorability", images, **params)["memorability_field"]
        assert shown["error_message"] == str(refused.value)
        with pytest.raises(ExecutionError) as raised:
            foo.execute_operator(f"{PLUGIN}/compute_memorability", {"dataset": images}, params=params)
        assert str(refused.value) in str(raised.value)
    _load_anew(images)


def test_documented_repair_of_a_dataset_with_scores_in_dataset_id(images: Any, red: Scorer) -> None:
    """What an earlier version did, and the repair of docs/fiftyone.md."""
    images.add_sample_field("dataset_id", fo.FloatField)
    images.set_values("dataset_id", [0.1, 0.2], validate=False)
    images.reload()
    with pytest.raises(Exception, match="Invalid ObjectID"):
        list(images)
    page = (ROOT / "docs" / "fiftyone.md").read_text()
    repair = page.partition("<!-- repair -->")[2].partition("```python")[2].partition("```")[0]
    exec(repair, {"dataset": images, "fo": fo})
    images.reload()
    assert not images.has_field("dataset_id")
    assert compute_memorability(images, scorer=red).scored == 2
    _load_anew(images)
