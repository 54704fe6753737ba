"""The operator `fine_tune_memorability`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.app.text import code_span
from resmem_plugin.fiftyone.app.widgets import block_form, dropdown, guard_form, mark_invalid, radio_buttons
from resmem_plugin.fiftyone.dataset.views import number_path, number_paths, sortable_fields

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_METHODS = {"head": "The last layer (about as long as scoring)", "full": "The whole network (hours without a GPU)"}
_RESNET = {"frozen": "frozen", "layer4": "its last stage", "all": "all of it"}


class FineTuneMemorability(foo.Operator):
    """Trains ResMem on a field of what was measured."""

    @property
    def config(self) -> Any:
        """How the App shows and runs it."""
        return foo.OperatorConfig(
            name="fine_tune_memorability",
            label="Fine-tune memorability",
            description="Train ResMem on a field of what people remembered, and score with the new weights",
            icon="model_training",
            dynamic=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.LOW,
        )

    def __call__(self, samples: Any, gt_field: str, output: str, **options: Any) -> str:
        """Train; see `resmem_plugin.fiftyone.fine_tune_memorability` for the arguments.

        Returns:
            The weights with their hash.

        Examples:
            >>> import fiftyone as fo
            >>> from resmem_plugin.fiftyone.app.fine_tune import FineTuneMemorability
            >>> dataset = fo.Dataset.from_images(["rocket.jpg", "coffee.png"] * 10, progress=False)
            >>> dataset.set_values("hit_rate", [0.4, 0.9] * 10)
            >>> FineTuneMemorability()(dataset, "hit_rate", "mine.safetensors")[:24]
            'mine.safetensors#sha256='
        """
        from resmem_plugin.fiftyone.fine_tune import fine_tune_memorability

        return fine_tune_memorability(samples, gt_field, output, **options).weights

    def resolve_input(self, ctx: Any) -> Any:
        """The form."""
        inputs = types.Object()
        guard_form(inputs, lambda: self._form(ctx, inputs))
        view = types.PromptView(label="Fine-tune memorability", submit_button_label="Train")
        return types.Property(inputs, view=view)

    def _form(self, ctx: Any, inputs: Any) -> None:
        fields = [] if ctx.dataset is None else _measured_fields(ctx.view)
        if not fields:
            block_form(
                inputs,
                "There is nothing to learn from",
                "Open a dataset with a field of numbers, or of Regression labels, that says how many people remembered "
                "each image, 0 to 1.",
            )
            return
        inputs.view_target(ctx, action_description="Train on")
        only = fields[0] if len(fields) == 1 else None
        field = dropdown(inputs, "gt_field", fields, default=only, required=True, label="What people remembered")
        chosen = ctx.params.get("gt_field") or only
        if chosen in fields:
            samples = ctx.target_view()
            path = number_path(samples, chosen)
            count, (low, high) = samples.count(path), samples.bounds(path)
            if count and not 0 <= low <= high <= 1:
                mark_invalid(field, f"it holds {low:g} to {high:g}, and memorability is 0 to 1")
            elif count < 20:
                mark_invalid(field, f"{count} samples have a value, and 20 are needed at least")
        radio_buttons(inputs, "method", _METHODS, default="head", label="Train")
        if ctx.params.get("method") == "full":
            radio_buttons(inputs, "resnet", _RESNET, default="frozen", label="Of the ResNet-152")
            inputs.int("epochs", default=20, min=1, label="Epochs at most")
            inputs.float("learning_rate", default=1e-4, min=0, label="Learning rate (AdamW)")
            inputs.bool("split_tags", default=False, label="Splits are the tags train, validation and test")
        name = inputs.str(
            "weights_name", required=True, label="Name of the weights", description=f"A file in {_folder()}"
        )
        problem = _name_problem(ctx.params.get("weights_name"))
        if problem:
            mark_invalid(name, problem)
        inputs.str(
            "memorability_field",
            default=f"{chosen}_predicted" if chosen in fields else None,
            label="Score all samples with them into the field",
            description="Leave it empty to score none",
        )

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Train; returns the weights, and the figures before and after as text."""
        from resmem_plugin.fiftyone.fine_tune import fine_tune_memorability

        field, name = ctx.params.get("gt_field"), ctx.params.get("weights_name")
        problem = "choose the field of what people remembered" if not field else _name_problem(name)
        if problem:
            raise OptionError(problem)
        options: dict[str, Any] = {"method": ctx.params.get("method") or "head"}
        if options["method"] == "full":
            given = {name: ctx.params.get(name) for name in ("epochs", "learning_rate", "resnet", "split_tags")}
            options |= {name: value for name, value in given.items() if value is not None}
            options["optimizer"] = "adamw"
        options["memorability_field"] = ctx.params.get("memorability_field") or None
        output = _output(str(name))
        output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        trained = fine_tune_memorability(ctx.target_view(), field, output, progress=False, **options)
        ctx.ops.reload_dataset()
        before = None if trained.before is None else str(trained.before)
        return {"weights": trained.weights, "before": before, "after": str(trained.evaluation)}

    def resolve_output(self, ctx: Any) -> Any:
        """The figures as Markdown."""
        outputs = types.Object()
        results = ctx.results
        outputs.md(f"**Weights** {code_span(results['weights'])}", name="weights")
        if results["before"]:
            outputs.md(f"**Before**\n```\n{results['before']}\n```", name="before")
        outputs.md(f"**Afterwards, on images they were not fitted to**\n```\n{results['after']}\n```", name="after")
        return types.Property(outputs, view=types.View(label="Fine-tuned"))


def _measured_fields(samples: Any) -> list[str]:
    """Fields of numbers that are no scores."""
    scores = set(sortable_fields(samples))
    return [name for name in number_paths(samples) if name not in scores and not name.startswith("metadata")]


def _folder() -> Path:
    """Where the App's weights go: whoever uses a form may choose a name there, and no path on the server."""
    import platformdirs  # here, so that the plugin is registered without it

    return platformdirs.user_data_path("resmem-plugin") / "weights"


def _output(name: str) -> Path:
    return _folder() / f"{name}.safetensors"


def _name_problem(name: str | None) -> str | None:
    """Why weights cannot have this name; None if they can."""
    if not name:
        return "name the weights"
    if not _NAME.fullmatch(name):
        return "use letters, digits, - and _ alone"
    if _output(name).exists():
        return f"there are weights {name!r} already: choose another name"
    return None
