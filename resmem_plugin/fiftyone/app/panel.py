"""The panel: the distribution of memorability in the current view, and views selected from it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import fiftyone.operators as foo

from resmem_plugin.fiftyone.app.charts import bins_of, class_of
from resmem_plugin.fiftyone.app.latest import MAX_PANELS, LatestOnly
from resmem_plugin.fiftyone.app.panel_content import (
    Choices,
    PanelContent,
    panel_content,
    problem_content,
    shown_field,
)
from resmem_plugin.fiftyone.app.panel_layout import panel_data, panel_layout
from resmem_plugin.fiftyone.app.shown import Shown
from resmem_plugin.fiftyone.dataset.class_means import class_view
from resmem_plugin.fiftyone.dataset.description import own_stages, without_stages
from resmem_plugin.fiftyone.dataset.distribution import bin_view
from resmem_plugin.fiftyone.dataset.views import class_paths, sort_view, sortable_fields

T = TypeVar("T")

_OPERATORS = "@resmem/memorability"

_logger = logging.getLogger(__name__)
_contents: LatestOnly[PanelContent] = LatestOnly()
"""The last content of each open panel; lost with the process, and then computed again."""
_chosen: dict[str, Choices] = {}
"""What was chosen in the menus of each panel; lost with the process."""


class MemorabilityPanel(foo.Panel):
    """Histogram, statistics, buttons and classes of the current view.

    An event that changes the view sends what the new one holds with it; the App then sends events of that view, which
    refresh the panel. Its state in the App stays empty, even of the choices in its menus: whenever a panel's state
    changes, the App reloads the page and drops the sidebar's filters. It also drops them whenever the view changes, so
    that the views that the panel sets have what they filtered as stages.
    """

    @property
    def config(self) -> Any:
        """How the App shows it."""
        return foo.PanelConfig(
            name="memorability_panel",
            label="Memorability",
            help_markdown="How memorable the current view is. Click a bar, or drag over several, or click a class, to "
            "filter the view.",
            surfaces="grid",
            icon="insights",  # FiftyOne shows no custom icons on tabs
        )

    def execute(self, ctx: Any) -> Any:
        """Handle an event. The layout is sent together with the data, or neither."""
        method = ctx.params.get("__method__") or "on_startup"
        if not method.startswith("on_"):
            raise ValueError(f"{method!r} is no event")
        return getattr(self, method)(ctx)

    def render(self, ctx: Any) -> Any:
        """The layout of what is shown."""
        return panel_layout(self, _guarded(lambda: _compute(Shown.of(ctx), _choices(ctx))))

    def on_load(self, ctx: Any) -> None:
        """Show the current view."""
        self._refresh(ctx)

    def on_change_view(self, ctx: Any) -> None:
        """The view has changed, or the sidebar's filters."""
        self._refresh(ctx)

    def on_change_dataset(self, ctx: Any) -> None:
        """The dataset has changed."""
        self._refresh(ctx)

    def on_change_group_slice(self, ctx: Any) -> None:
        """Another slice is shown."""
        self._refresh(ctx)

    def on_change_active_fields(self, ctx: Any) -> None:
        """Scoring ends by making its field active."""
        self._refresh(ctx)

    def on_field(self, ctx: Any) -> None:
        """Show another memorability field."""
        _choose(ctx, field=ctx.params["value"])
        self._refresh(ctx)

    def on_class_field(self, ctx: Any) -> None:
        """Show the means by other classes."""
        _choose(ctx, class_field=ctx.params["value"])
        self._refresh(ctx)

    def on_bar(self, ctx: Any) -> None:
        """Cut the view to a bar."""
        self._cut_to_bins(ctx, [ctx.params.get("id")])

    def on_box(self, ctx: Any) -> None:
        """Cut the view to the bars in a box; an empty one, as after a click, changes nothing."""
        self._cut_to_bins(ctx, [point.get("id") for point in ctx.params.get("data") or []])

    def on_class(self, ctx: Any) -> None:
        """Cut the view to a class."""
        shown = Shown.of(ctx)
        class_field, name = class_of(ctx.params.get("id"))
        if shown is not None and class_field in class_paths(shown.view):
            self._set_view(ctx, class_view(shown.view, class_field, name))

    def on_most(self, ctx: Any) -> None:
        """Sort the view, the most memorable first."""
        shown, field = _shown_with_field(ctx)
        if field is not None:
            self._set_view(ctx, sort_view(shown.view, field))

    def on_least(self, ctx: Any) -> None:
        """Sort the view, the least memorable first."""
        shown, field = _shown_with_field(ctx)
        if field is not None:
            self._set_view(ctx, sort_view(shown.view, field, most_memorable_first=False))

    def on_failed(self, ctx: Any) -> None:
        """Show the samples that could not be scored."""
        shown, field = _shown_with_field(ctx)
        if field is not None and shown.view.has_field(f"{field}_error"):
            self._set_view(ctx, shown.view.exists(f"{field}_error"))

    def on_back(self, ctx: Any) -> None:
        """Take the last stage of the view back."""
        shown = Shown.of(ctx)
        if shown is not None and own_stages(shown.base):
            self._set_view(ctx, without_stages(shown.base, 1))

    def on_reset(self, ctx: Any) -> None:
        """Show the whole dataset again, or all of its patches or frames, without the sidebar's filters."""
        shown = Shown.of(ctx)
        if shown is not None and own_stages(shown.base):
            ctx.ops.set_view(without_stages(shown.base))
        if shown is not None and shown.filtered:
            ctx.ops.clear_sidebar_filters()

    def on_patches(self, ctx: Any) -> None:
        """Open the patches of a label field."""
        shown = Shown.of(ctx)
        if shown is not None:
            ctx.ops.set_view(shown.view.to_patches(ctx.params["label_field"]))

    def on_compute(self, ctx: Any) -> None:
        """Open the form."""
        ctx.prompt(f"{_OPERATORS}/compute_memorability")

    def on_select(self, ctx: Any) -> None:
        """Open the form."""
        ctx.prompt(f"{_OPERATORS}/select_by_memorability")

    def on_info(self, ctx: Any) -> None:
        """Show it."""
        ctx.prompt(f"{_OPERATORS}/memorability_info")

    def on_delete(self, ctx: Any) -> None:
        """Open the form."""
        ctx.prompt(f"{_OPERATORS}/delete_memorability")

    def _set_view(self, ctx: Any, view: Any) -> None:
        """Have the App show another view, and send what it holds at once: the App's own events come a second later."""
        ctx.ops.set_view(view)
        self._refresh(ctx, Shown(view, view, ()))

    def _refresh(self, ctx: Any, coming: Shown | None = None) -> None:
        """Send what is shown, or is about to be, unless a newer event has arrived."""
        number = _contents.number(ctx.panel_id)

        def newest() -> PanelContent | None:
            shown, choices = coming or Shown.of(ctx), _choices(ctx)
            event = Shown.key(ctx) if coming is None else number
            key = None if shown is None else (event, choices, shown.version())
            return _contents.answer(ctx.panel_id, number, key, lambda: _compute(shown, choices))

        content = _guarded(newest)
        if content is not None:
            ctx.panel.set_data(panel_data(content))
            ctx.ops.show_panel_output(panel_layout(self, content))

    def _cut_to_bins(self, ctx: Any, ids: list[Any]) -> None:
        shown, bins = Shown.of(ctx), bins_of(ids)
        if shown is not None and bins is not None:
            field, low, high, closed = bins
            if field in sortable_fields(shown.view):
                self._set_view(ctx, bin_view(shown.view, field, low, high, closed=closed))


def _shown_with_field(ctx: Any) -> tuple[Any, str | None]:
    shown = Shown.of(ctx)
    return shown, None if shown is None else shown_field(shown, _choices(ctx))


def _choices(ctx: Any) -> Choices:
    return _chosen.get(ctx.panel_id, Choices())


def _choose(ctx: Any, **chosen: str) -> None:
    choices = _choices(ctx)
    _chosen.pop(ctx.panel_id, None)
    _chosen[ctx.panel_id] = replace(choices, **chosen, times=choices.times + 1)
    if len(_chosen) > MAX_PANELS:
        del _chosen[next(iter(_chosen))]


def _guarded(content: Callable[[], T]) -> T | PanelContent:
    """The content, or the problem that there was: a panel that raises shows nothing."""
    try:
        return content()
    except Exception as error:
        _logger.exception("the memorability panel failed")
        return problem_content(error)


def _compute(shown: Shown | None, choices: Choices) -> PanelContent:
    _logger.debug("computing the panel")
    return PanelContent() if shown is None else panel_content(shown, choices)
