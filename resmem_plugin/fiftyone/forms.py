"""What the plugin's forms share: what this machine lacks, drop-downs, and words for numbers and names."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fiftyone.operators import types

from resmem_plugin.core.errors import ResMemError
from resmem_plugin.core.names import printable
from resmem_plugin.core.weights import find_weights
from resmem_plugin.fiftyone.selection import scored_objects, sortable_fields

ICONS = {"light_icon": "/assets/memorability-light.svg", "dark_icon": "/assets/memorability-dark.svg"}


def missing_part() -> str | None:
    """What this machine lacks to score images, and how to get it; None if nothing is missing."""
    for package in ("torch", "torchvision", "safetensors", "platformdirs", "fsspec"):
        if importlib.util.find_spec(package) is None:
            return (
                f"The package {package} is not installed where FiftyOne runs. Install what the plugin needs, "
                "`fiftyone plugins requirements @resmem/memorability --install`, then restart FiftyOne."
            )
    try:
        find_weights()
    except ResMemError as error:
        return f"{error}. Then restart FiftyOne."
    return None


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


def plain(text: str) -> str:
    """A name or an error for what the App reads as Markdown: in a line, and no link, picture or emphasis in it."""
    return re.sub(r"([\\`*\[\]<>])", r"\\\1", printable(" ".join(text.split())))


def code(text: str) -> str:
    """A name or an error as a code span of Markdown, in a line, cut at 300 characters."""
    line = printable(" ".join(text.replace("`", "'").split()))
    return f"`{line[:300]}`"


def figure(value: float | None) -> str:
    """A memorability in words: three decimals, or a dash."""
    return "–" if value is None else f"{value:.3f}"


def duration(seconds: float) -> str:
    """About how long, for people: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
