"""The operator `delete_memorability`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.app.widgets import block_form, dropdown, guard_form, mark_invalid
from resmem_plugin.fiftyone.dataset.explanations import ExplanationField, explanation_fields
from resmem_plugin.fiftyone.dataset.fields import ScoreField
from resmem_plugin.fiftyone.dataset.percentiles import delete_percentiles
from resmem_plugin.fiftyone.dataset.schema import root_dataset, score_fields


class DeleteMemorability(foo.Operator):
    """Deletes scores, errors, index and run; or heatmaps and their files."""

    @property
    def config(self) -> Any:
        """How the App shows and runs it."""
        return foo.OperatorConfig(
            name="delete_memorability",
            label="Delete memorability",
            description="Delete a memorability field, its errors, index and run, or explanations and their files",
            icon="delete",
            dynamic=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def __call__(self, samples: Any, memorability_field: str) -> list[str]:
        """Delete a memorability field with its errors, index and run, or explanations with their files.

        Args:
            samples: the dataset, or a view of it.
            memorability_field: the path of the scores in the dataset, such as "memorability" or
                "ground_truth.detections.memorability"; or the name of explanations.

        Raises:
            OptionError: if that is neither.

        Returns:
            What was deleted.

        Examples:
            >>> import fiftyone as fo
            >>> from resmem_plugin.fiftyone import compute_memorability
            >>> from resmem_plugin.fiftyone.app.delete import DeleteMemorability
            >>> dataset = fo.Dataset.from_images(["rocket.jpg"], progress=False)
            >>> _ = compute_memorability(dataset)
            >>> DeleteMemorability()(dataset, "memorability")
            ['run memorability', 'index memorability', 'field memorability', 'field memorability_error']
        """
        dataset = root_dataset(samples)
        fields, explanations = score_fields(dataset), explanation_fields(dataset)
        if memorability_field in explanations:
            return ExplanationField(dataset, memorability_field).delete()
        if memorability_field not in fields:
            raise OptionError(
                f"{memorability_field!r} is not a memorability field; fields: "
                f"{', '.join([*fields, *explanations]) or 'none'}"
            )
        return [*ScoreField(dataset, memorability_field).delete(), *delete_percentiles(dataset, memorability_field)]

    def resolve_input(self, ctx: Any) -> Any:
        """The form."""
        inputs = types.Object()
        guard_form(inputs, lambda: self._form(ctx, inputs))
        return types.Property(inputs, view=types.PromptView(label="Delete memorability", submit_button_label="Delete"))

    def _form(self, ctx: Any, inputs: Any) -> None:
        explanations = explanation_fields(ctx.dataset) if ctx.dataset is not None else []
        fields = [*score_fields(ctx.dataset), *explanations] if ctx.dataset is not None else []
        if not fields:
            block_form(inputs, "There is nothing to delete", "This dataset has no memorability scores.")
        else:
            only = fields[0] if len(fields) == 1 else None  # of several, none is chosen for the user
            field = dropdown(inputs, "memorability_field", fields, default=only, label="Memorability field")
            chosen = ctx.params.get("memorability_field") or only
            if chosen is None:
                mark_invalid(field, "choose the field to delete")
            if chosen in explanations:
                label = "The heatmaps of the whole dataset and their files will be deleted. The images are not changed"
                inputs.view("warning", types.Warning(label=label))
            elif chosen in fields:
                field = ScoreField(ctx.dataset, chosen)
                inputs.view(
                    "warning",
                    types.Warning(
                        label=f"{field.count():,} scores of the whole dataset, their errors, index and run will be "
                        "deleted. The images are not changed"
                    ),
                )

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Delete, and return what was deleted, under "deleted"."""
        deleted = self(ctx.dataset, ctx.params["memorability_field"])
        if ctx.view._is_patches or ctx.view._is_frames:
            ctx.view.reload()  # such a view is a copy, which still has the scores
        ctx.ops.reload_dataset()
        ctx.ops.notify(f"Deleted: {', '.join(deleted)}", variant="success")
        return {"deleted": deleted}
