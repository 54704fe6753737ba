"""What the forms of the operators share: drop-downs, radio buttons, and forms that cannot be submitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fiftyone.operators import types

from resmem_plugin.fiftyone.app.text import plain
from resmem_plugin.fiftyone.dataset.views import scored_objects, sortable_fields

ICONS = {"light_icon": "/assets/memorability-light.svg", "dark_icon": "/assets/memorability-dark.svg"}


def block(inputs: Any, label: str, why: str) -> None:
    """Make a form one that cannot be submitted, and says why."""
    inputs.view("blocked", types.Error(label=label, description=why))
    stop = inputs.str("cannot_run", view=types.HiddenView())
    refuse(stop, why)


def refuse(prop: Any, why: str) -> None:
    """Mark an input as invalid: the form shows why beside it, and cannot be submitted."""
    prop.invalid = True
    prop.error_message = why


def choice(
    inputs: Any, name: str, values: Iterable[str], labels: Mapping[str, str] | None = None, **options: Any
) -> Any:
    """A drop-down of these values, shown by their labels."""
    choices = types.DropdownView()
    for value in values:
        choices.add_choice(value, label=(labels or {}).get(value, value))
    return inputs.enum(name, choices.values(), view=choices, **options)


def score_field_choice(inputs: Any, samples: Any) -> bool:
    """A drop-down of the collection's fields of memorability; if there is none, the form is blocked.

    Returns:
        Whether there is one.
    """
    fields = sortable_fields(samples)
    if not fields:
        objects = sorted(scored_objects(samples))
        block(
            inputs,
            "No image of this view is scored yet",
            f"The objects of {plain(' and '.join(objects))} are: open their patches, and sort or select those."
            if objects
            else "Compute memorability first, with the button of that name.",
        )
        return False
    choice(inputs, "memorability_field", fields, default=fields[0], label="Memorability field")
    return True


def radio(labels: dict[str, str]) -> Any:
    """Radio buttons in a row: value -> label."""
    view = types.RadioGroup(orientation="horizontal")
    for value, label in labels.items():
        view.add_choice(value, label=label)
    return view


def require_scores(ctx: Any, inputs: Any) -> bool:
    """Add a drop-down of the fields of memorability, or block the form; returns whether there is one."""
    if ctx.dataset is None:
        block(inputs, "No dataset is open", "Open a dataset first.")
        return False
    return score_field_choice(inputs, ctx.view)
