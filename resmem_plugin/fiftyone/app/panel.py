"""The panel: the distribution of memorability in the current view, and views selected from it."""

from __future__ import annotations

import html
import itertools
import logging
from collections.abc import Iterable
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from resmem_plugin.fiftyone.app.text import escape_markdown, format_score
from resmem_plugin.fiftyone.dataset.distribution import (
    MAX_BINS,
    MAX_CLASSES,
    Distribution,
    bin_view,
    describe_provenance,
    distribution,
    means_by_class,
)
from resmem_plugin.fiftyone.dataset.views import class_paths, scored_label_fields, sort_view, sortable_fields

_COMPUTE = "@resmem/memorability/compute_memorability"
_BAR_COLOR = "#ff6d04"
_MAX_UNIT_TICKS = 8
"""Height of the tallest bar up to which the axis has a tick per sample: Plotly would put ticks at halves."""
_LAYOUT = {
    "margin": {"l": 56, "r": 16, "t": 32, "b": 48},
    "showlegend": False,
    "dragmode": "select",
    "selectdirection": "h",
}

_logger = logging.getLogger(__name__)


class MemorabilityPanel(foo.Panel):
    """Histogram, statistics, buttons and classes of the current view."""

    @property
    def config(self) -> Any:
        """How the App shows it."""
        return foo.PanelConfig(
            name="memorability_panel",
            label="Memorability",
            help_markdown="How memorable the current view is. Click a bar, or drag over several, to filter the view.",
            surfaces="grid",
            icon="insights",  # FiftyOne shows no custom icons on tabs
        )

    def on_load(self, ctx: Any) -> None:
        """Compute everything for the current view."""
        self._refresh(ctx)

    def on_change_view(self, ctx: Any) -> None:
        """Compute again: the view has changed."""
        self._refresh(ctx)

    def on_change_dataset(self, ctx: Any) -> None:
        """Compute again: the dataset has changed, or was reloaded after scoring."""
        self._refresh(ctx)

    def on_change_group_slice(self, ctx: Any) -> None:
        """Compute again: another slice is shown."""
        self._refresh(ctx)

    def on_change_active_fields(self, ctx: Any) -> None:
        """Compute again if there were no scores: scoring ends by making its field active."""
        if not ctx.panel.get_state("field"):
            self._refresh(ctx)

    def on_field(self, ctx: Any) -> None:
        """Show another memorability field."""
        ctx.panel.set_state("field", ctx.params["value"])
        self._refresh(ctx)

    def on_class_field(self, ctx: Any) -> None:
        """Show the means by other classes."""
        ctx.panel.set_state("class_field", ctx.params["value"])
        self._refresh(ctx)

    def on_bar(self, ctx: Any) -> None:
        """Filter the view by a bar."""
        low, high = ctx.params.get("range") or (None, None)
        if low is not None and high is not None:
            self._filter(ctx, low, high)

    def on_box(self, ctx: Any) -> None:
        """Filter the view by the bars in a box; an empty one, as after a click, changes nothing."""
        edges = ctx.panel.get_state("edges") or []
        numbers = [point["idx"] for point in ctx.params.get("data") or []]
        bars = sorted(number for number in numbers if 0 <= number < len(edges) - 1)
        if bars:
            self._filter(ctx, edges[bars[0]], edges[bars[-1] + 1])

    def on_most(self, ctx: Any) -> None:
        """Sort the view, the most memorable first."""
        ctx.ops.set_view(sort_view(ctx.view, ctx.panel.get_state("field")))

    def on_least(self, ctx: Any) -> None:
        """Sort the view, the least memorable first."""
        ctx.ops.set_view(sort_view(ctx.view, ctx.panel.get_state("field"), most_memorable_first=False))

    def on_failed(self, ctx: Any) -> None:
        """Show the samples that could not be scored."""
        reasons = f"{ctx.panel.get_state('field')}_error"
        if ctx.view.has_field(reasons):
            ctx.ops.set_view(ctx.view.exists(reasons))

    def on_reset(self, ctx: Any) -> None:
        """Show the whole dataset again, or all of its patches or frames."""
        base = ctx.view._base_view
        ctx.ops.set_view(base if base._is_generated else base.view())

    def on_compute(self, ctx: Any) -> None:
        """Open the form."""
        ctx.prompt(_COMPUTE)

    def render(self, ctx: Any) -> Any:
        """The layout."""
        panel = types.Object()
        state = ctx.panel
        if state.get_state("problem"):
            panel.md(state.get_state("problem"), name="problem")
        elif not state.get_state("field"):
            objects = state.get_state("objects")
            hint = (
                f"The patches of {escape_markdown(' and '.join(objects))} have scores: open a patches view (the button "
                "with the squares, above the grid) to see their distribution."
                if objects
                else "Compute memorability to see its distribution here."
            )
            panel.md(f"### No memorability scores yet\n\n{hint}", name="empty")
            panel.btn("compute", label="Compute memorability", on_click=self.on_compute, variant="contained")
        else:
            self._render(panel, state)
        return types.Property(panel)

    def _render(self, panel: Any, state: Any) -> None:
        if len(state.get_state("fields")) > 1:
            _menu(panel, "field", state.get_state("fields"), "Field", self.on_field)
        panel.md(state.get_state("statistics"), name="statistics_text")
        buttons = panel.h_stack("buttons", gap=1)
        buttons.btn("most", label="Most memorable", on_click=self.on_most, variant="outlined")
        buttons.btn("least", label="Least memorable", on_click=self.on_least, variant="outlined")
        buttons.btn(
            "failed",
            label="Failed",
            on_click=self.on_failed,
            variant="outlined",
            disabled=not state.get_state("failed"),
        )
        buttons.btn("reset", label="Reset", on_click=self.on_reset, variant="outlined")
        ticks = {"tickformat": ",d"} if state.get_state("tallest") > _MAX_UNIT_TICKS else {"dtick": 1}
        panel.plot(
            "histogram",
            height=320,
            layout={**_LAYOUT, "xaxis": _axis("Memorability"), "yaxis": _axis("Samples", **ticks)},
            on_click=self.on_bar,
            on_selected=self.on_box,
        )
        classes = state.get_state("classes")
        if classes:
            _menu(panel, "class_field", classes, "Mean by class of", self.on_class_field)
            panel.plot(
                "means",
                height=320,
                layout={
                    **_LAYOUT,
                    "dragmode": False,
                    "xaxis": {"type": "category", "automargin": True},  # otherwise Plotly takes "10" for a number
                    "yaxis": _axis("Mean memorability"),
                },
            )
            panel.md(
                f"At most the {MAX_CLASSES} largest classes; a sample counts once in each of its classes.", name="note"
            )
        panel.md(state.get_state("provenance"), name="provenance_text")

    def _refresh(self, ctx: Any) -> None:
        try:
            self._recompute(ctx)
            ctx.panel.set_state("problem", None)
        except Exception as error:  # a panel that raises shows nothing
            _logger.exception("the memorability panel failed")
            message = escape_markdown(f"{type(error).__name__}: {error}")
            ctx.panel.set_state("problem", f"### The statistics could not be computed\n\n{message}")

    def _recompute(self, ctx: Any) -> None:
        fields = sortable_fields(ctx.view) if ctx.view is not None else []
        field = _chosen(ctx, "field", fields)
        objects = sorted(scored_label_fields(ctx.view)) if ctx.view is not None and field is None else []
        ctx.panel.set_state({"fields": fields, "objects": objects})
        if field is None:
            return
        found = distribution(ctx.view, field)
        classes = list(class_paths(ctx.view))
        class_field = _chosen(ctx, "class_field", classes)
        ctx.panel.set_state(
            {
                "statistics": _statistics(found),
                "failed": found.failed,
                "edges": list(found.edges),
                "tallest": max(found.counts, default=0),
                "classes": classes,
                "provenance": escape_markdown(describe_provenance(ctx.view, field)),
            }
        )
        ctx.panel.set_data("histogram", [_bars(found)])
        if class_field is not None:
            ctx.panel.set_data("means", [_class_bar_trace(means_by_class(ctx.view, field, class_field))])

    def _filter(self, ctx: Any, low: float, high: float) -> None:
        last = ctx.panel.get_state("edges")[-1]
        ctx.ops.set_view(bin_view(ctx.view, ctx.panel.get_state("field"), low, high, last=last))


def _chosen(ctx: Any, name: str, values: list[str]) -> str | None:
    """The value of a menu: the one chosen, or the first value if that no longer exists.

    A choice is written by its own event only. The App answers a change of the state or the layout with events that
    still have the previous state: if they wrote it, they would undo the choice, endlessly.
    """
    chosen = ctx.panel.get_state(name)
    if chosen in values:
        return str(chosen)
    first = next(iter(values), None)
    ctx.panel.set_state(name, first)
    return first


def _menu(panel: Any, name: str, values: list[str], label: str, on_change: Any) -> None:
    """A menu that shows the first value until another is chosen; a constant default keeps the layout constant."""
    view = types.DropdownView()
    for value in values:
        view.add_choice(value, label=value)
    panel.enum(f"{name}_menu", view.values(), label=label, default=values[0], view=view, on_change=on_change)


def _axis(title: str, **options: Any) -> dict[str, Any]:
    return {"title": {"text": title}, "automargin": True, **options}


def _statistics(found: Distribution) -> str:
    lower, median, upper = (format_score(value) for value in found.quartiles)
    return (
        f"**{found.scored:,}** of {found.total:,} scored · **{found.failed:,}** failed · "
        f"mean **{format_score(found.mean)}** · quartiles {lower} · {median} · {upper}"
    )


def _bars(found: Distribution) -> dict[str, Any]:
    bins = list(itertools.pairwise(found.edges))
    return {
        "type": "bar",
        "x": _pad([low for low, _ in bins], MAX_BINS),
        "y": _pad(found.counts, MAX_BINS),
        "width": _pad([high - low for low, high in bins], MAX_BINS),
        "text": _pad([f"{low:g} to {high:g}" for low, high in bins], MAX_BINS),
        "textposition": "none",
        "offset": 0,
        "marker": {"color": _BAR_COLOR, "line": {"width": 1, "color": "rgba(0, 0, 0, 0.4)"}},
        "hovertemplate": "%{text}: %{y:,} samples<extra></extra>",
    }


def _class_bar_trace(means: list[tuple[str, float, int]]) -> dict[str, Any]:
    return {
        "type": "bar",
        "x": _pad([html.escape(name) for name, _, _ in means], MAX_CLASSES),  # Plotly reads some HTML in names
        "y": _pad([mean for _, mean, _ in means], MAX_CLASSES),
        "text": _pad([f"n = {count:,}" for _, _, count in means], MAX_CLASSES),
        "marker": {"color": _BAR_COLOR},
        "hovertemplate": "%{x}: %{y:.3f} (%{text})<extra></extra>",
    }


def _pad(values: Iterable[Any], length: int) -> list[Any]:
    """Pad with None to a length: the App keeps old values beyond the end of a shorter list."""
    found = list(values)
    return found + [None] * (length - len(found))
