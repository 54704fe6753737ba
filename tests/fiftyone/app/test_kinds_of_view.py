"""Every kind of view is scored or refused alike by the form, the operator, delegated runs and Python."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import fiftyone as fo
import pytest
from fiftyone import ViewField
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, Executor

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.scoring import scorer as scorer_module
from resmem_plugin.fiftyone import compute_memorability
from tests.fiftyone.app.operator_driver import APP, get_operator
from tests.models import OtherRed

pytestmark = pytest.mark.weights

Outcome = int | str
"""The number of images or objects that are scored, or words of the refusal."""


def _labels(count: int = 1) -> Any:
    box = fo.Detection(label="thing", bounding_box=[0, 0, 1, 1], confidence=0.5)
    return fo.Detections(detections=[box.copy() for _ in range(count)])


def _images(dataset: Any, reds: list[str]) -> Any:
    dataset.add_samples(
        [
            fo.Sample(
                filepath=path,
                scene="ab"[number % 2],
                order=number,
                gt=_labels(2),
                pred=_labels(),
                data=fo.DynamicEmbeddedDocument(preds=_labels(3)),
            )
            for number, path in enumerate(reds[:6])
        ],
        dynamic=True,
    )
    return dataset


def _groups(dataset: Any, reds: list[str]) -> Any:
    dataset.add_group_field("group", default="left")
    for number in range(3):
        group = fo.Group()
        for name, path in (("left", reds[number]), ("right", reds[number + 3]), ("cloud", f"{number}.pcd")):
            dataset.add_sample(
                fo.Sample(filepath=path, group=group.element(name), scene="ab"[number % 2], order=number)
            )
    return dataset


def _video(dataset: Any, reds: list[str]) -> Any:
    sample = fo.Sample(filepath="clip.mp4")
    sample["events"] = fo.TemporalDetections(detections=[fo.TemporalDetection(label="event", support=[1, 2])])
    for number, path in enumerate(reds[:4], start=1):
        sample.frames[number] = fo.Frame(filepath=path, things=_labels(2))
    dataset.add_sample(sample)
    return dataset


def _saved(dataset: Any) -> Any:
    dataset.save_view("some", dataset.match(ViewField("order") < 4), overwrite=True)
    return dataset.load_saved_view("some")


def _evaluated(dataset: Any) -> Any:
    dataset.evaluate_detections("pred", gt_field="gt", eval_key="eval", progress=False)
    return dataset.to_evaluation_patches("eval")


_SLICES = ["left", "right"]
_VIDEOS = "videos cannot be scored: score their frames"

TABLE: dict[str, tuple[Callable[..., Any], Callable[[Any], Any], str | None, Outcome]] = {
    "dataset": (_images, lambda d: d, None, 6),
    "view": (_images, lambda d: d.limit(2), None, 2),
    "labels": (_images, lambda d: d, "gt", 12),
    "nested labels": (_images, lambda d: d, "data.preds", 18),
    "filtered labels": (_images, lambda d: d.match(ViewField("order") < 2).filter_labels("gt", True), "gt", 4),
    "filtered samples": (_images, lambda d: d.filter_labels("gt", ViewField("label") == "thing"), None, 6),
    "selected samples": (_images, lambda d: d.select(d.values("id")[1:4]), None, 3),
    "without the label field": (_images, lambda d: d.exclude_fields("gt"), "gt", "'gt' is not a Detection"),
    "saved view": (_images, _saved, None, 4),
    "dynamic groups": (_images, lambda d: d.group_by("scene"), None, 6),
    "dynamic groups, ordered": (_images, lambda d: d.group_by("scene", order_by="order"), None, 6),
    "dynamic groups, flat": (_images, lambda d: d.group_by("scene", order_by="order", flat=True), None, 6),
    "first dynamic group": (_images, lambda d: d.group_by("scene").limit(1), None, 3),
    "objects of dynamic groups": (_images, lambda d: d.group_by("scene"), "gt", 12),
    "patches": (_images, lambda d: d.to_patches("gt"), None, 12),
    "grouped patches": (_images, lambda d: d.to_patches("gt").group_by("gt.label"), None, 12),
    "nested patches": (_images, lambda d: d.to_patches("data.preds"), None, 18),
    "patches without the field": (_images, lambda d: d.to_patches("gt"), "pred", "'pred' is not a Detection"),
    "evaluation patches": (_images, _evaluated, None, "patches of gt and pred: select one with patches_field"),
    "evaluation patches, one": (_images, _evaluated, "gt", 12),
    "groups": (_groups, lambda d: d, None, 6),
    "slices": (_groups, lambda d: d.select_group_slices(_SLICES), None, 6),
    "slice": (_groups, lambda d: d.select_group_slices("right"), None, 3),
    "slice of point clouds": (_groups, lambda d: d.select_group_slices("cloud"), None, "contains point-cloud"),
    "slices, grouped": (_groups, lambda d: d.select_group_slices(_SLICES).group_by("scene"), None, 6),
    "slices, grouped, ordered": (
        _groups, lambda d: d.select_group_slices(_SLICES).group_by("scene", order_by="order"), None, 6,
    ),
    "slices, grouped, flat": (
        _groups, lambda d: d.select_group_slices(_SLICES).group_by("scene", flat=True), None, 6,
    ),
    "frames": (_video, lambda d: d.to_frames(), None, 4),
    "labels of frames": (_video, lambda d: d.to_frames(), "things", 8),
    "patches of frames": (_video, lambda d: d.to_frames().to_patches("things"), None, "use the frames view and"),
    "videos": (_video, lambda d: d, None, _VIDEOS),
    "clips": (_video, lambda d: d.to_clips("events"), None, _VIDEOS),
}  # fmt: skip


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch, red: Scorer) -> list[Any]:
    """Replaces ResMem by the mean of the red channel; lists each load of the network."""
    seen: list[Any] = []

    def load(*options: Any) -> Any:
        seen.append(options)
        return red.engine

    monkeypatch.setattr(scorer_module, "load_engine", load)
    return seen


def _context(samples: Any, params: dict[str, Any], **request: Any) -> ExecutionContext:
    root = samples._root_dataset
    view = [] if samples is root else samples.view()._serialize()
    return ExecutionContext({"dataset_name": root.name, "view": view, "params": params, **request}, executor=Executor())


def _form(samples: Any, params: dict[str, Any], **request: Any) -> Outcome:
    form = get_operator("compute_memorability").resolve_input(_context(samples, params, **request)).to_json()
    properties = form["type"]["properties"]
    wrong = [found["error_message"] for found in properties.values() if found.get("invalid")]
    if wrong:
        return str(wrong[0])
    return int(properties["plan"]["view"]["label"].partition(" of ")[0])


def _in_app(samples: Any, params: dict[str, Any], **request: Any) -> Outcome:
    steps = get_operator("compute_memorability").execute(_context(samples, params, **APP, **request))
    shown = [step.body.to_json() for step in steps][-1]["params"]["outputs"]["type"]["properties"]["summary"]["view"]
    text = str(shown["description"])
    counted = re.match(r"(\d+) scored, ", text)
    return int(counted[1]) if counted else text.replace("\\", "")


def _called(samples: Any, params: dict[str, Any], *, delegate: bool = False) -> Outcome:
    dataset = samples._root_dataset
    try:
        get_operator("compute_memorability")(samples, **params, delegate=delegate)
        if delegate:
            service = DelegatedOperationService()
            (done,) = service.execute_queued_operations(dataset_name=dataset.name, limit=1)
            done.raise_exceptions()
    except Exception as error:  # FiftyOne wraps what an operator raises
        return str(error)
    dataset.reload()
    name = params["memorability_field"]
    (report,) = [
        config.report
        for config in (dataset.get_run_info(key).config for key in dataset.list_runs())
        if config.field.endswith(name)
    ]
    return int(report["scored"])


def _python(samples: Any, params: dict[str, Any]) -> Outcome:
    try:
        return compute_memorability(samples, **params).scored
    except OptionError as error:
        return str(error)


DOORS: dict[str, Callable[..., Outcome]] = {
    "python": _python,
    "form": _form,
    "app": _in_app,
    "operator": _called,
    "delegated": lambda samples, params: _called(samples, params, delegate=True),
}


def _params(field: str, patches_field: str | None) -> dict[str, Any]:
    return {"memorability_field": field, **({"patches_field": patches_field} if patches_field else {})}


@pytest.mark.parametrize("kind", TABLE)
def test_every_door_scores_or_refuses_alike(dataset: Any, reds: list[str], loads: list[Any], kind: str) -> None:
    make, view, patches_field, expected = TABLE[kind]
    made = make(dataset, reds)
    found = {name: door(view(made), _params(f"by_{name}", patches_field)) for name, door in DOORS.items()}
    if isinstance(expected, int):
        assert found == dict.fromkeys(DOORS, expected)
        return
    assert expected in str(found["python"])
    for name, outcome in found.items():
        assert str(found["python"]) in str(outcome), name
    assert not loads


def test_a_view_of_frames_can_be_scored_again(dataset: Any, reds: list[str], loads: list[Any]) -> None:
    """FiftyOne makes the frames of a view again after each run, and deletes those of other views."""
    frames = _video(dataset, reds).to_frames()
    doors = ("operator", "operator", "delegated", "python")
    assert [DOORS[door](frames, _params(f"field_{n}", None)) for n, door in enumerate(doors)] == [4] * 4
    assert len(loads) == 4


def _read_only(dataset: Any, path: str) -> None:
    field = dataset.get_field(path)
    field.read_only = True
    field.save()


@pytest.mark.parametrize(
    ("patches_field", "read_only"), [("gt", "gt"), ("gt", "gt.detections"), ("data.preds", "data"), (None, "memo")]
)
def test_read_only_fields_and_parents_are_refused_alike(
    dataset: Any, reds: list[str], loads: list[Any], patches_field: str | None, read_only: str
) -> None:
    _images(dataset, reds)
    dataset.add_sample_field("memo", fo.FloatField)
    _read_only(dataset, read_only)
    found = {name: door(dataset, _params("memo", patches_field)) for name, door in DOORS.items()}
    for name, outcome in found.items():
        assert f"the field '{read_only}' is read-only" in str(outcome), name
        assert str(found["python"]) in str(outcome), name
    assert not loads


@pytest.mark.parametrize("overwrite", [False, True])
def test_scores_of_another_provenance_are_refused_alike(
    dataset: Any, reds: list[str], loads: list[Any], overwrite: bool
) -> None:
    """What the form forecasts is what the run checks, before the network is loaded."""
    compute_memorability(_images(dataset, reds), scorer=Scorer(device="cpu", model=OtherRed(), batch_size=4))
    view, params = dataset.limit(2), {"memorability_field": "memorability", "overwrite": overwrite, "device": "cpu"}
    found = {name: door(view, params) for name, door in DOORS.items()}
    words = "4 of them are outside of this view" if overwrite else "use another field, or replace them all"
    for name, outcome in found.items():
        assert words in str(outcome), name
        assert str(found["python"]) in str(outcome), name
    assert not loads
    hidden = view.exclude_fields(["memorability", "memorability_error"])
    assert words in str(_form(hidden, params))
    assert dataset.count("memorability") == 6


@pytest.mark.parametrize("grouped", [False, True])
def test_selected_samples_of_the_app(dataset: Any, reds: list[str], loads: list[Any], grouped: bool) -> None:
    samples = (_groups if grouped else _images)(dataset, reds)
    request = {"selected": samples.values("id")[:2], "view_target": "SELECTED_SAMPLES"}
    params = {"memorability_field": "memo"}
    assert _form(samples, params, **request) == _in_app(samples, params, **request) == 2
    assert loads


@pytest.mark.parametrize("operator", ["compute", "sort_by", "select_by", "delete"])
def test_forms_show_errors_instead_of_raising(dataset: Any, reds: list[str], operator: str) -> None:
    _images(dataset, reds)
    request = {"dataset_name": dataset.name, "view": [{"_cls": "fiftyone.core.stages.Nothing", "kwargs": []}]}
    context = ExecutionContext({**request, "params": {}}, executor=Executor())
    form = get_operator(f"{operator}_memorability").resolve_input(context).to_json()["type"]["properties"]
    assert form["cannot_run"]["invalid"]
