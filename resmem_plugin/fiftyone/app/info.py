"""The operator `memorability_info`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from resmem_plugin.fiftyone.app.text import code_span, escape_markdown, format_score
from resmem_plugin.fiftyone.dataset.fields import ScoreField
from resmem_plugin.fiftyone.dataset.foreign import find_foreign
from resmem_plugin.fiftyone.dataset.schema import root_dataset, score_fields


class MemorabilityInfo(foo.Operator):
    """Reports the provenance, time and number of the scores of a dataset."""

    @property
    def config(self) -> Any:
        """How the App shows and runs it."""
        return foo.OperatorConfig(
            name="memorability_info",
            label="Memorability info",
            description="Provenance, time and number of the scores of this dataset",
            icon="info",
            risk_level=types.RiskLevel.LOW,
        )

    def __call__(self, samples: Any) -> list[dict[str, Any]]:
        """Summarize the scores of a dataset.

        Args:
            samples: the dataset, or a view of it.

        Returns:
            One dict per memorability field: field, scored, failed, when, provenance, report, and caution, which says
            if scores have come from elsewhere, or None.

        Examples:
            >>> import fiftyone as fo
            >>> from resmem_plugin.fiftyone import compute_memorability
            >>> from resmem_plugin.fiftyone.app.info import MemorabilityInfo
            >>> dataset = fo.Dataset.from_images(["rocket.jpg", "missing.jpg"], progress=False)
            >>> _ = compute_memorability(dataset)
            >>> [info] = MemorabilityInfo()(dataset)
            >>> info["field"], info["scored"], info["failed"], info["report"]["state"]
            ('memorability', 1, 1, 'complete')
        """
        return [_summarize(ScoreField(root_dataset(samples), path)) for path in score_fields(root_dataset(samples))]

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Return what `__call__` does, under "fields"."""
        return {"fields": self(ctx.dataset) if ctx.dataset is not None else []}

    def resolve_output(self, ctx: Any) -> Any:
        """The same as Markdown."""
        outputs = types.Object()
        for summary in ctx.results["fields"]:
            outputs.md(_format_summary(summary), name=summary["field"].replace(".", "_"))
        if not ctx.results["fields"]:
            outputs.md("This dataset has no memorability scores yet.", name="none")
        return types.Property(outputs, view=types.View(label="Memorability"))


def _summarize(field: ScoreField) -> dict[str, Any]:
    report, scored = field.run_report or {}, field.count()
    foreign = find_foreign(field, scored)
    return {
        "field": field.path,
        "scored": scored,
        "failed": field.count(field.error_path),
        "when": report.get("when"),
        "provenance": None if field.provenance is None else field.provenance.to_record(),
        "report": report,
        "caution": foreign.describe(field, scored) if foreign else None,
    }


def _format_summary(summary: dict[str, Any]) -> str:
    provenance, report = summary["provenance"] or {}, summary["report"]
    lines = [
        f"### {escape_markdown(summary['field'])}",
        f"**{summary['scored']:,} scored, {summary['failed']:,} failed**",
        "0 is forgettable, 1 memorable. The scores rank the images of this dataset; they are no probabilities.",
    ]
    if summary["caution"]:
        lines.append(f"**Caution**: {escape_markdown(summary['caution'])}")
    if report:
        lines.append(
            f"Last run: {summary['when']} UTC, {escape_markdown(str(report['state']))}, {report['scored']:,} scored, "
            f"{report['failed']:,} failed, from {format_score(report['lowest'])} to {format_score(report['highest'])}"
        )
    if not provenance:
        lines.append("The provenance of these scores is unknown: another tool or `apply_model` wrote them.")
    else:
        lines.append("**Provenance**: scores of another one do not belong in this field")
        lines.append(
            "\n".join(f"- {escape_markdown(name)}: {code_span(str(value))}" for name, value in provenance.items())
        )
    return "\n\n".join(lines)
