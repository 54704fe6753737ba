"""Inputs shared by the operators' forms: dropdowns, radio buttons, and forms that cannot be submitted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fiftyone.operators import types

from resmem_plugin.core.errors import ResMemError
from resmem_plugin.fiftyone.app.text import escape_markdown
from resmem_plugin.fiftyone.dataset.views import scored_label_fields, sortable_fields

ICONS = {"light_icon": "/assets/memorability-light.svg", "dark_icon": "/assets/memorability-dark.svg"}

_logger = logging.getLogger(__name__)


def guard_form(inputs: Any, build: Callable[[], None]) -> None:
    """Build a form; an error is shown in it, as FiftyOne would show a stack trace instead of the form."""
    try:
        build()
    except Exception as error:
        known = isinstance(error, ResMemError)
        if not known:
            _logger.exception("a form could not be built")
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        block_form(inputs, "This view cannot be used", escape_markdown(reason))


def block_form(inputs: Any, label: str, reason: str) -> None:
    """Show an error in a form, and keep it from being submitted."""
    inputs.view("blocked", types.Error(label=label, description=reason))
    hidden = inputs.str("cannot_run", view=types.HiddenView())
    mark_invalid(hidden, reason)


def mark_invalid(prop: Any, reason: str) -> None:
    """Mark an input as invalid: the form shows the reason beside it, and cannot be submitted."""
    prop.invalid = True
    prop.error_message = reason


def dropdown(
    inputs: Any, name: str, values: Iterable[str], labels: Mapping[str, str] | None = None, **options: Any
) -> Any:
    """Add a dropdown of these values, shown by their labels."""
    choices = types.DropdownView()
    for value in values:
        choices.add_choice(value, label=(labels or {}).get(value, value))
    return inputs.enum(name, choices.values(), view=choices, **options)


def radio_buttons(inputs: Any, name: str, labels: Mapping[str, str], **options: Any) -> Any:
    """Add radio buttons in a row: value -> label."""
    view = types.RadioGroup(orientation="horizontal")
    for value, label in labels.items():
        view.add_choice(value, label=label)
    return inputs.enum(name, list(labels), view=view, **options)


def add_score_field(ctx: Any, inputs: Any) -> bool:
    """Add a dropdown of the view's memorability fields; without any, block the form and return False."""
    if ctx.dataset is None:
        block_form(inputs, "No dataset is open", "Open a dataset first.")
        return False
    fields = sortable_fields(ctx.view)
    if not fields:
        scored = sorted(scored_label_fields(ctx.view))
        block_form(
            inputs,
            "The samples in this view have no memorability scores",
            f"The patches of {escape_markdown(' and '.join(scored))} have: open a patches view to sort or select them."
            if scored
            else "Compute memorability first.",
        )
        return False
    dropdown(inputs, "memorability_field", fields, default=fields[0], label="Memorability field")
    return True
