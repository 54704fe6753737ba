"""The plugin in the real App, in a real browser: what a curator does and sees."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from resmem_plugin import Scorer
from resmem_plugin.fiftyone import compute_memorability
from tests.browser.conftest import MakeDataset, Open, Serve
from tests.browser.pages import NASTY, App, eventually, settled
from tests.models import FAILURE, SECONDS_PER_IMAGE

pytestmark = [pytest.mark.browser, pytest.mark.weights]

COMPUTE, SORT, PANEL = "compute_memorability", "sort_by_memorability", "memorability_panel"
FIELD_LABEL = "Memorability field"


@pytest.fixture
def colours(tmp_path: Path) -> list[Path]:
    """Forty small images; `Red` scores the n-th as n * 6 / 255."""
    paths = [tmp_path / f"{number:02}.png" for number in range(40)]
    for number, path in enumerate(paths):
        Image.new("RGB", (32, 32), (number * 6, 90, 160)).save(path)
    return paths


@pytest.fixture
def broken(tmp_path: Path, photos: dict[str, Path]) -> list[Path]:
    """A missing file, a truncated one, a text and an empty one, each with the name of an image."""
    paths = [tmp_path / f"{name}.jpg" for name in ("missing", "truncated", "text", "empty")]
    paths[1].write_bytes(photos["flower.jpg"].read_bytes()[:9000])
    paths[2].write_text("not an image")
    paths[3].write_bytes(b"")
    return paths


def compute(app: App, field: str) -> str:
    """Press the button, name the field, wait for the end; returns what the App says then."""
    app.press(COMPUTE)
    form = app.form()
    form.fill(FIELD_LABEL, field)
    form.submit()
    return app.result()


def stored(dataset: Any, *fields: str) -> list[Any]:
    """The values in the database now."""
    dataset.reload()
    return dataset.values(list(fields)) if dataset.has_field(fields[0]) else [[None] * len(dataset) for _ in fields]


def test_compute_sort_and_filter_by_a_bar(
    serve: Serve,
    open_app: Open,
    make_dataset: MakeDataset,
    photos: dict[str, Path],
    scorer: Scorer,
    take_screenshot: Callable[[App, str], None],
) -> None:
    dataset = make_dataset(photos.values())
    app = open_app(serve(None), dataset)

    app.press(COMPUTE)
    form = app.form()
    form.fill(FIELD_LABEL, "mem")
    form.tick("Advanced")
    form.choose("Device", "cpu")
    form.see(f"{len(photos)} of {len(photos)} images will be scored")
    expect(form.submit_button).to_be_enabled()
    take_screenshot(app, "form")
    form.submit()
    eventually(lambda: app.progress, lambda shown: bool(shown) and shown[-1][0] > 0)
    take_screenshot(app, "progress")
    assert f"{len(photos)} scored, 0 failed" in app.result()
    percentages = [percentage for percentage, _ in app.progress]
    assert len(percentages) >= 2
    assert percentages == sorted(percentages)
    take_screenshot(app, "result")
    app.close_result()

    eventually(app.fields, lambda fields: "mem" in fields)
    paths, scores = stored(dataset, "filepath", "mem")
    expected = [score.memorability for score in scorer.score(paths)]
    assert scores == pytest.approx(expected, abs=1e-6)
    eventually(lambda: app.on_images("mem"), lambda shown: len(shown) == len(photos) and all(shown))

    app.show("filepath")
    ranked = [path for _, path in sorted(zip(scores, paths, strict=True), reverse=True)]
    assert ranked != paths
    app.press(SORT)
    app.form().submit()
    eventually(lambda: app.on_images("filepath"), lambda shown: shown == ranked)
    app.show("filepath", checked=False)

    panel = app.open_panel(PANEL)
    bars = eventually(panel.bars)
    take_screenshot(app, "panel")
    app.show("filepath")
    tallest = max(range(len(bars)), key=lambda index: bars[index].count)
    low, high = bars[tallest].low, bars[tallest].high
    within = {path for path, score in zip(paths, scores, strict=True) if low <= score < high}
    assert 0 < len(within) == bars[tallest].count < len(photos)
    panel.click_bar(tallest)
    eventually(app.count, lambda count: count == len(within))
    eventually(lambda: app.on_images("filepath"), lambda shown: set(shown) == within)
    assert app.errors == []


def test_the_panel_keeps_the_chosen_class_field_filters_by_a_box_and_resets(
    serve: Serve, open_app: Open, make_dataset: MakeDataset, colours: list[Path], red: Scorer
) -> None:
    dataset = make_dataset(colours)
    for field, labels in (("one", "a"), ("four", "abcd")):
        named = [fo.Classification(label=labels[number % len(labels)]) for number in range(len(colours))]
        dataset.set_values(field, named)
    compute_memorability(dataset, "mem", scorer=red)
    app = open_app(serve(None), dataset)
    panel = app.open_panel(PANEL)
    eventually(panel.classes, lambda classes: len(classes) == 1)
    panel.choose("Mean by class of", "four")
    eventually(panel.classes, lambda classes: len(classes) == 4)
    assert len(settled(panel.classes, quiet_s=5)) == 4  # and no late event undoes the choice
    bars = panel.bars()
    panel.select_bars(1, 2)
    low, high = bars[1].low - 1e-6, bars[2].high - 1e-6
    within = [score for score in dataset.values("mem") if low <= score <= high]
    assert 0 < len(within) < len(colours)
    eventually(app.count, lambda count: count == len(within))
    panel.see(f"{len(within)} of {len(within)} images scored")
    panel.press("Reset")
    eventually(app.count, lambda count: count == len(colours))
    panel.see(f"{len(colours)} of {len(colours)} images scored")  # and nothing of the filtered view is left
    eventually(
        panel.bars, lambda found: [(bar.low, bar.count) for bar in found] == [(bar.low, bar.count) for bar in bars]
    )
    panel.select_bars(0, 1)
    cut = sum(int(bar.count) for bar in bars[:2])
    eventually(app.count, lambda count: count == cut)
    panel.press("Reset")
    eventually(app.count, lambda count: count == len(colours))
    app.show("filepath")
    panel.press("Most memorable")
    eventually(lambda: app.on_images("filepath"), lambda shown: shown == [str(path) for path in reversed(colours)])
    assert app.errors == []


def test_failed_images_are_listed(
    serve: Serve, open_app: Open, make_dataset: MakeDataset, photos: dict[str, Path], broken: list[Path]
) -> None:
    good = [photos["coffee.png"], photos["rocket.jpg"], photos["moon.png"]]
    dataset = make_dataset([broken[0], good[0], *broken[1:], *good[1:]])
    app = open_app(serve(None), dataset)
    result = compute(app, "mem")
    for path in broken:
        assert path.name in result
    app.close_result()

    paths, scores, reasons = stored(dataset, "filepath", "mem", "mem_error")
    failed = {path for path, score, reason in zip(paths, scores, reasons, strict=True) if score is None and reason}
    assert failed == {str(path) for path in broken}
    assert all(score is not None for path, score in zip(paths, scores, strict=True) if path not in failed)

    app.show("filepath")
    panel = app.open_panel(PANEL)
    panel.press("Failed")
    eventually(app.count, lambda count: count == len(broken))
    eventually(lambda: app.on_images("filepath"), lambda shown: set(shown) == failed)
    panel.see(f"No scores here: {len(broken)} of {len(broken)} images failed")


def test_a_failing_model_is_reported_and_a_second_run_continues(
    serve: Serve, open_app: Open, make_dataset: MakeDataset, colours: list[Path]
) -> None:
    server, dataset = serve("failing-once"), make_dataset(colours)
    app = open_app(server, dataset)
    assert FAILURE in compute(app, "mem")
    assert any("could not be computed" in notice for notice in app.notices)
    app.close_result()

    written = np.array([score is not None for score in stored(dataset, "mem")[0]])
    assert 0 < written.sum() < len(colours)
    before = server.forwarded
    assert FAILURE not in compute(app, "mem")
    app.close_result()
    assert server.forwarded - before == len(colours) - written.sum()
    assert stored(dataset, "mem")[0] == pytest.approx([number * 6 / 255 for number in range(40)], abs=1e-6)


def test_closing_the_browser_keeps_the_scores_written(
    serve: Serve, open_app: Open, make_dataset: MakeDataset, colours: list[Path]
) -> None:
    server, dataset = serve("slow"), make_dataset(colours)
    app = open_app(server, dataset)
    app.press(COMPUTE)
    form = app.form()
    form.fill(FIELD_LABEL, "mem")
    form.submit()
    eventually(lambda: stored(dataset, "mem")[0], lambda scores: any(score is not None for score in scores))
    label = eventually(lambda: [shown for percentage, shown in app.progress if percentage])[-1]
    app.page.close()
    settled(lambda: server.forwarded, quiet_s=4 * 8 * SECONDS_PER_IMAGE)  # some batches of 8

    written = {
        path: score for path, score in zip(*stored(dataset, "filepath", "mem"), strict=True) if score is not None
    }
    assert int(label.split()[0]) <= len(written) < len(colours)
    before = server.forwarded
    app = open_app(server, dataset)
    compute(app, "mem")
    assert server.forwarded - before == len(colours) - len(written)
    scores = dict(zip(*stored(dataset, "filepath", "mem"), strict=True))
    assert {path: scores[path] for path in written} == written
    assert list(scores.values()) == pytest.approx([number * 6 / 255 for number in range(40)], abs=1e-6)


def test_objects_are_scored_and_seen_in_five_clicks(
    serve: Serve,
    open_app: Open,
    make_dataset: MakeDataset,
    colours: list[Path],
    take_screenshot: Callable[[App, str], None],
) -> None:
    dataset = make_dataset(colours[:6])
    boxes = [fo.Detections(detections=[fo.Detection(label="a", bounding_box=[0.2, 0.2, 0.5, 0.5])]) for _ in range(6)]
    dataset.set_values("things", boxes)
    app = open_app(serve(None), dataset)
    panel = app.open_panel(PANEL)
    panel.see("To score the objects of things")
    before = app.clicks
    panel.press("Patches of things")
    eventually(lambda: panel.text, lambda text: "To score the objects" not in text)
    panel.press("Compute memorability")
    form = app.form()
    form.see("6 of 6 objects of things will be scored")
    form.submit()
    assert "6 scored, 0 failed" in app.result()
    app.close_result()
    panel.see("6 of 6 patches scored")
    take_screenshot(app, "objects")
    assert app.clicks - before <= 5
    assert app.errors == []


def test_the_form_refuses_invalid_field_names(
    serve: Serve, open_app: Open, make_dataset: MakeDataset, colours: list[Path]
) -> None:
    app = open_app(serve(None), make_dataset(colours[:2]))
    panel = app.open_panel(PANEL)
    panel.see("No memorability scores yet")
    panel.press("Compute memorability")
    form = app.form()
    for name in ("2nd score", "filepath", "a.b"):
        form.fill(FIELD_LABEL, name)
        form.see(f"'{name}' is not a valid field name")
        expect(form.submit_button).to_be_disabled()
    form.fill(FIELD_LABEL, "second_score")
    expect(form.submit_button).to_be_enabled()


def test_hostile_names_and_labels_are_shown_as_text(
    serve: Serve, open_app: Open, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    names = [f"{number} {nasty}.png".replace("/", "\N{FRACTION SLASH}") for number, nasty in enumerate(NASTY)]
    paths = [tmp_path / name for name in names]
    for path in paths:
        path.write_text("not an image")
    good = tmp_path / "good.png"
    Image.new("RGB", (32, 32), (90, 90, 160)).save(good)
    dataset = make_dataset([*paths, good])
    dataset.set_values("kind", [fo.Classification(label=label) for label in (*NASTY, "fine")])
    app = open_app(serve(None), dataset)
    app.page.on("dialog", lambda dialog: app.errors.append(f"dialog: {dialog.message}"))
    result = compute(app, "mem")
    for name in names:
        assert name.replace("`", "'") in result
    page = app.page
    assert page.locator("[data-cy=operators-prompt-view-modal] :is(img, script, iframe, a[href])").count() == 0
    app.close_result()

    dataset.reload()
    dataset.set_values("mem", [0.1 * number for number in range(len(dataset))])
    panel = app.open_panel(PANEL)
    eventually(panel.classes, lambda classes: len(classes) == len(dataset))
    assert page.evaluate("window.ran") is None
    assert app.errors == []


def test_a_selected_image_is_explained_in_the_modal_and_the_maps_are_removed(
    serve: Serve,
    open_app: Open,
    make_dataset: MakeDataset,
    photos: dict[str, Path],
    tmp_path: Path,
    take_screenshot: Callable[[App, str], None],
) -> None:
    for name in ("rocket.jpg", "coffee.png"):
        Image.open(photos[name]).convert("L").save(tmp_path / name)
    dataset = make_dataset([tmp_path / "rocket.jpg", tmp_path / "coffee.png"])  # gray: all colour is of the maps
    app = open_app(serve(None), dataset)
    app.select(0)
    app.press("explain_memorability")
    form = app.form()
    form.see("1 image will be explained")
    form.tick("Layer CAM")
    take_screenshot(app, "explain")
    form.submit()
    assert "1 image explained, 0 failed" in app.result()
    app.close_result()
    eventually(app.fields, lambda fields: "explanation_raises" in fields)
    app.page.get_by_test_id("looker").first.click()
    modal = app.page.get_by_test_id("modal-looker-container")

    def coloured() -> float:
        shown = np.asarray(Image.open(io.BytesIO(modal.screenshot())).convert("RGB")).astype(int)
        return float((np.ptp(shown, axis=2) > 40).mean())

    eventually(coloured, lambda share: share > 0.01)
    take_screenshot(app, "explained")
    dataset.reload()
    maps = [label.map_path for label in dataset.values("explanation_raises") if label is not None]
    assert len(maps) == 1
    assert Path(maps[0]).is_file()

    app.page.keyboard.press("Escape")
    expect(modal).to_have_count(0)
    app.run_operator("Delete memorability")
    form = app.form()
    form.see("The heatmaps of the whole dataset and their files will be deleted")
    form.submit()
    eventually(app.fields, lambda fields: "explanation_raises" not in fields)
    assert not Path(maps[0]).exists()
    assert app.errors == []
