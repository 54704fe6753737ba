"""All operators, and those that tell and delete; scoring and views have rooms of their own."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.compute_operator import ComputeMemorability
from resmem_plugin.fiftyone.fields import ScoreField
from resmem_plugin.fiftyone.forms import block, choice, code, figure, plain
from resmem_plugin.fiftyone.schema import dataset_of, score_fields
from resmem_plugin.fiftyone.view_operators import SelectByMemorability, SortByMemorability


class MemorabilityInfo(foo.Operator):
    """Tells what scored a data set, when, and how many."""

    @property
    def config(self) -> Any:
        """How the App shows and runs it."""
        return foo.OperatorConfig(
            name="memorability_info",
            label="Memorability info",
            description="What produced the scores of this data set, when, and how many there are",
            icon="info",
            risk_level=types.RiskLevel.LOW,
        )

    def __call__(self, samples: Any) -> list[dict[str, Any]]:
        """One dict for each field of memorability: field, scored, failed, when, provenance, report."""
        return [_told(ScoreField(dataset_of(samples), path)) for path in score_fields(dataset_of(samples))]

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Returns what `__call__` does, under "fields"."""
        return {"fields": self(ctx.dataset) if ctx.dataset is not None else []}

    def resolve_output(self, ctx: Any) -> Any:
        """The same, to read."""
        outputs = types.Object()
        for told in ctx.results["fields"]:
            outputs.md(_in_words(told), name=told["field"].replace(".", "_"))
        if not ctx.results["fields"]:
            outputs.md("This data set has no memorability yet.", name="none")
        return types.Property(outputs, view=types.View(label="Memorability"))


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


OPERATORS = (ComputeMemorability, SortByMemorability, SelectByMemorability, MemorabilityInfo, DeleteMemorability)


def _told(field: ScoreField) -> dict[str, Any]:
    report = field.run or {}
    return {
        "field": field.path,
        "scored": field.count(),
        "failed": field.count(field.error_path),
        "when": report.get("when"),
        "provenance": field.provenance,
        "report": report,
    }


def _in_words(told: dict[str, Any]) -> str:
    provenance, report = told["provenance"] or {}, told["report"]
    lines = [f"### {plain(told['field'])}", f"{told['scored']:,} scored, {told['failed']:,} failed"]
    if report:
        lines.append(
            f"Last run: {told['when']} UTC, {plain(str(report['state']))}, {report['scored']:,} scored, "
            f"{report['failed']:,} failed, from {figure(report['lowest'])} to {figure(report['highest'])}"
        )
    if not provenance:
        lines.append("What produced these scores is not known: another tool wrote them, or `apply_model`.")
    lines.append("\n".join(f"- {plain(name)}: {code(str(value))}" for name, value in provenance.items()))
    return "\n\n".join(lines)
