from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from resmem_plugin.fiftyone.dataset.schema import PROVENANCE_INFO
from tests.fiftyone.app.panel_driver import PanelDriver

SCORES = [0.5, 0.9, None, 0.6, 0.8, 0.7]


@pytest.fixture
def scored(dataset: Any) -> Any:
    for number, score in enumerate(SCORES):
        dataset.add_sample(
            fo.Sample(
                filepath=f"{number}.png", memorability=score, memorability_error=None if score else "why",
                kind=fo.Classification(label="ab"[number % 2]),
            )
        )  # fmt: skip
    return dataset


def open_panel(dataset: Any) -> PanelDriver:
    return PanelDriver(foo.get_operator("@resmem/memorability/memorability_panel"), dataset)


def test_panel_shows_distribution_and_bar_filters_view(scored: Any) -> None:
    driver = open_panel(scored)
    driver.event("on_load")
    assert driver.state["field"] == "memorability"
    assert "**5** of 6 scored" in driver.state["statistics"]
    assert "**1** failed" in driver.state["statistics"]
    assert "mean **0.700**" in driver.state["statistics"]
    (bars,) = driver.data["histogram"]
    assert sum(filter(None, bars["y"])) == 5
    assert len(bars["x"]) == len(bars["y"]) == len(bars["width"]) == 50  # the App keeps the rest of a longer list
    number = bars["x"].index(0.6)
    driver.event("on_bar", range=[0.6, 0.6 + bars["width"][number]])
    assert driver.view.values("memorability") == [0.6]
    driver.event("on_change_view")
    assert "**1** of 1 scored" in driver.state["statistics"]
    driver.event("on_reset")
    assert len(driver.view) == 6


def test_box_selection_filters_view(scored: Any) -> None:
    driver = open_panel(scored)
    driver.event("on_load")
    (bars,) = driver.data["histogram"]
    points = [{"idx": number} for number, edge in enumerate(bars["x"]) if edge and 0.6 <= edge <= 0.8]
    driver.event("on_box", data=points)
    assert sorted(driver.view.values("memorability")) == [0.6, 0.7, 0.8]
    for odd in ([], [{"idx": 99}], [{"idx": -1}]):
        assert "set_view" not in driver.event("on_box", data=odd)
    assert "set_view" not in driver.event("on_bar")


def test_sort_and_failed_buttons(scored: Any) -> None:
    driver = open_panel(scored)
    driver.event("on_load")
    driver.event("on_most")
    assert driver.view.values("memorability") == [0.9, 0.8, 0.7, 0.6, 0.5, None]
    driver.event("on_least")
    assert driver.view.values("memorability") == [0.5, 0.6, 0.7, 0.8, 0.9, None]
    driver.event("on_failed")
    assert driver.view.values("filepath") == [scored.skip(2).first().filepath]


def test_means_by_class(scored: Any) -> None:
    driver = open_panel(scored)
    driver.event("on_load")
    assert driver.state["classes"] == ["kind"]
    (bars,) = driver.data["means"]
    means = dict(zip(bars["x"], bars["y"], strict=True))
    assert means == {"a": pytest.approx(0.65), "b": pytest.approx(2.2 / 3), None: None}


def test_late_events_do_not_undo_a_choice(scored: Any) -> None:
    """The App answers a change of state with events that still have the previous state."""
    scored.clone_sample_field("memorability", "again")
    again = scored.get_field("again")
    again.info = {PROVENANCE_INFO: {}}
    again.save()
    scored.clone_sample_field("kind", "other")
    driver = open_panel(scored)
    driver.event("on_load")
    before, layout = dict(driver.state), driver.layout
    driver.event("on_class_field", value="other")
    assert driver.layout == layout
    driver.event("on_field", value="again")
    driver.event("on_change_view", panel_state=before)
    assert (driver.state["field"], driver.state["class_field"]) == ("again", "other")


def test_panel_without_scores_opens_the_form(dataset: Any) -> None:
    dataset.add_sample(fo.Sample(filepath="a.png"))
    driver = open_panel(dataset)
    driver.event("on_load")
    assert driver.state["field"] is None
    assert driver.event("on_compute")[0].endswith("prompt_user_for_operation")
    dataset.add_sample_field("memorability", fo.FloatField)
    dataset.first()["memorability"] = 0.5
    driver.event("on_change_active_fields")
    assert driver.state["field"] == "memorability"


def test_panel_shows_errors(scored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = open_panel(scored)
    driver.event("on_load")

    def broken(*_: object) -> None:
        raise OSError("the database is gone")

    monkeypatch.setattr("resmem_plugin.fiftyone.app.panel.distribution", broken)
    driver.event("on_change_view")
    assert "OSError: the database is gone" in driver.state["problem"]
    monkeypatch.undo()
    driver.event("on_change_view")
    assert driver.state["problem"] is None


def test_panel_of_a_patches_view(dataset: Any) -> None:
    boxes = [fo.Detection(label="a", bounding_box=[0, 0, 1, 1], memorability=score) for score in (0.5, 0.7)]
    dataset.add_sample(fo.Sample(filepath="a.png", gt=fo.Detections(detections=boxes)))
    dataset.add_dynamic_sample_fields()
    driver = open_panel(dataset)
    driver.event("on_load")
    assert driver.state["field"] is None
    driver.view = dataset.to_patches("gt")
    driver.event("on_change_view")
    assert driver.state["field"] == "gt.memorability"
    assert "mean **0.600**" in driver.state["statistics"]
    driver.event("on_bar", range=[0.65, 0.8])
    assert driver.view.values("gt.memorability") == [0.7]
    driver.event("on_reset")
    assert len(driver.view) == 2


def test_panel_ignores_scores_out_of_range(dataset: Any) -> None:
    for number, score in enumerate([0.5, 0.7, float("nan"), float("inf"), -3000.0, 70.0]):
        dataset.add_sample(fo.Sample(filepath=f"{number}.png", memorability=score))
    driver = open_panel(dataset)
    driver.event("on_load")
    assert not driver.state["problem"]
    assert "**2** of 6 scored" in driver.state["statistics"]
    assert "mean **0.600**" in driver.state["statistics"]
    assert len(driver.state["edges"]) <= 51


def test_panel_names_fields_with_scored_patches(dataset: Any) -> None:
    box = fo.Detection(label="a", bounding_box=[0, 0, 1, 1], memorability=0.5)
    dataset.add_sample(fo.Sample(filepath="a.png", gt=fo.Detections(detections=[box])))
    dataset.add_dynamic_sample_fields()
    driver = open_panel(dataset)
    driver.event("on_load")
    assert driver.state["objects"] == ["gt"]


def test_panel_follows_the_group_slice(dataset: Any) -> None:
    dataset.add_group_field("group", default="left")
    for score in (0.2, 0.4):
        group = fo.Group()
        dataset.add_samples(
            [
                fo.Sample(filepath="l.png", group=group.element("left"), memorability=score),
                fo.Sample(filepath="r.png", group=group.element("right"), memorability=score + 0.5),
            ]
        )
    driver = open_panel(dataset)
    driver.event("on_load")
    assert "mean **0.300**" in driver.state["statistics"]
    dataset.group_slice = "right"
    driver.event("on_change_group_slice")
    assert "mean **0.800**" in driver.state["statistics"]
