"""The operator `select_by_memorability`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.core.utils import to_slug
from fiftyone.operators import types

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.app.text import escape_markdown, format_count
from resmem_plugin.fiftyone.app.widgets import (
    add_score_field,
    block_form,
    dropdown,
    guard_form,
    mark_invalid,
    radio_buttons,
)
from resmem_plugin.fiftyone.dataset.schema import root_dataset
from resmem_plugin.fiftyone.dataset.views import Which, class_paths, select_view

_SELECTIONS = {"top": "Most memorable", "bottom": "Least memorable"}
_AMOUNTS = {"count": "A number", "percent": "A percentage", "range": "A range of scores"}
_NO_CLASS_FIELD = "all together"
_RESULTS = {"view": "Show them", "saved_view": "Save them as a view", "tag": "Tag them"}


class SelectByMemorability(foo.Operator):
    """Selects the most or least memorable as a view, a saved view or a tag."""

    @property
    def config(self) -> Any:
        """How the App shows and runs it."""
        return foo.OperatorConfig(
            name="select_by_memorability",
            label="Select by memorability",
            description="The most or least memorable, or a range of scores, as a view, a saved view or a tag",
            icon="filter_list",
            dynamic=True,
            risk_level=types.RiskLevel.LOW,
        )

    def __call__(
        self,
        samples: Any,
        memorability_field: str | None = None,
        *,
        which: Which = "top",
        count: int | None = None,
        percent: float | None = None,
        low: float | None = None,
        high: float | None = None,
        class_field: str | None = None,
        saved_view: str | None = None,
        tag: str | None = None,
    ) -> Any:
        """Select from a collection.

        Args:
            samples: a dataset or view that has been scored.
            memorability_field: the memorability field; None: the default one.
            which: "top", the most memorable first, or "bottom".
            count: how many.
            percent: percentage of the samples with a score, above 0 to 100.
            low: the lowest score to include.
            high: the highest score to include.
            class_field: select `count` or `percent` per class of this label or string field.
            saved_view: save the view under this name.
            tag: add this tag to its samples.

        Returns:
            The view.

        Raises:
            OptionError: for a field that does not exist, invalid limits, or a saved view that exists.

        Examples:
            >>> import fiftyone as fo
            >>> from resmem_plugin.fiftyone import compute_memorability
            >>> from resmem_plugin.fiftyone.app.select import SelectByMemorability
            >>> dataset = fo.Dataset.from_images(["rocket.jpg", "coffee.png", "chelsea.png"], progress=False)
            >>> _ = compute_memorability(dataset)
            >>> view = SelectByMemorability()(dataset, count=2, tag="memorable")
            >>> [round(score, 2) for score in view.values("memorability")]
            [0.88, 0.84]
            >>> dataset.count_sample_tags()
            {'memorable': 2}
        """
        view = select_view(
            samples,
            memorability_field,
            which=which,
            count=count,
            percent=percent,
            low=low,
            high=high,
            class_field=class_field,
        )
        if saved_view is not None:
            problem = _saved_view_name_error(root_dataset(samples), saved_view)
            if problem:
                raise OptionError(problem)
            root_dataset(samples).save_view(saved_view, view)
        if tag is not None:
            tag_all = view.tag_labels if view._is_patches else view.tag_samples  # patches are not persistent
            tag_all(tag.strip())
        return view

    def resolve_input(self, ctx: Any) -> Any:
        """The form."""
        inputs = types.Object()
        guard_form(inputs, lambda: self._form(ctx, inputs))
        return types.Property(
            inputs, view=types.PromptView(label="Select by memorability", submit_button_label="Select")
        )

    def _form(self, ctx: Any, inputs: Any) -> None:
        if not add_score_field(ctx, inputs):
            return None
        inputs.view_target(ctx, action_description="Select from")
        samples = ctx.target_view()
        radio_buttons(inputs, "which", _SELECTIONS, default="top", label="Select the")
        amount = ctx.params.get("amount", "count")
        radio_buttons(inputs, "amount", _AMOUNTS, default="count", label="How many")
        if amount == "count":
            inputs.int("count", default=100, min=1, label=_what(samples).capitalize() + "s")
        elif amount == "percent":
            inputs.float("percent", default=10, min=0, max=100, label=f"Percent of the {_what(samples)}s with a score")
        else:
            inputs.float("low", default=0.0, min=0, max=1, label="Memorability from")
            inputs.float("high", default=1.0, min=0, max=1, label="to")
        classes = class_paths(samples)
        if classes and amount != "range":
            dropdown(
                inputs, "class_field", [_NO_CLASS_FIELD, *classes], default=_NO_CLASS_FIELD, label="From each class of"
            )
        radio_buttons(inputs, "result", _RESULTS, default="view", label="Then")
        result = ctx.params.get("result", "view")
        name = None
        if result != "view":
            name = inputs.str("name", label="Name" if result == "saved_view" else "Tag")
            given = str(ctx.params.get("name") or "").strip()
            problem = _saved_view_name_error(ctx.dataset, given) if result == "saved_view" and given else None
            if problem or not given:
                return mark_invalid(name, problem or "enter a name")
        try:
            selected = len(select_view(samples, **_selection(ctx)))
        except OptionError as error:
            return block_form(inputs, "This cannot be selected", escape_markdown(str(error)))
        label = f"{selected:,} of {format_count(len(samples), _what(samples))}"
        if result == "saved_view" and (amount == "percent" or _selection(ctx)["class_field"]):
            label += ". The view keeps this number, or these of each class, whatever is scored later"
        inputs.view("plan", types.Notice(label=label))
        return None

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Select, and return the view's stages and size."""
        result, name = ctx.params.get("result", "view"), str(ctx.params.get("name") or "").strip()
        if result not in _RESULTS or (result != "view" and not name):
            raise OptionError(f"result must be one of {', '.join(_RESULTS)}, the last two with a name, not {result!r}")
        view = self(
            ctx.target_view(),
            **_selection(ctx),
            saved_view=name if result == "saved_view" else None,
            tag=name if result == "tag" else None,
        )
        ctx.ops.set_view(view)
        if result == "tag":
            ctx.ops.reload_dataset()
        selected = len(view)
        done = {"view": "selected", "saved_view": f"saved as {name!r}", "tag": f"tagged {name!r}"}[result]
        ctx.ops.notify(f"{format_count(selected, _what(view))} {done}", variant="success")
        return {"view": view._serialize(), "selected": selected}


def _what(samples: Any) -> str:
    """What the collection's samples are, in the singular."""
    return "object" if samples._is_patches else "frame" if samples._is_frames else "sample"


def _saved_view_name_error(dataset: Any, name: str) -> str | None:
    """Why a view cannot be saved under a name: FiftyOne turns it into part of a URL, which may be empty or in use."""
    try:
        slug = to_slug(name)
    except ValueError as error:
        return f"{error}: choose another name"
    existing = [view for view in dataset.list_saved_views() if to_slug(view) == slug]
    return f"there is a saved view {existing[0]!r} already: choose another name, or delete it" if existing else None


def _selection(ctx: Any) -> dict[str, Any]:
    """The form's parameters for `select_view`, without those that another choice has hidden."""
    params = ctx.params
    amount, class_field = params.get("amount", "count"), params.get("class_field")
    if amount not in _AMOUNTS:
        raise OptionError(f"amount must be one of {', '.join(_AMOUNTS)}, not {amount!r}")
    wanted = {"count": ("count",), "percent": ("percent",), "range": ("low", "high")}[amount]
    defaults = {"count": 100, "percent": 10, "low": 0.0, "high": 1.0}
    return {
        "memorability_field": params.get("memorability_field"),
        "which": params.get("which", "top"),
        "class_field": class_field if amount != "range" and class_field != _NO_CLASS_FIELD else None,
        **{name: params[name] if params.get(name) is not None else defaults[name] for name in wanted},
    }
