"""The panel's layout, and the data that goes into it."""

from __future__ import annotations

from typing import Any

from fiftyone.operators import types

from resmem_plugin.fiftyone.app.charts import (
    class_height,
    class_layout,
    class_traces,
    histogram_layout,
    histogram_traces,
    split_traces,
)
from resmem_plugin.fiftyone.app.panel_content import PanelContent, active_text, objects_text, statistics_text
from resmem_plugin.fiftyone.app.text import escape_markdown
from resmem_plugin.fiftyone.dataset.class_means import MAX_CLASSES

_NO_SCORES = "### No memorability scores yet\n\nCompute memorability to see its distribution here."


def panel_data(content: PanelContent) -> dict[str, Any]:
    """The values of the layout's properties.

    No property has a default value, and none is an input: the App would write it, together with all of these values,
    into the panel's state, and reload the page without the sidebar's filters.
    """
    data: dict[str, Any] = {
        "problem": f"### The statistics could not be computed\n\n{escape_markdown(content.problem or '')}",
        "empty": "" if content.objects else _NO_SCORES,
        "statistics": statistics_text(content),
        "active": active_text(content),
        "objects": objects_text(content),
        "note": f"The {MAX_CLASSES} largest classes at most. Click a class to see only its {content.unit}; a sample "
        "counts once in each of its classes.",
        "caution": f"**Caution**: {escape_markdown(content.caution)}",
        "provenance": escape_markdown(content.provenance),
    }
    if content.found is not None and content.found.scored:
        bars = histogram_traces(content.found, content.field or "")
        data["histogram"] = [*bars, *split_traces(content.found, content.split)]
    if content.means:
        data["means"] = class_traces(list(content.means), content.class_field or "")
    return data


def panel_layout(panel: Any, content: PanelContent) -> Any:
    """The properties that the App draws, for a panel whose methods handle their events."""
    layout = types.Object()
    if content.problem:
        _markdown(layout, "problem")
        return types.Property(layout)
    _actions(layout, panel, content)
    if content.field is None:
        _markdown(layout, "empty")
    else:
        if len(content.fields) > 1:
            _menu(layout, "field", content.fields, content.field, "Field", content.times_chosen, panel.on_field)
        _markdown(layout, "statistics")
        if content.caution:
            _markdown(layout, "caution")
    _view_buttons(layout, panel, content)
    _markdown(layout, "active")
    if content.found is not None:
        _charts(layout, panel, content)
    if content.objects or content.unscored:
        _markdown(layout, "objects")
        for number, name in enumerate((*content.objects, *content.unscored)):
            buttons = layout.h_stack(f"patches_row_{number}", gap=1)
            _button(buttons, f"patches_{number}", f"Patches of {name}", panel.on_patches, params={"label_field": name})
    if content.field is not None:
        _markdown(layout, "provenance")
    return types.Property(layout)


def _actions(layout: Any, panel: Any, content: PanelContent) -> None:
    buttons = layout.h_stack("actions", gap=1)
    scored = content.field is not None
    _button(buttons, "compute", "Compute memorability", panel.on_compute, active=not scored and not content.objects)
    if scored:
        _button(buttons, "select", "Select", panel.on_select)
    if scored or content.objects:
        _button(buttons, "info", "Info", panel.on_info)
        _button(buttons, "delete", "Delete", panel.on_delete)


def _view_buttons(layout: Any, panel: Any, content: PanelContent) -> None:
    buttons = layout.h_stack("views", gap=1)
    if content.found is not None:
        failed = bool(content.found.failed) or content.failed_only
        _button(buttons, "most", "Most memorable", panel.on_most, active=content.order == "most")
        _button(buttons, "least", "Least memorable", panel.on_least, active=content.order == "least")
        _button(buttons, "failed", "Failed", panel.on_failed, active=content.failed_only, disabled=not failed)
    buttons = layout.h_stack("ways_back", gap=1)  # a row of its own: a row does not wrap in a narrow panel
    _button(buttons, "back", "Back", panel.on_back, disabled=not content.is_cut)
    _button(buttons, "reset", "Reset", panel.on_reset, disabled=not (content.is_cut or content.filtered))


def _charts(layout: Any, panel: Any, content: PanelContent) -> None:
    if content.found is not None and content.found.scored:
        layout.plot(
            "histogram",
            height=260,
            config={"displayModeBar": False, "scrollZoom": False},
            composite_view=True,  # otherwise the App writes a chart that has changed into the state
            layout=histogram_layout(content.found, content.unit.capitalize(), legend=bool(content.split)),
            on_click=panel.on_bar,
            on_selected=panel.on_box,
        )
    if content.class_field is not None:
        values, times = content.class_fields, content.times_chosen
        _menu(layout, "class_field", values, content.class_field, "Mean by class of", times, panel.on_class_field)
    if content.means:
        means = list(content.means)
        layout.plot(
            "means",
            height=class_height(means),
            config={"displayModeBar": False, "scrollZoom": False},
            composite_view=True,  # otherwise the App writes a chart that has changed into the state
            layout=class_layout(means),
            on_click=panel.on_class,
        )
        _markdown(layout, "note")


def _markdown(layout: Any, name: str) -> None:
    layout.str(name, view=types.MarkdownView())


def _menu(layout: Any, name: str, values: tuple[str, ...], shown: str, label: str, times: int, on_change: Any) -> None:
    """A menu that shows a value, and has no place in the panel's state.

    The App keeps what a person last chose in such a menu for as long as its name stays the same: the name changes with
    the value that is shown, and with each choice.
    """
    row = layout.h_stack(f"{name}_row", gap=1, align_y="center")
    row.view("label", types.HeaderView(label=label))
    others = [value for value in values if value != shown]
    menu = types.PillBadgeView(text=[shown, *others], variant="outlined")
    row.str(f"{name}_{times}_{shown.encode().hex()}", view=menu, on_change=on_change)


def _button(buttons: Any, name: str, label: str, on_click: Any, *, active: bool = False, **options: Any) -> None:
    buttons.btn(name, label=label, on_click=on_click, variant="contained" if active else "outlined", **options)
