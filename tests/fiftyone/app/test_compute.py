"""The operator `compute_memorability`."""

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
from resmem_plugin.core.scoring import scorer as scorer_module
from resmem_plugin.fiftyone import compute_memorability
from tests.fiftyone.app.operator_driver import APP, PLUGIN, execute_in_app, get_operator


@pytest.mark.weights
def test_immediate_and_delegated_runs_have_the_same_scores(
    dataset: Any, photos: dict[str, Path], scorer: Scorer
) -> None:
    paths = [str(path) for path in photos.values()][:3]
    dataset.add_samples([fo.Sample(filepath=path) for path in paths])
    expected = pytest.approx([score.memorability for score in scorer.score(paths)], abs=1e-6)
    uri = f"{PLUGIN}/compute_memorability"
    foo.execute_operator(uri, {"dataset": dataset}, params={"memorability_field": "immediate", "device": "cpu"})
    get_operator("compute_memorability")(dataset, "called", device="cpu", batch_size=2)
    get_operator("compute_memorability")(dataset, "delegated", device="cpu", delegate=True)
    assert not dataset.has_field("delegated")
    (done,) = DelegatedOperationService().execute_queued_operations(dataset_name=dataset.name, limit=1)
    done.raise_exceptions()
    dataset.reload()
    for field in ("immediate", "called", "delegated"):
        assert dataset.values(field) == expected


def test_delegated_run_raises_its_error(ten: Any) -> None:
    compute_memorability(ten, scorer=Scorer(device="cpu", model=lambda x: x[:, 0].mean(dim=(1, 2)).unsqueeze(1)))
    operator = get_operator("compute_memorability")
    with pytest.raises(ExecutionError, match="holds 10 scores"):
        operator(ten, delegate=True)
    assert ten.count("memorability") == 10


def test_app_shows_progress_and_summary(ten: Any, stand_in: Scorer, bad: dict[str, str]) -> None:
    ten.add_sample(fo.Sample(filepath=bad["text"]))
    steps = execute_in_app("compute_memorability", ten)
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


def test_app_shows_errors(ten: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the card fell out")

    monkeypatch.setattr(scorer_module, "load_engine", broken)
    steps = execute_in_app("compute_memorability", ten)
    assert [step["operator_uri"] for step in steps[-3:]] == ["reload_dataset", "notify", "show_output"]
    assert steps[-2]["params"]["variant"] == "error"
    assert "RuntimeError: the card fell out" in str(steps[-1]["params"])
    with pytest.raises(ExecutionError, match="the card fell out"):
        get_operator("compute_memorability")(ten)


def test_closed_browser_keeps_written_scores(ten: Any, stand_in: Scorer) -> None:
    request = {"dataset_name": ten.name, "params": {"batch_size": 2}, **APP}
    steps = get_operator("compute_memorability").execute(ExecutionContext(request, executor=Executor()))
    next(steps)
    assert next(steps).body.params["progress"] > 0
    steps.close()
    ten.reload()
    written = ten.count("memorability")
    assert 0 < written <= 10
    assert compute_memorability(ten, scorer=stand_in).scored == 10 - written


def test_all_group_slices_are_scored(dataset: Any, reds: list[str], stand_in: Scorer) -> None:
    dataset.add_group_field("group", default="left")
    for left, right in zip(reds[:3], reds[3:6], strict=True):
        group = fo.Group()
        paths = {"left": left, "right": right}
        dataset.add_samples([fo.Sample(filepath=path, group=group.element(name)) for name, path in paths.items()])
    get_operator("compute_memorability")(dataset)
    assert dataset.select_group_slices(["left", "right"]).count("memorability") == 6
    dataset.group_slice = "right"
    rights = get_operator("sort_by_memorability")(dataset.sort_by("filepath"))
    assert rights.values("filepath") == reds[3:6][::-1]


@pytest.mark.weights
def test_network_is_loaded_once(ten: Any) -> None:
    one = {"dataset": ten, "view": ten[:1]}
    loads = []
    for field in ("one", "two"):
        params = {"memorability_field": field, "device": "cpu"}
        foo.execute_operator(f"{PLUGIN}/compute_memorability", one, params=params)
        loads.append(list(loading._loaded.values()))
    assert loads[0]
    assert loads[0] == loads[1]
