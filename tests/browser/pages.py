"""Page objects of the FiftyOne App: values are read from the page, actions use the mouse and the keyboard."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import Error, Locator, Page, expect

from tests.browser.panel_page import Panel

PLUGIN = "@resmem/memorability"
NASTY = (
    "<img src=x onerror=window.ran=1>",
    "<script>window.ran=1</script>",
    "<a href=javascript:window.ran=1>a</a>",
    "[b](javascript:window.ran=1)",
    "![c](data:text/html,d) `e` **f**",
)
"""Names that a page would run or draw if it did not escape HTML and Markdown."""

TIMEOUT_S = 60
expect.set_options(timeout=TIMEOUT_S * 1000)
T = TypeVar("T")

_RECORDER = """
window.seen = {progress: [], notices: [], clicks: 0};
addEventListener('pointerdown', event => { seen.clicks += event.isTrusted; }, true);
new MutationObserver(() => {
  const bar = document.querySelector('[data-cy=operators-prompt-view-modal] [role=progressbar][aria-valuenow]');
  if (bar) {
    const text = bar.closest('[role=dialog]').innerText, last = seen.progress.at(-1);
    if (last !== text) seen.progress.push(text);
  }
  for (const notice of document.querySelectorAll('#notistack-snackbar'))
    if (notice.innerText && !seen.notices.includes(notice.innerText)) seen.notices.push(notice.innerText);
}).observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
"""
"""Progress and notices are shown briefly: the page itself records them, and counts what is clicked."""

_WHERE = """button => {
  const ends = element => element.getBoundingClientRect().right;
  return ends(button) > ends(button.parentElement) + 1 ? 'in the menu' : 'in the row';
}"""

_RESULT = """() => {
  const dialog = document.querySelector('[data-cy=operators-prompt-view-modal]');
  if (!dialog || dialog.querySelector('[role=progressbar]')) return '';
  return dialog.innerText.replace(/Done\\s*$/, '').trim();
}"""

_IGNORED_ERRORS = {"entry is loading"}
"""Errors of the App's own router, when it is asked for a page that it is still loading."""


def eventually(look: Callable[[], T], wanted: Callable[[T], bool] = bool, timeout_s: float = TIMEOUT_S) -> T:
    """Poll until the value is as wanted; fails with the last value."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen: T | Error
        try:
            seen = look()
            if wanted(seen):
                return seen
        except Error as error:  # the App replaced an element while it was read
            seen = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not seen within {timeout_s} s; last: {seen!r}")
        time.sleep(0.05)


def settled(look: Callable[[], T], quiet_s: float, timeout_s: float = TIMEOUT_S) -> T:
    """Poll until the value has not changed for `quiet_s`; fails if that never happens."""
    deadline = time.monotonic() + timeout_s
    seen, since = look(), time.monotonic()
    while time.monotonic() - since < quiet_s:
        assert time.monotonic() < deadline, f"still changing after {timeout_s} s; last: {seen!r}"
        time.sleep(0.05)
        now = look()
        if now != seen:
            seen, since = now, time.monotonic()
    return seen


class App:
    """One page of a browser that shows the App.

    Attributes:
        page: Playwright's page.
        errors: errors of the page and in the browser's console, except fonts from other servers and known errors of the
            App's own router.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page, self._address = page, address
        self.errors: list[str] = []
        page.set_default_timeout(TIMEOUT_S * 1000)
        page.add_init_script(_RECORDER)
        page.on("pageerror", lambda error: self._note(error.message))
        page.on("console", self._note_error)

    def open(self, dataset: str) -> None:
        """Open a dataset, wait for its images, and dismiss the advertisement."""
        self.page.goto(f"{self._address}/datasets/{dataset}")
        expect(self.page.get_by_test_id("fo-grid").get_by_test_id("looker").first).to_be_visible()
        self.page.get_by_role("button", name="Dismiss").click()

    def press(self, operator: str) -> None:
        """Click an operator's button above the grid, or in the menu at its end if there is no room."""
        button = self.page.locator(f'[data-item-id="{PLUGIN}/{operator}"]')
        if eventually(lambda: settled(lambda: button.first.evaluate(_WHERE), quiet_s=0.5)) == "in the menu":
            self.page.locator("[data-itemid=grid-actions-row] svg[data-testid=ExpandMoreIcon]").click()
            expect(button).to_have_count(2)
        button.last.click()

    def run_operator(self, label: str) -> None:
        """Run an operator that has no button, from the list that the key ` opens."""
        self.page.keyboard.press("`")
        self.page.get_by_placeholder("Search operations by name...").fill(label)
        self.page.keyboard.press("Enter")

    def form(self) -> Form:
        """The open form, once it has its defaults."""
        form = Form(self.page)
        expect(form.submit_button).to_be_enabled()
        return form

    @property
    def progress(self) -> list[tuple[int, str]]:
        """Percentage and label that the progress dialog has shown since the dataset was opened, in order."""
        shown: list[str] = self.page.evaluate("seen.progress")
        parts = [re.match(r"(\d+)%\s*(.*?)\s*Done", text, re.DOTALL) for text in shown]
        return [(int(part[1]), part[2]) for part in parts if part]

    @property
    def clicks(self) -> int:
        """How often the mouse was pressed since the page was opened."""
        return int(self.page.evaluate("seen.clicks"))

    @property
    def notices(self) -> list[str]:
        """The notices that have popped up since the dataset was opened."""
        notices: list[str] = self.page.evaluate("seen.notices")
        return notices

    def result(self) -> str:
        """Wait until the progress dialog shows the result, and return its text."""
        text: str = eventually(lambda: self.page.evaluate(_RESULT))
        return text

    def close_result(self) -> None:
        """Close the result."""
        self.page.get_by_role("dialog").get_by_role("button", name="Done").click()
        expect(self.page.get_by_role("dialog")).to_have_count(0)

    def fields(self) -> list[str]:
        """The fields in the sidebar."""
        entries = self.page.locator("[data-cy^=sidebar-field-container-]")
        names: list[str] = entries.evaluate_all("all => all.map(entry => entry.dataset.cy)")
        return [name.removeprefix("sidebar-field-container-") for name in names]

    def show(self, field: str, *, checked: bool = True) -> None:
        """Check a field in the sidebar, so that its value is shown on every image, or uncheck it."""
        box = self.page.get_by_test_id(f"checkbox-{field}").locator("input")
        if box.is_checked() != checked:
            box.click()

    def on_images(self, field: str) -> list[str]:
        """The values of a checked field on the images in the grid, in reading order; "" where there is none."""
        cells: list[tuple[float, float, str]] = self.page.get_by_test_id("looker").evaluate_all(
            """(all, field) => all.map(image => {
                 const box = image.getBoundingClientRect();
                 return [box.top, box.left, image.querySelector(`[data-cy="tag-${field}"]`)?.innerText ?? ''];
               })""",
            field,
        )
        return [text for _, _, text in sorted(cells)]

    def count(self) -> int:
        """The number of samples that the App says are in the view."""
        return int(self.page.get_by_test_id("entry-counts").inner_text(timeout=5000).split()[0].replace(",", ""))

    def open_panel(self, name: str) -> Panel:
        """Open a panel with the "+" beside the grid's tab."""
        self.page.get_by_test_id("new-panel-btn").first.click()
        self.page.get_by_test_id(f"new-panel-option-{name}").click()
        return Panel(self.page, name)

    def filter_by_label(self, field: str, label: str) -> None:
        """Tick a label of a label field in the sidebar."""
        search = self.page.get_by_test_id(f"selector-sidebar-search-{field}.label")
        if not search.count():
            self.page.get_by_test_id(f"sidebar-field-arrow-enabled-{field}").click()
        search.fill(label)
        expect(self.page.get_by_test_id("selector-results-container").or_(search).first).to_be_visible()
        self.page.wait_for_timeout(500)  # the App looks the label up
        search.press("Enter")

    def filter_from(self, field: str, lowest: float) -> None:
        """Set the lower end of a number field in the sidebar."""
        low = self.page.get_by_test_id(f"numeric-filter-{field}").get_by_placeholder("min")
        if not low.count():
            self.page.get_by_test_id(f"sidebar-field-arrow-enabled-{field}").click()
        low.fill(str(lowest))
        low.press("Enter")

    def select(self, index: int) -> None:
        """Tick or untick the box of an image in the grid."""
        image = self.page.get_by_test_id("looker").nth(index)
        image.hover()
        image.get_by_test_id("looker-checkbox-").click()

    def selected(self) -> set[str]:
        """The values of the checked fields on the images in the grid whose box is ticked."""
        images = self.page.get_by_test_id("looker").filter(has=self.page.locator("input:checked"))
        return set(images.all_inner_texts())

    def screenshot(self, path: Path) -> None:
        """Save a screenshot of the window."""
        self.page.screenshot(path=path)

    def _note_error(self, message: Any) -> None:
        if message.type == "error" and message.location.get("url", "").startswith(self._address):
            self._note(message.text)

    def _note(self, text: str) -> None:
        if text not in _IGNORED_ERRORS:
            self.errors.append(text)


class Form:
    """An operator's form; inputs are named by their labels."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._dialog = page.get_by_test_id("operators-prompt-modal")
        self.submit_button = self._dialog.locator("button:not([aria-haspopup])").last

    def see(self, text: str) -> None:
        """Wait until the form shows this text."""
        expect(self._dialog).to_contain_text(text)

    def fill(self, label: str, text: str) -> None:
        """Fill a text input."""
        self._after(label, "input").fill(text)

    def choose(self, label: str, option: str) -> None:
        """Choose from a dropdown."""
        self._after(label, "*[@role='combobox']").click()
        self._page.get_by_role("option", name=option, exact=True).click()
        expect(self._page.get_by_role("listbox")).to_have_count(0)

    def tick(self, label: str) -> None:
        """Click a checkbox."""
        self._dialog.locator("label", has_text=label).click()

    def submit(self) -> None:
        """Click the submit button, once it is enabled."""
        self.submit_button.click()

    def _after(self, label: str, element: str) -> Locator:
        return self._dialog.locator(f"xpath=.//p[normalize-space()='{label}']/following::{element}[1]")
