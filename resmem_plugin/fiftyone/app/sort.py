"""The operator `sort_by_memorability`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from resmem_plugin.fiftyone.app.widgets import add_score_field, guard_form, radio_buttons
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
            description="Sort the current view by memorability; samples without a score come last",
            icon="sort",
            dynamic=True,
            risk_level=types.RiskLevel.LOW,
        )

    def __call__(
        self, samples: Any, memorability_field: str | None = None, *, most_memorable_first: bool = True
    ) -> Any:
        """Sort a collection by memorability; samples without a score come last.

        Args:
            samples: a dataset or view that has been scored.
            memorability_field: the memorability field; None: the default one.
            most_memorable_first: False: the least memorable first.

        Returns:
            The sorted view.

        Raises:
            OptionError: if there is no such field.

        Examples:
            >>> import fiftyone as fo
            >>> from resmem_plugin.fiftyone import compute_memorability
            >>> from resmem_plugin.fiftyone.app.sort import SortByMemorability
            >>> dataset = fo.Dataset.from_images(["rocket.jpg", "coffee.png"], progress=False)
            >>> _ = compute_memorability(dataset)
            >>> view = SortByMemorability()(dataset)
            >>> [round(score, 2) for score in view.values("memorability")]
            [0.88, 0.64]
        """
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
        guard_form(inputs, lambda: self._form(ctx, inputs))
        return types.Property(inputs, view=types.PromptView(label="Sort by memorability", submit_button_label="Sort"))

    def _form(self, ctx: Any, inputs: Any) -> None:
        if add_score_field(ctx, inputs):
            radio_buttons(inputs, "order", _ORDERS, default="most", label="Order")

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Show the sorted view, and return its stages."""
        most_first = ctx.params.get("order", "most") != "least"
        view = self(ctx.view, ctx.params.get("memorability_field"), most_memorable_first=most_first)
        ctx.ops.set_view(view)
        return {"view": view._serialize()}
