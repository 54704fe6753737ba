"""The operator `delete_memorability`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.app.widgets import block, choice
from resmem_plugin.fiftyone.dataset.fields import ScoreField
from resmem_plugin.fiftyone.dataset.schema import dataset_of, score_fields


class DeleteMemorability(foo.Operator):
    """Deletes scores, reasons, index and run."""

    @property
    def config(self) -> Any:
        """How the App shows and runs it."""
        return foo.OperatorConfig(
            name="delete_memorability",
            label="Delete memorability",
            description="Delete a field of scores, the reasons beside it, its index and its run",
            icon="delete",
            dynamic=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def __call__(self, samples: Any, memorability_field: str) -> list[str]:
        """Delete a field of scores and all that belongs to it; returns what there was.

        Args:
            samples: the data set, or a view of it.
            memorability_field: the path of the scores in the data set, such as "memorability" or
                "ground_truth.detections.memorability".

        Raises:
            OptionError: if that is no field of memorability.
        """
        fields = score_fields(dataset_of(samples))
        if memorability_field not in fields:
            raise OptionError(
                f"{memorability_field!r} is no field of memorability; there is {', '.join(fields) or 'none'}"
            )
        return ScoreField(dataset_of(samples), memorability_field).delete()

    def resolve_input(self, ctx: Any) -> Any:
        """The form."""
        inputs = types.Object()
        fields = score_fields(ctx.dataset) if ctx.dataset is not None else []
        if not fields:
            block(inputs, "There is nothing to delete", "This data set has no memorability.")
        else:
            choice(inputs, "memorability_field", fields, default=fields[0], label="Memorability field")
            chosen = ctx.params.get("memorability_field") or fields[0]
            if chosen in fields:
                field = ScoreField(ctx.dataset, chosen)
                inputs.view(
                    "warning",
                    types.Warning(
                        label=f"{field.count():,} scores of the whole data set, the reasons beside them, their index "
                        "and their run will be gone. The images stay as they are"
                    ),
                )
        return types.Property(inputs, view=types.PromptView(label="Delete memorability", submit_button_label="Delete"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Delete; returns what there was, under "deleted"."""
        deleted = self(ctx.dataset, ctx.params["memorability_field"])
        ctx.ops.reload_dataset()
        ctx.ops.notify(f"Deleted: {', '.join(deleted)}", variant="success")
        return {"deleted": deleted}
