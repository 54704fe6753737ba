"""The panel: the distribution of memorability in the current view, and views cut from it."""

from __future__ import annotations

import html
import itertools
import logging
from collections.abc import Iterable
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from resmem_plugin.fiftyone.app.text import figure, plain
from resmem_plugin.fiftyone.dataset.distribution import (
    BINS,
    CLASSES_SHOWN,
    Distribution,
    bins_view,
    distribution,
    means_by_class,
    provenance_line,
)
from resmem_plugin.fiftyone.dataset.views import classes_of, scored_objects, sort_view, sortable_fields

_COMPUTE = "@resmem/memorability/compute_memorability"
_COLOUR = "#ff6d04"
_MAX_UNIT_TICKS = 8
"""Samples in the tallest bar up to which the axis counts them one by one: Plotly would write halves."""
_LAYOUT = {
    "margin": {"l": 56, "r": 16, "t": 32, "b": 48},
    "showlegend": False,
    "dragmode": "select",
    "selectdirection": "h",
}

_logger = logging.getLogger(__name__)


class MemorabilityPanel(foo.Panel):
    """Histogram, figures, buttons and classes; it refreshes with the view."""

    @property
    def config(self) -> Any:
        """How the App shows it."""
        return foo.PanelConfig(
            name="memorability_panel",
            label="Memorability",
            help_markdown="How memorable the current view is. Click a bar, or drag over several, to cut the view.",
            surfaces="grid",
            icon="insights",  # FiftyOne shows no icons of a plugin's own on tabs
        )

    def on_load(self, ctx: Any) -> None:
        """Reckon everything for the view that is open."""
        self._refresh(ctx)

    def on_change_view(self, ctx: Any) -> None:
        """Reckon again: the view is another one."""
        self._refresh(ctx)

    def on_change_dataset(self, ctx: Any) -> None:
        """Reckon again: the data set is another one, or was reloaded after scoring."""
        self._refresh(ctx)

    def on_change_group_slice(self, ctx: Any) -> None:
        """Reckon again: another slice's images are shown."""
        self._refresh(ctx)

    def on_change_active_fields(self, ctx: Any) -> None:
        """Reckon again where there were no scores: scoring ends with its field made active."""
        if not ctx.panel.get_state("field"):
            self._refresh(ctx)

    def on_field(self, ctx: Any) -> None:
        """Show another field of memorability."""
        ctx.panel.set_state("field", ctx.params["value"])
        self._refresh(ctx)

    def on_class_field(self, ctx: Any) -> None:
        """Show the means by other classes."""
        ctx.panel.set_state("class_field", ctx.params["value"])
        self._refresh(ctx)

    def on_bar(self, ctx: Any) -> None:
        """Cut the view to a bar."""
        low, high = ctx.params.get("range") or (None, None)
        if low is not None and high is not None:
            self._cut(ctx, low, high)

    def on_box(self, ctx: Any) -> None:
        """Cut the view to the bars of a box; an empty one, as after a click, cuts nothing."""
        edges = ctx.panel.get_state("edges") or []
        numbers = [point["idx"] for point in ctx.params.get("data") or []]
        bars = sorted(number for number in numbers if 0 <= number < len(edges) - 1)
        if bars:
            self._cut(ctx, edges[bars[0]], edges[bars[-1] + 1])

    def on_most(self, ctx: Any) -> None:
        """Sort the view, the most memorable first."""
        ctx.ops.set_view(sort_view(ctx.view, ctx.panel.get_state("field")))

    def on_least(self, ctx: Any) -> None:
        """Sort the view, the least memorable first."""
        ctx.ops.set_view(sort_view(ctx.view, ctx.panel.get_state("field"), most_memorable_first=False))

    def on_failed(self, ctx: Any) -> None:
        """Show what could not be scored."""
        reasons = f"{ctx.panel.get_state('field')}_error"
        if ctx.view.has_field(reasons):
            ctx.ops.set_view(ctx.view.exists(reasons))

    def on_reset(self, ctx: Any) -> None:
        """Show everything again: the data set, or all of its patches or frames."""
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
            told = (
                f"The objects of {plain(' and '.join(objects))} are scored: open their patches (the button with the "
                "squares, above the grid), and their distribution shows here."
                if objects
                else "Score this data set, and its distribution shows here."
            )
            panel.md(f"### No memorability yet\n\n{told}", name="empty")
            panel.btn("compute", label="Compute memorability", on_click=self.on_compute, variant="contained")
        else:
            self._render(panel, state)
        return types.Property(panel)

    def _render(self, panel: Any, state: Any) -> None:
        if len(state.get_state("fields")) > 1:
            _menu(panel, "field", state.get_state("fields"), "Field", self.on_field)
        panel.md(state.get_state("figures"), name="figures_text")
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
                    "xaxis": {"type": "category", "automargin": True},  # for Plotly takes "10" for a number
                    "yaxis": _axis("Mean memorability"),
                },
            )
            panel.md(
                f"The {CLASSES_SHOWN} largest classes at most; a sample counts once in each of its own.", name="note"
            )
        panel.md(state.get_state("provenance"), name="provenance_text")

    def _refresh(self, ctx: Any) -> None:
        try:
            self._recompute(ctx)
            ctx.panel.set_state("problem", None)
        except Exception as error:  # a panel that raises shows nothing at all
            _logger.exception("the memorability panel failed")
            told = plain(f"{type(error).__name__}: {error}")
            ctx.panel.set_state("problem", f"### This could not be reckoned\n\n{told}")

    def _recompute(self, ctx: Any) -> None:
        fields = sortable_fields(ctx.view) if ctx.view is not None else []
        field = _chosen(ctx, "field", fields)
        objects = sorted(scored_objects(ctx.view)) if ctx.view is not None and field is None else []
        ctx.panel.set_state({"fields": fields, "objects": objects})
        if field is None:
            return
        found = distribution(ctx.view, field)
        classes = list(classes_of(ctx.view))
        class_field = _chosen(ctx, "class_field", classes)
        ctx.panel.set_state(
            {
                "figures": _figures(found),
                "failed": found.failed,
                "edges": list(found.edges),
                "tallest": max(found.counts, default=0),
                "classes": classes,
                "provenance": plain(provenance_line(ctx.view, field)),
            }
        )
        ctx.panel.set_data("histogram", [_bars(found)])
        if class_field is not None:
            ctx.panel.set_data("means", [_class_bars(means_by_class(ctx.view, field, class_field))])

    def _cut(self, ctx: Any, low: float, high: float) -> None:
        last = ctx.panel.get_state("edges")[-1]
        ctx.ops.set_view(bins_view(ctx.view, ctx.panel.get_state("field"), low, high, last=last))


def _chosen(ctx: Any, name: str, values: list[str]) -> str | None:
    """What a menu is set to: what was chosen, or the first value where that is no longer one.

    A choice is written by its own event only. The App answers a change of the state or the layout with events that
    still bring the state from before: if they wrote that, they would undo the choice, and so on for ever.
    """
    chosen = ctx.panel.get_state(name)
    if chosen in values:
        return str(chosen)
    first = next(iter(values), None)
    ctx.panel.set_state(name, first)
    return first


def _menu(panel: Any, name: str, values: list[str], label: str, on_change: Any) -> None:
    """A menu that shows the first value until another is chosen; its default stays, for so does the layout then."""
    view = types.DropdownView()
    for value in values:
        view.add_choice(value, label=value)
    panel.enum(f"{name}_menu", view.values(), label=label, default=values[0], view=view, on_change=on_change)


def _axis(title: str, **options: Any) -> dict[str, Any]:
    return {"title": {"text": title}, "automargin": True, **options}


def _figures(found: Distribution) -> str:
    lower, median, upper = (figure(value) for value in found.quartiles)
    return (
        f"**{found.scored:,}** of {found.total:,} scored · **{found.failed:,}** failed · "
        f"mean **{figure(found.mean)}** · quartiles {lower} · {median} · {upper}"
    )


def _bars(found: Distribution) -> dict[str, Any]:
    bins = list(itertools.pairwise(found.edges))
    return {
        "type": "bar",
        "x": _filled([low for low, _ in bins], BINS),
        "y": _filled(found.counts, BINS),
        "width": _filled([high - low for low, high in bins], BINS),
        "text": _filled([f"{low:g} to {high:g}" for low, high in bins], BINS),
        "textposition": "none",
        "offset": 0,
        "marker": {"color": _COLOUR, "line": {"width": 1, "color": "rgba(0, 0, 0, 0.4)"}},
        "hovertemplate": "%{text}: %{y:,} samples<extra></extra>",
    }


def _class_bars(means: list[tuple[str, float, int]]) -> dict[str, Any]:
    return {
        "type": "bar",
        "x": _filled([html.escape(name) for name, _, _ in means], CLASSES_SHOWN),  # Plotly reads some HTML in names
        "y": _filled([mean for _, mean, _ in means], CLASSES_SHOWN),
        "text": _filled([f"n = {count:,}" for _, _, count in means], CLASSES_SHOWN),
        "marker": {"color": _COLOUR},
        "hovertemplate": "%{x}: %{y:.3f} (%{text})<extra></extra>",
    }


def _filled(values: Iterable[Any], length: int) -> list[Any]:
    """The values, and None to that length: the App keeps what was there beyond the end of a shorter list."""
    found = list(values)
    return found + [None] * (length - len(found))
