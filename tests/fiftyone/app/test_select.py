"""The operator `select_by_memorability`."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionError

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone import compute_memorability
from tests.fiftyone.app.operator_driver import PLUGIN, get_operator, resolve_form


def test_select_as_view_saved_view_and_tag(ten: Any, stand_in: Scorer) -> None:
    compute_memorability(ten, scorer=stand_in)
    operator = get_operator("select_by_memorability")
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


def test_form_counts_the_selection(ten: Any, stand_in: Scorer) -> None:
    compute_memorability(ten, scorer=stand_in)
    assert resolve_form("select_by_memorability", ten, count=3)["plan"]["view"]["label"] == "3 of 10 samples"
    saved = {"result": "saved_view", "name": "best", "amount": "percent"}
    assert "The view keeps this number" in resolve_form("select_by_memorability", ten, **saved)["plan"]["view"]["label"]
    form = resolve_form("select_by_memorability", ten, amount="range", low=0.9, high=0.1)
    assert "the range is empty" in form["blocked"]["view"]["description"]
    assert resolve_form("select_by_memorability", ten, result="tag")["name"]["invalid"]


def test_ticked_samples_are_selected_from(ten: Any, stand_in: Scorer) -> None:
    compute_memorability(ten, scorer=stand_in)
    ticked = ten.values("id")[:4]
    params = {"count": 2, "view_target": "SELECTED_SAMPLES"}
    context = {"dataset": ten, "selected": ticked}
    result = foo.execute_operator(f"{PLUGIN}/select_by_memorability", context, params=params).result
    assert result["selected"] == 2
    assert str(ticked) in str(result["view"]).replace('"', "'")


def test_tags_of_patches_are_persistent(dataset: Any, reds: list[str]) -> None:
    boxes = [fo.Detection(label="a", bounding_box=[0, 0, 1, 1], memorability=score) for score in (0.5, 0.7)]
    dataset.add_sample(fo.Sample(filepath=reds[0], gt=fo.Detections(detections=boxes)))
    dataset.add_dynamic_sample_fields()
    get_operator("select_by_memorability")(dataset.to_patches("gt"), count=1, tag="best")
    assert dataset.values("gt.detections.tags") == [[[], ["best"]]]


@pytest.mark.parametrize("name", ["A-b", "!!!"])
def test_invalid_saved_view_names_are_rejected(ten: Any, stand_in: Scorer, name: str) -> None:
    compute_memorability(ten, scorer=stand_in)
    ten.save_view("a b", ten.limit(1))
    assert resolve_form("select_by_memorability", ten, result="saved_view", name=name)["name"]["invalid"]
    with pytest.raises(OptionError, match="choose another name"):
        get_operator("select_by_memorability")(ten, saved_view=name)
