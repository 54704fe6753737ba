"""A curator's way through the App: see the classes, pick diverse memorable images of each, tag, export, report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from resmem_plugin import Scorer
from resmem_plugin.cli import main
from resmem_plugin.fiftyone import compute_memorability
from tests.browser.conftest import Serve
from tests.browser.pages import App, Form, eventually

pytestmark = [pytest.mark.browser, pytest.mark.weights]

SCENES = ("beach", "city", "forest")
KINDS = 5  # of images in each scene, whose embeddings are alike


@pytest.fixture(scope="module")
def dataset(database: str, red: Scorer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Sixty scored images of three scenes, in each of which there are five kinds of four near-duplicates."""
    folder = tmp_path_factory.mktemp("curator")
    made = fo.Dataset("browser-curator", persistent=True)
    for number in range(60):
        path = folder / f"{number:02}.png"
        Image.new("RGB", (48, 32), (100 + number * 37 % 150, 90, 160)).save(path)
        embedding = np.eye(KINDS)[number // 3 % KINDS] + 0.01 * number / 60
        scene = fo.Classification(label=SCENES[number % 3])
        made.add_sample(fo.Sample(str(path), scene=scene, embedding=embedding))
    compute_memorability(made, scorer=red)
    yield made
    made.delete()


@pytest.fixture(scope="module")
def app(chromium: Browser, serve: Serve, dataset: Any) -> Iterator[App]:
    page = chromium.new_page(viewport={"width": 1600, "height": 950})
    found = App(page, serve(None).address)
    found.open(dataset.name)
    yield found
    assert found.errors == []
    page.close()


def diverse(app: App, count: int) -> Form:
    """The form of Select, filled in for diverse images of each scene."""
    form = app.form()
    form.fill("Samples", str(count))
    form.choose("From each class of", "scene")
    slider = app.page.get_by_role("dialog").get_by_role("slider")
    slider.focus()
    for _ in range(50):
        slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuenow") == "0.5"
    form.see("By the embeddings")
    return form


def test_a_curators_journey(
    app: App, chromium: Browser, dataset: Any, tmp_path: Path, take_screenshot: Callable[[App, str], None]
) -> None:
    panel = app.open_panel("memorability_panel")
    panel.see("60 of 60 images scored")
    app.page.wait_for_timeout(2000)  # the App loads its page again, once, after a panel was opened
    assert len(eventually(panel.classes, lambda shown: len(shown) == 3)) == 3

    panel.press("Select")
    form = diverse(app, 4)
    form.see("At most 12 of 60 samples")
    form.tick("Tag them")
    form.fill("Tag", "picked")
    take_screenshot(app, "select-diverse")
    form.submit()
    panel.see("12 of 12 images scored")
    eventually(lambda: "12 samples tagged 'picked'" in app.notices)
    dataset.reload()
    picked = dataset.match_tags("picked")
    assert sorted(picked.values("scene.label")) == sorted(SCENES * 4)
    for scene in SCENES:
        kinds = [int(np.argmax(each)) for each in picked.match({"scene.label": scene}).values("embedding")]
        assert len(set(kinds)) == 4  # no near-duplicates

    paths = tmp_path / "picked.txt"
    panel.press("Select")
    form = app.form()
    form.fill("Samples", "12")
    form.tick("Write their paths to a file")
    form.fill("A new .txt file, on the machine that runs FiftyOne", str(paths))
    form.see("12 of 12 samples")
    form.submit()
    eventually(lambda: paths.exists())
    assert sorted(paths.read_text().splitlines()) == sorted(picked.values("filepath"))

    report = tmp_path / "report.html"
    assert main(["report", dataset.name, "-o", str(report), "--by", "scene", "-q"]) == 0
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(report.as_uri())
    expect(page.get_by_role("heading", name="By scene")).to_be_visible()
    expect(page.get_by_text("60 images, 60 scored")).to_be_visible()
    assert page.locator("img").count() == 24
    assert page.locator("img").first.evaluate("image => image.naturalWidth") > 0
    page.screenshot(path=tmp_path / "report.png", full_page=True)
    page.close()
