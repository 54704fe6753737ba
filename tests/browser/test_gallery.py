"""The HTML gallery in a real browser."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser

from resmem_plugin import Scorer
from resmem_plugin.reports.gallery import Card, Gallery
from tests.browser.pages import NASTY, eventually

pytestmark = [pytest.mark.browser, pytest.mark.weights]


def test_hostile_names_in_a_gallery_are_shown_as_text(chromium: Browser, tmp_path: Path) -> None:
    cards = [Card(nasty, score, nasty) for nasty in NASTY for score in (0.5, float("nan"))]
    Gallery(cards, title=NASTY[0]).save(tmp_path / "gallery.html")
    page = chromium.new_page()
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.goto((tmp_path / "gallery.html").as_uri())
    assert page.title() == NASTY[0]
    for nasty in NASTY:
        assert page.get_by_text(nasty).count() > 0
    assert page.locator("img:not([src^='data:image/']), script, iframe, a").count() == 0
    assert page.evaluate("window.ran") is None
    page.close()


def test_a_gallery_shows_images_in_order_of_their_scores(
    chromium: Browser, photos: dict[str, Path], scorer: Scorer, tmp_path: Path
) -> None:
    names = (
        "astronaut.png brick.png camera.png chelsea.png china.jpg coffee.png flower.jpg gravel.png ihc.png rocket.jpg"
    )
    frame = pd.DataFrame({"path": [str(photos[name]) for name in names.split()]})
    frame.resmem.gallery("path", scorer=scorer).save(tmp_path / "gallery.html")
    page = chromium.new_page(viewport={"width": 1000, "height": 530}, color_scheme="light")
    page.goto((tmp_path / "gallery.html").as_uri())
    captions = page.locator("figcaption").evaluate_all("all => all.map(caption => caption.innerText)")
    ranked = frame.resmem.top("path", n=10, scorer=scorer)
    assert [caption[:5] for caption in captions] == [f"{score:.3f}" for score in ranked["memorability"]]
    loaded = "all => all.filter(image => image.complete && image.naturalWidth > 0).length"
    eventually(lambda: page.locator("img").evaluate_all(loaded), lambda count: count == len(frame))
    folder = os.environ.get("RESMEM_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / "gallery.png")
    page.close()
