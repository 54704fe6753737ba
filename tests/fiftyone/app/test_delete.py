"""The operator `delete_memorability`."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from resmem_plugin import Scorer
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.dataset.runs import METHOD
from tests.fiftyone.app.operator_driver import PLUGIN, get_operator, resolve_form
from tests.models import Red


def test_deleted_scores_are_gone_from_the_patches_that_are_open(dataset: Any, reds: list[str]) -> None:
    scorer = Scorer(device="cpu", model=Red(), exif_transpose=True)
    box = fo.Detection(label="a", bounding_box=[0, 0, 1, 1])
    dataset.add_sample(fo.Sample(reds[3], gt=fo.Detections(detections=[box])))
    patches = dataset.to_patches("gt")
    compute_memorability(patches, scorer=scorer)
    patches.reload()
    assert patches.count("gt.memorability") == 1
    request = {"dataset": dataset, "view": patches}
    foo.execute_operator(
        f"{PLUGIN}/delete_memorability", request, params={"memorability_field": "gt.detections.memorability"}
    )
    opened = fo.DatasetView._build(dataset, patches._serialize())
    assert not opened.has_field("gt.memorability")


def test_delete_removes_field_errors_index_and_run(ten: Any, stand_in: Scorer) -> None:
    compute_memorability(ten, scorer=stand_in)
    compute_memorability(ten, "other", scorer=stand_in)
    form = resolve_form("delete_memorability", ten)
    assert form["memorability_field"]["invalid"]  # of two, none is chosen for the user
    assert "warning" not in form
    form = resolve_form("delete_memorability", ten, memorability_field="other")
    assert "10 scores" in form["warning"]["view"]["label"]
    uri = f"{PLUGIN}/delete_memorability"
    foo.execute_operator(uri, {"dataset": ten}, params={"memorability_field": "memorability"})
    ten.reload()
    assert not ten.has_field("memorability")
    assert not ten.has_field("memorability_error")
    assert ten.list_runs(method=METHOD) == ["other"]
    assert "memorability" not in ten.list_indexes()
    assert ten.count("other") == 10
    assert "10 scores" in resolve_form("delete_memorability", ten)["warning"]["view"]["label"]
    with pytest.raises(Exception, match="not a memorability field; fields: other"):
        get_operator("delete_memorability")(ten, "kind")
