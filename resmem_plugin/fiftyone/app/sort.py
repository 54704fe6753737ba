"""The operator `sort_by_memorability`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from resmem_plugin.fiftyone.app.widgets import radio, require_scores
from resmem_plugin.fiftyone.dataset.views import sort_view

_ORDERS = {"most": "Most memorable first", "least": "Least memorable first"}


class SortByMemorability(foo.Operator):
    """Sorts the current view."""

    @property
    def config(self) -> Any:
        """How the App shows and runs it."""
        return foo.OperatorConfig(
            name="sort_by_memorability",
            label="Sort by memorability",
            description="Sort the current view by memorability; what has no score comes last",
            icon="sort",
            dynamic=True,
            risk_level=types.RiskLevel.LOW,
        )

    def __call__(
        self, samples: Any, memorability_field: str | None = None, *, most_memorable_first: bool = True
    ) -> Any:
        """The collection as a view sorted by memorability; what has no score comes last."""
        return sort_view(samples, memorability_field, most_memorable_first=most_memorable_first)

    def resolve_placement(self, ctx: Any) -> Any:  # noqa: ARG002
        """A button above the grid."""
        return types.Placement(
            types.Places.SAMPLES_GRID_SECONDARY_ACTIONS,
            types.Button(label="Sort by memorability", icon="sort", prompt=True),
        )

    def resolve_input(self, ctx: Any) -> Any:
        """The form."""
        inputs = types.Object()
        if require_scores(ctx, inputs):
            inputs.enum(
                "order",
                list(_ORDERS),
                default="most",
                label="Order",
                view=radio(_ORDERS),
            )
        return types.Property(inputs, view=types.PromptView(label="Sort by memorability", submit_button_label="Sort"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Show the sorted view; returns its stages."""
        most_first = ctx.params.get("order", "most") != "least"
        view = self(ctx.view, ctx.params.get("memorability_field"), most_memorable_first=most_first)
        ctx.ops.set_view(view)
        return {"view": view._serialize()}
