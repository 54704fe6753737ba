"""The operator `memorability_percentiles`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from resmem_plugin.core.errors import OptionError
from resmem_plugin.curation import Reference
from resmem_plugin.fiftyone.app.text import escape_markdown
from resmem_plugin.fiftyone.app.widgets import add_score_field, guard_form, mark_invalid
from resmem_plugin.fiftyone.percentiles import compute_percentiles


class MemorabilityPercentiles(foo.Operator):
    """Writes the percentiles of scores, among these samples or those of a reference."""

    @property
    def config(self) -> Any:
        """How the App shows and runs it."""
        return foo.OperatorConfig(
            name="memorability_percentiles",
            label="Memorability percentiles",
            description="Write beside each score how many of the others are lower, to color and filter by",
            icon="percent",
            dynamic=True,
            risk_level=types.RiskLevel.LOW,
        )

    def __call__(
        self, samples: Any, memorability_field: str | None = None, *, reference: Any = None, bins: int = 10
    ) -> list[str]:
        """Write percentiles; see `compute_percentiles`.

        Examples:
            >>> import fiftyone as fo
            >>> from resmem_plugin.fiftyone.app.percentiles import MemorabilityPercentiles
            >>> dataset = fo.Dataset()
            >>> _ = dataset.add_samples([fo.Sample(filepath=f"{n}.png", memorability=n / 10) for n in (5, 6)])
            >>> MemorabilityPercentiles()(dataset)
            ['memorability_percentile', 'memorability_bin']
        """
        return compute_percentiles(samples, memorability_field, reference=reference, bins=bins)

    def resolve_input(self, ctx: Any) -> Any:
        """The form."""
        inputs = types.Object()
        guard_form(inputs, lambda: self._form(ctx, inputs))
        return types.Property(
            inputs, view=types.PromptView(label="Memorability percentiles", submit_button_label="Write")
        )

    def _form(self, ctx: Any, inputs: Any) -> None:
        if not add_score_field(ctx, inputs):
            return
        inputs.view_target(ctx, action_description="Compare the scores of")
        inputs.int("bins", default=10, min=2, max=100, label="Bins")
        path = str(ctx.params.get("reference") or "").strip()
        field = inputs.str(
            "reference",
            label="Reference file",
            description="What `resmem reference build` wrote. Without one, these samples are compared with each other",
        )
        if path:
            try:
                found = Reference.load(path)
                label = f"{escape_markdown(found.name)}: {found.count:,} images"
                inputs.view("found", types.Notice(label=label))
            except OptionError as error:
                mark_invalid(field, str(error))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Write, and return the names of the fields, under "fields"."""
        fields = self(
            ctx.target_view(),
            ctx.params.get("memorability_field"),
            reference=str(ctx.params.get("reference") or "").strip() or None,
            bins=ctx.params.get("bins") or 10,
        )
        ctx.ops.reload_dataset()
        ctx.ops.notify(f"Written: {', '.join(fields)}", variant="success")
        return {"fields": fields}
