"""The form of the operator `select_by_memorability`."""

from __future__ import annotations

import os
from typing import Any

from fiftyone.core.utils import to_slug
from fiftyone.operators import types

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.app.text import escape_markdown, format_count
from resmem_plugin.fiftyone.app.widgets import add_score_field, block_form, dropdown, mark_invalid, radio_buttons
from resmem_plugin.fiftyone.dataset.diverse import embedding_sources
from resmem_plugin.fiftyone.dataset.views import class_paths, select_view

_SELECTIONS = {"top": "Most memorable", "bottom": "Least memorable"}
_AMOUNTS = {"count": "A number", "percent": "A percentage", "range": "A range of scores"}
_NO_CLASS_FIELD = "all together"
RESULTS = {
    "view": "Show them",
    "saved_view": "Save them as a view",
    "tag": "Tag them",
    "paths": "Write their paths to a file",
}
_NAMES = {"saved_view": "Name", "tag": "Tag", "paths": "A new .txt file, on the machine that runs FiftyOne"}
_COMPUTED = "ResMem's, computed now: as slow as scoring"
_NO_TAG = "(no tag)"
_OF_DIVERSITY = ("diversity", "embeddings", "away_from_tag")


def build_select_form(ctx: Any, inputs: Any) -> None:
    """Add the inputs to the form, and how many will be selected."""
    if not add_score_field(ctx, inputs):
        return None
    inputs.view_target(ctx, action_description="Select from")
    samples = ctx.target_view()
    radio_buttons(inputs, "which", _SELECTIONS, default="top", label="Select the")
    amount = ctx.params.get("amount", "count")
    radio_buttons(inputs, "amount", _AMOUNTS, default="count", label="How many")
    if amount == "count":
        inputs.int("count", default=100, min=1, label=noun(samples).capitalize() + "s")
    elif amount == "percent":
        inputs.float("percent", default=10, min=0, max=100, label=f"Percent of the {noun(samples)}s with a score")
    else:
        inputs.float("low", default=0.0, min=0, max=1, label="Memorability from")
        inputs.float("high", default=1.0, min=0, max=1, label="to")
    classes = class_paths(samples)
    if classes and amount != "range":
        dropdown(
            inputs, "class_field", [_NO_CLASS_FIELD, *classes], default=_NO_CLASS_FIELD, label="From each class of"
        )
    diversity = _add_diversity(ctx, inputs, samples) if amount == "count" else 0
    radio_buttons(inputs, "result", RESULTS, default="view", label="Then")
    result = ctx.params.get("result", "view")
    name = None
    if result != "view":
        name = inputs.str("name", label=_NAMES[result])
        given = str(ctx.params.get("name") or "").strip()
        problem = saved_view_name_error(ctx.dataset, given) if result == "saved_view" and given else None
        if result == "paths" and given:
            problem = new_file_error(given)
        if problem or not given:
            return mark_invalid(name, problem or "enter a name")
    try:
        plain = {name: value for name, value in selection_of(ctx).items() if name not in _OF_DIVERSITY}
        selected = len(select_view(samples, **plain))
    except OptionError as error:
        return block_form(inputs, "This cannot be selected", escape_markdown(str(error)))
    label = f"{'At most ' if diversity else ''}{selected:,} of {format_count(len(samples), noun(samples))}"
    if diversity:
        label += ". Near-duplicates are left out for the best of them"
    if result == "saved_view" and (amount == "percent" or selection_of(ctx)["class_field"]):
        label += ". The view keeps this number, or these of each class, whatever is scored later"
    inputs.view("plan", types.Notice(label=label))
    return None


def noun(samples: Any) -> str:
    """What the collection's samples are, in the singular."""
    return "object" if samples._is_patches else "frame" if samples._is_frames else "sample"


def saved_view_name_error(dataset: Any, name: str) -> str | None:
    """Why a view cannot be saved under a name: FiftyOne turns it into part of a URL, which may be empty or in use."""
    try:
        slug = to_slug(name)
    except ValueError as error:
        return f"{error}: choose another name"
    existing = [view for view in dataset.list_saved_views() if to_slug(view) == slug]
    return f"there is a saved view {existing[0]!r} already: choose another name, or delete it" if existing else None


def selection_of(ctx: Any) -> dict[str, Any]:
    """The form's parameters for the operator, without those that another choice has hidden."""
    params = ctx.params
    amount, class_field = params.get("amount", "count"), params.get("class_field")
    if amount not in _AMOUNTS:
        raise OptionError(f"amount must be one of {', '.join(_AMOUNTS)}, not {amount!r}")
    diversity = params.get("diversity") or 0 if amount == "count" else 0
    embeddings, tag = (params.get(name) if diversity else None for name in ("embeddings", "away_from_tag"))
    wanted = {"count": ("count",), "percent": ("percent",), "range": ("low", "high")}[amount]
    defaults = {"count": 100, "percent": 10, "low": 0.0, "high": 1.0}
    return {
        "memorability_field": params.get("memorability_field"),
        "which": params.get("which", "top"),
        "class_field": class_field if amount != "range" and class_field != _NO_CLASS_FIELD else None,
        "diversity": diversity,
        "embeddings": None if embeddings == _COMPUTED else embeddings,
        "away_from_tag": None if tag == _NO_TAG else tag,
        **{name: params[name] if params.get(name) is not None else defaults[name] for name in wanted},
    }


def new_file_error(path: str) -> str | None:
    """Why paths cannot be written to a file."""
    if not path.lower().endswith(".txt"):
        return "name a file that ends in .txt"
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    return f"{path} exists: name another file" if os.path.lexists(path) else None


def _add_diversity(ctx: Any, inputs: Any, samples: Any) -> bool:
    """Add how unlike each other the samples are to be, and if at all, by what; returns whether at all."""
    slider = types.SliderView(label="Diversity", description="0: memorability alone. 1: diversity alone")
    inputs.float("diversity", default=0.0, min=0, max=1, view=slider, label="Diversity")
    if not ctx.params.get("diversity"):
        return False
    computed = [] if samples._is_patches or samples._is_frames else [_COMPUTED]
    sources = [*embedding_sources(samples), *computed]
    if not sources:
        block_form(inputs, "Diverse objects need embeddings", "Compute a field of embeddings of these patches first.")
        return True
    dropdown(inputs, "embeddings", sources, default=sources[0], label="By the embeddings")
    tags = samples.distinct("tags")
    if tags:
        dropdown(inputs, "away_from_tag", [_NO_TAG, *tags], default=_NO_TAG, label="Unlike those tagged")
    return True
