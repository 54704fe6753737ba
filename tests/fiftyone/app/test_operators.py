from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, ExecutionError, Executor

from resmem_plugin import Scorer
from resmem_plugin.core.engines import loading
from resmem_plugin.core.errors import CalibrationWarning, OptionError
from resmem_plugin.core.scoring import scorer as scorer_module
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.dataset.fields import METHOD

PLUGIN = "@resmem/memorability"
APP: dict[str, Any] = {"sample_selection_style": {}}  # what the App sends with every request


def _operator(name: str) -> Any:
    return foo.get_operator(f"{PLUGIN}/{name}")


def _form(operator: str, dataset: Any, **params: Any) -> dict[str, Any]:
    """The properties of an operator's form, as the App would show it with these answers."""
    context = ExecutionContext(
        {"dataset_name": dataset.name if dataset is not None else None, "params": params}, executor=Executor()
    )
    schema = _operator(operator).resolve_input(context).to_json()
    return dict(schema["type"]["properties"])


def _run_in_app(name: str, dataset: Any, **params: Any) -> list[dict[str, Any]]:
    """What an operator tells the App to do, one after the other."""
    request = {"dataset_name": dataset.name, "params": params, **APP}
    steps = _operator(name).execute(ExecutionContext(request, executor=Executor()))
    return [step.body.to_json() for step in steps]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, red: Scorer) -> Scorer:
    """Where ResMem would be loaded, the mean of the red channel is, as if it had the published weights."""
    monkeypatch.setattr(scorer_module, "load_engine", lambda *_: red.engine)
    return red


@pytest.fixture
def ten(dataset: Any, reds: list[str]) -> Any:
    dataset.add_samples(
        [fo.Sample(filepath=path, kind=fo.Classification(label="ab"[n % 2])) for n, path in enumerate(reds)]
    )
    return dataset


@pytest.mark.weights
def test_every_route_gives_the_same_scores(dataset: Any, photos: dict[str, Path], scorer: Scorer) -> None:
    paths = [str(path) for path in photos.values()][:3]
    dataset.add_samples([fo.Sample(filepath=path) for path in paths])
    expected = pytest.approx([score.memorability for score in scorer.score(paths)], abs=1e-6)
    uri = f"{PLUGIN}/compute_memorability"
    foo.execute_operator(uri, {"dataset": dataset}, params={"memorability_field": "immediate", "device": "cpu"})
    _operator("compute_memorability")(dataset, "called", device="cpu", batch_size=2)
    _operator("compute_memorability")(dataset, "delegated", device="cpu", delegate=True)
    assert not dataset.has_field("delegated")
    (done,) = DelegatedOperationService().execute_queued_operations(dataset_name=dataset.name, limit=1)
    done.raise_exceptions()
    dataset.reload()
    for field in ("immediate", "called", "delegated"):
        assert dataset.values(field) == expected


def test_a_delegated_run_that_fails_says_why(ten: Any) -> None:
    compute_memorability(ten, scorer=Scorer(device="cpu", model=lambda x: x[:, 0].mean(dim=(1, 2)).unsqueeze(1)))
    operator = _operator("compute_memorability")
    with pytest.raises(ExecutionError, match="holds 10 scores"):
        operator(ten, delegate=True)
    assert ten.count("memorability") == 10


def test_in_the_app_it_shows_progress_and_a_summary(ten: Any, stand_in: Scorer, bad: dict[str, str]) -> None:
    ten.add_sample(fo.Sample(filepath=bad["text"]))
    steps = _run_in_app("compute_memorability", ten)
    names = [step["operator_uri"] for step in steps]
    assert names[0] == names[1] == "set_progress"
    assert names[-4:] == ["reload_dataset", "set_active_fields", "notify", "show_output"]
    last = [step for step in steps if step["operator_uri"] == "set_progress"][-1]["params"]
    assert last["progress"] == 1.0
    assert last["label"].startswith("11 of 11, 1 failed, ")
    assert last["label"].endswith(" images/s")
    assert steps[-3]["params"]["fields"] == ["memorability"]
    shown = str(steps[-1]["params"])
    assert "10 scored, 1 failed, 0 already had a score. Memorability from 0.000 to 0.902" in shown
    assert bad["text"] in shown
    assert "memorability_error" in shown
    ten.reload()
    assert ten.count("memorability") == 10


def test_in_the_app_every_error_is_shown(ten: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the card fell out")

    monkeypatch.setattr(scorer_module, "load_engine", broken)
    steps = _run_in_app("compute_memorability", ten)
    assert [step["operator_uri"] for step in steps[-3:]] == ["reload_dataset", "notify", "show_output"]
    assert steps[-2]["params"]["variant"] == "error"
    assert "RuntimeError: the card fell out" in str(steps[-1]["params"])
    with pytest.raises(ExecutionError, match="the card fell out"):
        _operator("compute_memorability")(ten)


def test_a_closed_browser_loses_nothing(ten: Any, stand_in: Scorer) -> None:
    request = {"dataset_name": ten.name, "params": {"batch_size": 2}, **APP}
    steps = _operator("compute_memorability").execute(ExecutionContext(request, executor=Executor()))
    next(steps)
    assert next(steps).body.params["progress"] > 0
    steps.close()
    ten.reload()
    written = ten.count("memorability")
    assert 0 < written <= 10
    assert compute_memorability(ten, scorer=stand_in).scored == 10 - written


def test_the_form_says_what_will_happen(ten: Any, stand_in: Scorer) -> None:
    form = _form("compute_memorability", ten)
    inputs = ("view_target", "memorability_field", "device", "precision", "batch_size", "num_workers", "overwrite")
    assert set(inputs) <= set(form)
    assert "10 of 10 images will be scored; 0 already have a score" in form["plan"]["view"]["label"]
    compute_memorability(ten[:4], scorer=Scorer(device="cpu", model=lambda x: x[:, 0].mean(dim=(1, 2)).unsqueeze(1)))
    again = _form("compute_memorability", ten)
    assert again["overwrite"]["invalid"]
    assert "holds 4 scores" in again["overwrite"]["error_message"]
    assert "10 of 10 images" in _form("compute_memorability", ten, overwrite=True)["plan"]["view"]["label"]


@pytest.mark.weights
def test_the_form_counts_what_has_a_score(ten: Any) -> None:
    compute_memorability(ten[:1], device="cpu")
    form = _form("compute_memorability", ten, device="cpu")
    assert "9 of 10 images will be scored; 1 already has a score" in form["plan"]["view"]["label"]


@pytest.mark.weights
@pytest.mark.usefixtures("calibrations")
def test_the_form_knows_the_fields_own_calibration(ten: Any) -> None:
    options = {"device": "cpu", "precision": "int8"}
    assert "10 of 10 images will be scored" in _form("compute_memorability", ten, **options)["plan"]["view"]["label"]
    with pytest.warns(CalibrationWarning):
        _operator("compute_memorability")(ten[:4], "memorability", **options)
    ten.reload()
    assert "6 of 10 images will be scored" in _form("compute_memorability", ten, **options)["plan"]["view"]["label"]
    assert "holds 4 scores" in _form("compute_memorability", ten, device="cpu")["overwrite"]["error_message"]


@pytest.mark.parametrize(
    ("params", "invalid", "message"),
    [
        ({"memorability_field": "no good"}, "memorability_field", "is not a valid field name"),
        ({"memorability_field": "kind"}, "memorability_field", "choose another name"),
        ({"device": "cuda:77"}, "device", "device"),
    ],
)
def test_the_form_refuses_what_cannot_be(ten: Any, params: dict[str, Any], invalid: str, message: str) -> None:
    form = _form("compute_memorability", ten, **params)
    assert form[invalid]["invalid"]
    assert message in form[invalid]["error_message"]
    with pytest.raises(ExecutionError, match=message):
        foo.execute_operator(f"{PLUGIN}/compute_memorability", {"dataset": ten}, params=params)


def test_the_form_says_what_is_missing(ten: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESMEM_WEIGHTS", str(tmp_path / "nowhere.pt"))
    form = _form("compute_memorability", ten)
    assert form["cannot_run"]["invalid"]
    assert "no weights file at" in form["blocked"]["view"]["description"]
    assert 'pip install "resmem-plugin[weights]"' in form["blocked"]["view"]["description"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "torch is not installed" in _form("compute_memorability", ten)["blocked"]["view"]["description"]
    assert "Open a dataset first" in str(_form("sort_by_memorability", None))


def test_the_form_refuses_videos(dataset: Any) -> None:
    dataset.add_sample(fo.Sample(filepath="clip.mp4"))
    assert "to_frames" in _form("compute_memorability", dataset)["blocked"]["view"]["description"]


def test_sorting(ten: Any, stand_in: Scorer) -> None:
    compute_memorability(ten, scorer=stand_in)
    operator = _operator("sort_by_memorability")
    assert operator(ten).values("filepath") == ten.values("filepath")[::-1]
    assert operator(ten, most_memorable_first=False).values("filepath") == ten.values("filepath")
    uri = f"{PLUGIN}/sort_by_memorability"
    done = foo.execute_operator(uri, {"dataset": ten}, params={"order": "least"})
    view = fo.DatasetView._build(ten, done.result["view"])
    assert view.values("filepath") == ten.values("filepath")
    with pytest.raises(ExecutionError):
        foo.execute_operator(uri, {"dataset": fo.Dataset()}, params={})


def test_selecting(ten: Any, stand_in: Scorer) -> None:
    compute_memorability(ten, scorer=stand_in)
    operator = _operator("select_by_memorability")
    paths = ten.values("filepath")
    assert operator(ten, count=3).values("filepath") == paths[:-4:-1]
    operator(ten, which="bottom", percent=20, tag="dull")
    assert ten.match_tags("dull").values("filepath") == paths[:2]
    operator(ten, count=1, class_field="kind", saved_view="best of each")
    assert ten.load_saved_view("best of each").values("filepath") == paths[:-3:-1]
    uri = f"{PLUGIN}/select_by_memorability"
    params = {"amount": "range", "low": 0.4, "high": 0.6, "result": "tag", "name": "middling"}
    assert foo.execute_operator(uri, {"dataset": ten}, params=params).result["selected"] == 3
    assert len(ten.match_tags("middling")) == 3
    with pytest.raises(ExecutionError, match="there is a saved view"):
        foo.execute_operator(uri, {"dataset": ten}, params={"result": "saved_view", "name": "best of each"})


def test_its_form_counts_what_it_would_select(ten: Any, stand_in: Scorer) -> None:
    compute_memorability(ten, scorer=stand_in)
    assert _form("select_by_memorability", ten, count=3)["plan"]["view"]["label"] == "3 of 10 in the current view"
    form = _form("select_by_memorability", ten, amount="range", low=0.9, high=0.1)
    assert "the range is empty" in form["blocked"]["view"]["description"]
    assert _form("select_by_memorability", ten, result="tag")["name"]["invalid"]


def test_telling(ten: Any, stand_in: Scorer, bad: dict[str, str]) -> None:
    assert _operator("memorability_info")(ten) == []
    ten.add_sample(fo.Sample(filepath=bad["text"]))
    compute_memorability(ten, scorer=stand_in)
    (told,) = _operator("memorability_info")(ten)
    assert (told["field"], told["scored"], told["failed"]) == ("memorability", 10, 1)
    assert told["provenance"]["provenance"] == stand_in.provenance.id
    assert told["when"].startswith("20")
    done = foo.execute_operator(f"{PLUGIN}/memorability_info", {"dataset": ten}, params={})
    assert done.result == {"fields": [told]}


def test_deleting(ten: Any, stand_in: Scorer) -> None:
    compute_memorability(ten, scorer=stand_in)
    compute_memorability(ten, "other", scorer=stand_in)
    assert "10 scores" in _form("delete_memorability", ten)["warning"]["view"]["label"]
    uri = f"{PLUGIN}/delete_memorability"
    foo.execute_operator(uri, {"dataset": ten}, params={"memorability_field": "memorability"})
    ten.reload()
    assert not ten.has_field("memorability")
    assert not ten.has_field("memorability_error")
    assert ten.list_runs(method=METHOD) == ["other"]
    assert "memorability" not in ten.list_indexes()
    assert ten.count("other") == 10
    with pytest.raises(Exception, match="not a memorability field; fields: other"):
        _operator("delete_memorability")(ten, "kind")


def test_a_group_is_scored_in_all_its_slices(dataset: Any, reds: list[str], stand_in: Scorer) -> None:
    dataset.add_group_field("group", default="left")
    for left, right in zip(reds[:3], reds[3:6], strict=True):
        group = fo.Group()
        paths = {"left": left, "right": right}
        dataset.add_samples([fo.Sample(filepath=path, group=group.element(name)) for name, path in paths.items()])
    _operator("compute_memorability")(dataset)
    assert dataset.select_group_slices(["left", "right"]).count("memorability") == 6
    dataset.group_slice = "right"
    rights = _operator("sort_by_memorability")(dataset.sort_by("filepath"))
    assert rights.values("filepath") == reds[3:6][::-1]


@pytest.mark.weights
def test_the_network_is_loaded_once(ten: Any) -> None:
    one = {"dataset": ten, "view": ten[:1]}
    loads = []
    for field in ("one", "two"):
        params = {"memorability_field": field, "device": "cpu"}
        foo.execute_operator(f"{PLUGIN}/compute_memorability", one, params=params)
        loads.append(list(loading._loaded.values()))
    assert loads[0]
    assert loads[0] == loads[1]


def test_patches_are_tagged_where_it_lasts(dataset: Any, reds: list[str]) -> None:
    boxes = [fo.Detection(label="a", bounding_box=[0, 0, 1, 1], memorability=score) for score in (0.5, 0.7)]
    dataset.add_sample(fo.Sample(filepath=reds[0], gt=fo.Detections(detections=boxes)))
    dataset.add_dynamic_sample_fields()
    _operator("select_by_memorability")(dataset.to_patches("gt"), count=1, tag="best")
    assert dataset.values("gt.detections.tags") == [[[], ["best"]]]


@pytest.mark.parametrize("name", ["A-b", "!!!"])
def test_names_that_saved_views_cannot_have(ten: Any, stand_in: Scorer, name: str) -> None:
    compute_memorability(ten, scorer=stand_in)
    ten.save_view("a b", ten.limit(1))
    assert _form("select_by_memorability", ten, result="saved_view", name=name)["name"]["invalid"]
    with pytest.raises(OptionError, match="choose another name"):
        _operator("select_by_memorability")(ten, saved_view=name)


def test_a_word_is_no_yes(ten: Any) -> None:
    with pytest.raises(ExecutionError, match="overwrite must be True or False"):
        foo.execute_operator(f"{PLUGIN}/compute_memorability", {"dataset": ten}, params={"overwrite": "false"})
