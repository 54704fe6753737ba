from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor

from resmem_plugin.fiftyone.app.shown import Shown
from resmem_plugin.fiftyone.dataset.schema import PROVENANCE_INFO
from resmem_plugin.fiftyone.dataset.views import class_paths
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
    text = driver.data["statistics"]
    assert "**5** of 6 images scored" in text
    assert "**1** failed" in text
    assert "mean **0.700**" in text
    bars, hover_texts, *_ = driver.data["histogram"]
    assert sum(bars["y"]) == 5
    assert bars["ids"] == hover_texts["ids"]
    number = next(
        n for n, (low, width) in enumerate(zip(bars["x"], bars["width"], strict=True)) if low <= 0.6 < low + width
    )
    driver.event("on_bar", id=bars["ids"][number])
    within = driver.view.values("memorability")
    assert 0.6 in within
    assert len(within) == bars["y"][number]
    at_once = driver.data
    driver.event("on_change_view")
    assert driver.data == at_once
    assert f"**{len(within)}** of {len(within)} images scored" in driver.data["statistics"]
    assert "memorability from" in driver.data["active"]
    driver.event("on_back")
    assert len(driver.view) == 6


def test_the_last_bar_includes_its_upper_edge(dataset: Any) -> None:
    for number, score in enumerate([0.0, 0.5, 1.0]):
        dataset.add_sample(fo.Sample(filepath=f"{number}.png", memorability=score))
    driver = open_panel(dataset)
    driver.event("on_load")
    driver.event("on_bar", id=driver.data["histogram"][0]["ids"][-1])
    assert 1.0 in driver.view.values("memorability")


def test_box_selection_filters_view(scored: Any) -> None:
    driver = open_panel(scored)
    driver.event("on_load")
    bars = driver.data["histogram"][0]
    driver.event("on_box", data=[{"id": each} for each in bars["ids"]])
    assert sorted(driver.view.values("memorability")) == [0.5, 0.6, 0.7, 0.8, 0.9]
    driver.event("on_box", data=[{"id": bars["ids"][-1]}])
    expected = sorted(score for score in SCORES if score is not None and score >= bars["x"][-1])
    assert sorted(driver.view.values("memorability")) == expected
    assert 0 < len(expected) < 5
    odd: Any
    for odd in ([], [{"id": None}], [{"id": "?"}], [{}]):
        assert driver.event("on_box", data=odd) == []
    assert driver.event("on_bar") == []


def test_the_panel_keeps_no_state_and_no_defaults(scored: Any) -> None:
    """The App reloads the page, without the sidebar's filters, when a panel's state changes."""
    driver = open_panel(scored)
    scored.clone_sample_field("kind", "other")
    for event in ("on_load", "on_change_view", "on_class_field", "on_most", "on_change_view", "on_reset"):
        assert "patch_panel_state" not in driver.event(event, value="other")
    assert driver.state == {}

    def defaults(properties: dict[str, Any]) -> list[Any]:
        return [
            each
            for found in properties.values()
            for each in (found["default"], *defaults(found["type"].get("properties") or {}))
        ]

    assert set(defaults(driver.layout["type"]["properties"])) == {None}


def test_sort_and_failed_buttons(scored: Any) -> None:
    driver = open_panel(scored)
    driver.event("on_load")
    driver.event("on_most")
    assert driver.view.values("memorability") == [0.9, 0.8, 0.7, 0.6, 0.5, None]
    driver.event("on_change_view")
    assert driver.buttons()["Most memorable"]["variant"] == "contained"
    assert "sorted by memorability, highest first" in driver.data["active"]
    driver.event("on_least")
    assert driver.view.values("memorability") == [0.5, 0.6, 0.7, 0.8, 0.9, None]
    driver.event("on_change_view")
    assert driver.buttons()["Least memorable"]["variant"] == "contained"
    assert driver.buttons()["Most memorable"]["variant"] == "outlined"
    driver.event("on_failed")
    assert driver.view.values("filepath") == [scored.skip(2).first().filepath]
    driver.event("on_change_view")
    assert driver.buttons()["Failed"]["variant"] == "contained"
    assert "histogram" not in driver.layout["type"]["properties"]
    assert driver.data["statistics"].startswith("No scores here: **1** of 1 images failed\n- 1: ")
    driver.event("on_reset")
    driver.event("on_change_view")
    assert len(driver.view) == 6
    assert driver.buttons()["Reset"]["disabled"]


def test_a_class_filters_the_view(scored: Any) -> None:
    driver = open_panel(scored)
    driver.event("on_load")
    [points] = driver.data["means"]
    means = dict(zip(points["ids"], points["x"], strict=True))
    assert means == {"kind a": pytest.approx(0.65), "kind b": pytest.approx(2.2 / 3)}
    assert points["ids"] == ["kind b", "kind a"]
    assert ["n=3" in label for label in points["y"]] == [True, False]
    driver.event("on_class", id="kind a")
    assert {label.label for label in driver.view.values("kind")} == {"a"}
    driver.event("on_change_view")
    assert "kind is a" in driver.data["active"]
    for odd in (None, "a", "kind", "none a", 5):
        assert driver.event("on_class", id=odd) == []


def test_a_click_counts_for_the_chart_that_was_clicked(scored: Any) -> None:
    scored.set_values("other", [None if score is None else 1 - score for score in SCORES])
    other = scored.get_field("other")
    other.info = {PROVENANCE_INFO: {}}
    other.save()
    driver = open_panel(scored)
    driver.event("on_load")
    bars = driver.data["histogram"][0]
    assert bars["ids"][0].startswith("memorability [")
    driver.event("on_field", value="other")  # while its chart is on the way
    driver.event("on_bar", id=bars["ids"][-1])
    assert min(driver.view.values("memorability")) >= bars["x"][-1]


def test_the_sidebars_filters_are_counted_named_and_kept_in_the_view(scored: Any) -> None:
    driver = open_panel(scored)
    driver.filters = {"kind.label": {"values": ["b"], "exclude": False, "isMatching": True}}
    driver.event("on_load")
    assert "of 3 images scored" in driver.data["statistics"]
    assert "Sidebar filters: kind.label" in driver.data["active"]
    driver.event("on_most")
    driver.filters = {}  # the App drops them when the view changes
    assert driver.view.values("memorability") == [0.9, 0.7, 0.6]
    driver.filters = {"kind.label": {"values": ["b"], "exclude": False, "isMatching": True}}
    driver.event("on_reset")
    assert (len(driver.view), driver.filters) == (6, {})


@pytest.mark.parametrize("kind", ["frames", "dynamic groups"])
def test_the_sidebars_filters_of_other_kinds_of_views_are_counted_and_taken_back(dataset: Any, kind: str) -> None:
    if kind == "frames":
        sample = fo.Sample("clip.mp4")
        for number, score in enumerate(SCORES, start=1):
            sample.frames[number] = fo.Frame(filepath=f"{number}.png", memorability=score, weight=number)
        dataset.add_sample(sample)
        view, total, cut = dataset.to_frames(), "of 6 frames scored", "of 1 frames scored"
    else:
        for number, score in enumerate(SCORES, start=1):
            dataset.add_sample(fo.Sample(f"{number}.png", memorability=score, weight=number, scene=str(number % 2)))
        view, total, cut = dataset.group_by("scene"), "of 2 images scored", "of 1 images scored"
    driver = open_panel(dataset)
    driver.view = view.view()
    driver.event("on_load")
    assert total in driver.data["statistics"]
    driver.filters = {"weight": {"range": [2, 2], "isMatching": True}}
    driver.event("on_change_view")
    assert cut in driver.data["statistics"]
    assert "Sidebar filters: weight" in driver.data["active"]
    driver.event("on_reset")
    assert driver.filters == {}
    driver.event("on_change_view")
    assert "of 6 " in driver.data["statistics"]  # all samples, which are no groups any more


def test_the_filters_of_a_saved_view_are_counted(scored: Any) -> None:
    scored.save_view("all", scored.view())
    executor = Executor()
    request = {
        "dataset_name": scored.name,
        "view": [],
        "view_name": "all",
        "filters": {"kind.label": {"values": ["b"], "exclude": False, "isMatching": True}},
    }
    shown = Shown.of(ExecutionContext(request, executor=executor))
    assert shown is not None
    assert len(shown.view) == 3


def test_a_choice_is_kept_and_a_menu_shows_what_is_shown(scored: Any) -> None:
    """A chosen field that leaves the view, as patches do, comes back with it; the menu says what the chart shows."""
    scored.clone_sample_field("memorability", "again")
    again = scored.get_field("again")
    again.info = {PROVENANCE_INFO: {}}
    again.save()
    scored.clone_sample_field("kind", "other")
    driver = open_panel(scored)
    driver.event("on_load")
    assert driver.menu("class_field") == ["kind", "other"]
    driver.event("on_class_field", value="other")
    driver.event("on_field", value="again")
    assert (driver.menu("field")[0], driver.menu("class_field")[0]) == ("again", "other")
    driver.view = scored.exclude_fields("other")
    driver.event("on_change_view")
    assert driver.menu("class_field") == ["kind"]
    driver.view = scored.view()
    driver.event("on_change_view")
    assert (driver.menu("field")[0], driver.menu("class_field")[0]) == ("again", "other")


def test_events_of_one_change_cost_one_computation(scored: Any, caplog: pytest.LogCaptureFixture) -> None:
    driver = open_panel(scored)
    caplog.set_level("DEBUG", "resmem_plugin.fiftyone.app.panel")
    for event in ("on_load", "on_change_view", "on_change_view", "on_change_active_fields"):
        driver.event(event)
    assert caplog.messages == ["computing the panel"]
    scored.first()["memorability"] = 0.55
    scored.set_values("memorability", [0.55] * 6)
    driver.event("on_change_view")
    assert "mean **0.550**" in driver.data["statistics"]  # the data has changed, and nothing else
    assert len(caplog.messages) == 2


def test_panel_without_scores_opens_the_form(dataset: Any) -> None:
    dataset.add_sample(fo.Sample(filepath="a.png"))
    driver = open_panel(dataset)
    driver.event("on_load")
    assert "No memorability scores yet" in driver.data["empty"]
    assert "Select" not in driver.buttons()
    assert driver.event("on_compute")[0].endswith("prompt_user_for_operation")
    dataset.add_sample_field("memorability", fo.FloatField)
    dataset.set_values("memorability", [0.5])
    driver.event("on_change_active_fields")
    assert "**1** of 1" in driver.data["statistics"]
    for button in ("on_compute", "on_select", "on_info", "on_delete"):
        assert driver.event(button)[0].endswith("prompt_user_for_operation")


def test_panel_shows_errors(scored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = open_panel(scored)

    def broken(*_: object) -> None:
        raise OSError("the database is gone")

    monkeypatch.setattr("resmem_plugin.fiftyone.app.panel_content.distribution", broken)
    driver.event("on_load")
    assert list(driver.layout["type"]["properties"]) == ["problem"]
    assert "OSError: the database is gone" in driver.data["problem"]
    assert driver.render() == ["problem"]
    monkeypatch.undo()
    driver.event("on_change_view")
    assert "problem" not in driver.layout["type"]["properties"]


def test_only_events_of_the_panel_are_run(scored: Any) -> None:
    with pytest.raises(ValueError, match="no event"):
        open_panel(scored).event("render")


def test_panel_of_a_patches_view(dataset: Any) -> None:
    boxes = [fo.Detection(label="a", bounding_box=[0, 0, 1, 1], memorability=score) for score in (0.5, 0.7)]
    dataset.add_sample(fo.Sample(filepath="a.png", gt=fo.Detections(detections=boxes)))
    dataset.add_dynamic_sample_fields()
    driver = open_panel(dataset)
    driver.event("on_load")
    assert "**gt**" in driver.data["objects"]
    assert "eye" in driver.data["objects"]
    driver.event("on_patches", label_field="gt")
    driver.event("on_change_view")
    assert "**2** of 2 patches scored" in driver.data["statistics"]
    assert "mean **0.600**" in driver.data["statistics"]
    driver.event("on_bar", id=driver.data["histogram"][0]["ids"][-1])
    assert driver.view.values("gt.memorability") == [0.7]
    driver.event("on_back")
    assert len(driver.view) == 2
    assert driver.view._is_patches
    driver.event("on_class", id="kind a")
    driver.event("on_reset")
    assert len(driver.view) == 2


def test_panel_ignores_scores_out_of_range(dataset: Any) -> None:
    for number, score in enumerate([0.5, 0.7, float("nan"), float("inf"), -3000.0, 70.0]):
        dataset.add_sample(fo.Sample(filepath=f"{number}.png", memorability=score, kind="a"))
    driver = open_panel(dataset)
    driver.event("on_load")
    assert "**2** of 6 images scored" in driver.data["statistics"]
    assert "mean **0.600**" in driver.data["statistics"]
    assert driver.data["means"][0]["x"] == [pytest.approx(0.6)]


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
    assert "mean **0.300**" in driver.data["statistics"]
    dataset.group_slice = "right"
    driver.event("on_change_group_slice")
    assert "mean **0.800**" in driver.data["statistics"]


def test_the_histogram_is_split_by_the_classes_that_were_chosen(scored: Any) -> None:
    driver = open_panel(scored)
    driver.event("on_load")
    bars, _, *lines = driver.data["histogram"]
    [points] = driver.data["means"]
    field = points["ids"][0].partition(" ")[0]
    path = class_paths(scored)[field]
    assert len(lines) == len(points["ids"])
    for line in lines:
        rows = scored.match({path: line["name"]}).exists("memorability")
        assert sum(line["y"][:-1]) == len(rows)
        counts = np.histogram(rows.values("memorability"), [*bars["x"], bars["x"][-1] + bars["width"][-1]])[0]
        assert line["y"] == [*counts, counts[-1]]
    layout = driver.layout["type"]["properties"]["histogram"]["view"]["layout"]
    assert layout["showlegend"]
    driver.event("on_bar", id=bars["ids"][0])  # one class is left, or none: nothing to split
    driver.event("on_change_view")
    assert len(driver.data["histogram"]) - 2 != 1
