"""The panel's page object: its text, menus, buttons and charts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Error, Locator, Page, expect

_BARS = """chart => [...chart.querySelectorAll('.bars .point path')].map((path, index) => {
  const {left, right, top, bottom} = path.getBoundingClientRect();
  const {p0, p1, s} = chart.calcdata[0][index];
  return {left, right, top, bottom, low: p0, high: p1, count: s};
})"""

_DRAWN = "the App is drawing the panel"
"""Why something is not there: such an `Error` is one to poll on."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar of a chart: its box in the window in pixels, and what it stands for.

    Attributes:
        low: the lower end of its range of values.
        high: the upper end.
        count: its height.
    """

    left: float
    right: float
    top: float
    bottom: float
    low: float
    high: float
    count: float


class Panel:
    """A panel beside the grid."""

    def __init__(self, page: Page, name: str) -> None:
        self._page = page
        self._panel = page.get_by_test_id(f"panel-content-{name}")
        self._charts = self._panel.locator(".js-plotly-plot")
        expect(self._panel).to_be_visible()

    def see(self, text: str) -> None:
        """Wait until the panel shows this text."""
        expect(self._panel).to_contain_text(text)

    def press(self, label: str) -> None:
        """Click one of the panel's buttons."""
        self._panel.get_by_role("button", name=label, exact=True).click()

    @property
    def text(self) -> str:
        """What the panel shows, without its charts' labels."""
        return self._panel.inner_text(timeout=5000)

    @property
    def scored(self) -> tuple[int, int]:
        """How many are scored, of how many."""
        found = re.search(r"([\d,]+) of ([\d,]+) \w+ scored", self.text)
        if found is None:
            raise Error(_DRAWN)
        return int(found[1].replace(",", "")), int(found[2].replace(",", ""))

    def button(self, label: str) -> Locator:
        """One of the panel's buttons."""
        return self._panel.get_by_role("button", name=label, exact=True)

    def menu(self, label: str) -> str:
        """The value that a menu shows."""
        return self._menu(label).inner_text(timeout=10_000).strip()

    def choose(self, label: str, option: str) -> None:
        """Choose from a menu. It closes if the panel is refreshed, and is opened again."""
        deadline = time.monotonic() + 60
        while True:
            try:
                self._menu(label).click(timeout=3000)
                self._page.get_by_role("option", name=option, exact=True).click(timeout=3000)
                break
            except Error:
                if time.monotonic() > deadline:
                    raise
                self._page.keyboard.press("Escape")
        expect(self._page.get_by_role("listbox")).to_have_count(0)

    def classes(self) -> list[str]:
        """The classes in the chart of means, from top to bottom, with their numbers of samples."""
        labels: list[str] = self._charts.nth(1).locator(".ytick text").all_text_contents()
        return labels

    def click_class(self, index: int) -> None:
        """Click the point of a class."""
        self._charts.nth(1).scroll_into_view_if_needed()
        box = self._charts.nth(1).locator(".points path").nth(index).bounding_box()
        if box is None:
            raise Error(_DRAWN)
        self._page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def cut_to_class(self, index: int, shown: Callable[[], int]) -> int:
        """Click the point of a class, and return what is shown 5 s later; a chart that is being drawn loses a click."""
        before = shown()
        self.click_class(index)
        deadline = time.monotonic() + 5
        while (after := shown()) == before and time.monotonic() < deadline:
            time.sleep(0.05)
        return after

    def _menu(self, label: str) -> Locator:
        return self._panel.locator(f"xpath=.//*[normalize-space(text())='{label}']/following::*[@role='combobox'][1]")

    def bars(self, plot: int = 0) -> list[Bar]:
        """The bars of a bar chart, from left to right; none while it is drawn."""
        drawn: list[dict[str, float]] = self._charts.nth(plot).evaluate(_BARS)
        return [Bar(**bar) for bar in drawn if bar["count"] is not None]  # the panel pads its lists with None

    def click_bar(self, index: int, plot: int = 0) -> None:
        """Click in the middle of a bar."""
        self._charts.nth(plot).scroll_into_view_if_needed()
        bar = self.bars(plot)[index]
        self._page.mouse.click((bar.left + bar.right) / 2, (bar.top + bar.bottom) / 2)

    def select_bars(self, first: int, last: int, plot: int = 0) -> None:
        """Draw a box around neighbouring bars with the mouse."""
        self._charts.nth(plot).scroll_into_view_if_needed()
        bars = self.bars(plot)
        area = self._charts.nth(plot).locator(".nsewdrag").first.bounding_box()
        if area is None:
            raise Error(_DRAWN)
        self._page.mouse.move(bars[first].left + 2, area["y"] + 2)
        self._page.mouse.down()
        self._page.mouse.move(bars[last].right - 2, area["y"] + area["height"] - 2, steps=10)
        self._page.mouse.up()
