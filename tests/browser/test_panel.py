"""The panel in the real App: it never takes the sidebar's filters away, and never shows another view's figures."""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import fiftyone as fo
import pytest
from PIL import Image
from playwright.sync_api import Browser, Error, expect

from resmem_plugin import Scorer
from resmem_plugin.fiftyone import compute_memorability
from tests.browser.conftest import Serve
from tests.browser.pages import App, eventually, settled
from tests.browser.panel_page import Panel
from tests.browser.server import AppServer
from tests.models import Red

pytestmark = [pytest.mark.browser, pytest.mark.weights]

PANEL = "memorability_panel"
COMPUTED = "computing the panel"
SCENES = ("beach", "city", "forest")


@pytest.fixture(scope="module")
def dataset(database: str, red: Scorer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Sixty images of three scenes, with an object each; images and objects are scored."""
    folder = tmp_path_factory.mktemp("panel")
    made = fo.Dataset("browser-panel", persistent=True)
    for number in range(60):
        path = folder / f"{number:02}.png"
        Image.new("RGB", (48, 32), (100 + number * 37 % 150, 90, 160)).save(path)
        box = fo.Detection(label="ab"[number % 2], bounding_box=[0.2, 0.2, 0.5, 0.5])
        scene = fo.Classification(label=SCENES[number % 3])
        made.add_sample(fo.Sample(str(path), things=fo.Detections(detections=[box]), scene=scene))
    compute_memorability(made, "mem", scorer=red)
    upright = Scorer(device="cpu", model=Red(), exif_transpose=True)
    compute_memorability(made, "mem", patches_field="things", scorer=upright)
    yield made
    made.delete()


@pytest.fixture(scope="module")
def server(serve: Serve) -> AppServer:
    return serve(None)


@pytest.fixture(scope="module")
def app(chromium: Browser, server: AppServer, dataset: Any) -> Iterator[App]:
    page = chromium.new_page(viewport={"width": 1600, "height": 950})
    found = App(page, server.address)
    found.open(dataset.name)
    yield found
    assert found.errors == []
    page.close()


@pytest.fixture(scope="module")
def panel(app: App) -> Panel:
    found = app.open_panel(PANEL)
    found.see("60 of 60 images scored")
    app.page.wait_for_timeout(2000)  # the App loads its page again, once, after a panel was opened
    return found


@pytest.fixture(autouse=True)
def _whole_dataset(app: App, panel: Panel) -> None:
    """Start each test with all samples."""
    with contextlib.suppress(Error):  # disabled, or about to be: there is nothing to take back
        panel.button("Reset").click(timeout=3000)
    in_agreement(app, panel, 60)


def in_agreement(app: App, panel: Panel, count: int | None = None) -> int:
    """Wait until grid and panel say the same number, `count` if that is given; returns it."""
    found: int = eventually(app.count, lambda shown: panel.scored[1] == shown == (shown if count is None else count))
    return found


def figures(panel: Panel) -> tuple[tuple[int, int], int]:
    """What the text says is scored, and what the bars add up to."""
    return panel.scored, int(sum(bar.count for bar in panel.bars()))


def test_the_sidebars_filters_are_still_there_after_five_seconds(app: App, panel: Panel, dataset: Any) -> None:
    rows = list(zip(dataset.values("mem"), dataset.values("scene.label"), strict=True))
    lowest = round(sorted(score for score, _ in rows)[15], 3) + 0.001
    for scene in itertools.islice(itertools.cycle(SCENES), 5):
        app.filter_from("mem", lowest)
        in_agreement(app, panel, sum(score >= lowest for score, _ in rows))
        app.filter_by_label("scene", scene)
        expected = sum(score >= lowest and label == scene for score, label in rows)
        assert 0 < expected < 20
        in_agreement(app, panel, expected)
        assert "Sidebar filters: mem, scene.label" in panel.text
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            assert app.count() == expected
            time.sleep(0.25)
        assert figures(panel) == ((expected, expected), expected)
        panel.press("Reset")
        in_agreement(app, panel, 60)


def test_choosing_from_a_menu_keeps_the_sidebars_filters(app: App, panel: Panel) -> None:
    app.filter_by_label("scene", "beach")
    in_agreement(app, panel, 20)
    for field in ("things", "scene"):
        panel.choose("Mean by class of", field)
        eventually(lambda: panel.menu("Mean by class of"), field.__eq__)
    assert settled(app.count, quiet_s=5) == 20
    assert eventually(panel.classes, lambda shown: len(shown) == 1) == ["beach (n=20)"]


def test_a_selection_and_the_scrolled_grid_stay_when_the_panel_is_refreshed(app: App, panel: Panel) -> None:
    app.show("filepath")
    eventually(lambda: app.on_images("filepath"), all)
    app.select(1)
    app.select(4)
    chosen = eventually(app.selected, lambda names: len(names) == 2)
    app.page.get_by_test_id("looker").first.hover()
    app.page.mouse.wheel(0, 150)
    there = settled(lambda: app.on_images("filepath"), quiet_s=1)
    for field in ("things", "scene"):
        panel.choose("Mean by class of", field)
        eventually(lambda: panel.menu("Mean by class of"), field.__eq__)
    assert settled(lambda: (app.selected(), app.on_images("filepath")), quiet_s=3) == (chosen, there)
    app.page.mouse.wheel(0, -500)
    app.select(1)
    app.select(4)
    eventually(app.selected, lambda names: not names)
    app.show("filepath", checked=False)


def test_the_least_memorable_tenth_of_each_class_takes_six_clicks(app: App, panel: Panel) -> None:
    before = app.clicks
    panel.press("Select")
    form = app.form()
    form.tick("Least memorable")
    form.tick("A percentage")
    form.choose("From each class of", "scene")
    form.see("6 of 60 samples")
    form.submit()
    in_agreement(app, panel, 6)
    assert app.clicks - before <= 6


def test_a_bars_click_costs_two_computations_at_most_and_shows_no_other_views_figures(
    app: App, panel: Panel, server: AppServer
) -> None:
    before = server.log.count(COMPUTED)
    expected = int(panel.bars()[1].count)
    seen: set[Any] = set()
    panel.click_bar(1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and figures_now(panel) != ((expected, expected), expected):
        seen.add(figures_now(panel))
        time.sleep(0.1)
    for _ in range(20):
        seen.add(figures_now(panel))
        time.sleep(0.1)
    assert seen - {None} <= {((60, 60), 60), ((expected, expected), expected)}
    in_agreement(app, panel, expected)
    assert server.log.count(COMPUTED) - before <= 2


def figures_now(panel: Panel) -> Any:
    """The figures, or None while the App draws them: the chart is drawn a moment after the text."""
    try:
        (scored, total), bars = figures(panel)
        if scored != bars:
            time.sleep(0.3)
            (scored, total), bars = figures(panel)
    except (AssertionError, Error):
        return None
    return (scored, total), bars


def test_twenty_quick_changes_end_in_agreement(app: App, panel: Panel) -> None:
    for number in range(10):
        panel.press("Most memorable" if number % 2 else "Least memorable")
        panel.choose("Mean by class of", ("things", "scene")[number % 2])
    eventually(lambda: panel.cut_to_class(0, app.count), lambda shown: shown < 60)  # of three scenes, or two kinds
    count, found = settled(lambda: (in_agreement(app, panel), figures_now(panel)), quiet_s=3)
    assert count in (20, 30)
    assert found == ((count, count), count)
    assert {20: "scene is ", 30: "things."}[count] in panel.text
    assert "scene" in panel.menu("Mean by class of")


def test_menu_and_chart_agree_after_patches_and_back(app: App, panel: Panel) -> None:
    panel.choose("Mean by class of", "scene")
    eventually(panel.classes, lambda shown: len(shown) == 3)
    panel.press("Patches of things")
    panel.see("60 of 60 patches scored")
    assert len(eventually(panel.classes, lambda shown: len(shown) == 2)) == 2
    assert "things" in panel.menu("Mean by class of")
    app.page.go_back()
    panel.see("60 of 60 images scored")
    eventually(panel.classes, lambda shown: len(shown) == 3)
    assert "scene" in panel.menu("Mean by class of")


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
def test_every_goal_is_reachable_by_mouse(
    app: App, panel: Panel, size: tuple[int, int], take_screenshot: Callable[[App, str], None]
) -> None:
    app.page.set_viewport_size({"width": size[0], "height": size[1]})
    for theme in ("light", "dark"):
        app.page.locator(
            "button:has([data-testid=LightModeIcon]), button:has([data-testid=DarkModeIcon])"
        ).first.click()
        for label in ("Compute memorability", "Select", "Info", "Delete"):
            expect(panel.button(label)).to_be_in_viewport(ratio=1)
            panel.button(label).click()
            dialog = app.page.get_by_role("dialog").first
            expect(dialog).to_be_visible()
            dialog.get_by_role("button", name=re.compile("^(Cancel|Close|Done)$")).last.click()
            expect(app.page.get_by_role("dialog")).to_have_count(0)
        for label in ("Most memorable", "Least memorable", "Reset"):
            panel.button(label).click()
            app.page.wait_for_timeout(700)
        take_screenshot(app, f"panel-{size[0]}-{theme}")
