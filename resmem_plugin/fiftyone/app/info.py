"""The operator `memorability_info`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from resmem_plugin.fiftyone.app.text import code, figure, plain
from resmem_plugin.fiftyone.dataset.fields import ScoreField
from resmem_plugin.fiftyone.dataset.schema import dataset_of, score_fields


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
        return [_summarize(ScoreField(dataset_of(samples), path)) for path in score_fields(dataset_of(samples))]

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


def _summarize(field: ScoreField) -> dict[str, Any]:
    report = field.run or {}
    return {
        "field": field.path,
        "scored": field.count(),
        "failed": field.count(field.error_path),
        "when": report.get("when"),
        "provenance": None if field.provenance is None else field.provenance.to_record(),
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
