"""The operator `explain_memorability`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from resmem_plugin.core.errors import ResMemError
from resmem_plugin.fiftyone.app.text import code_span, escape_markdown, format_count
from resmem_plugin.fiftyone.app.widgets import block_form, dropdown, guard_form

_METHODS = {
    "occlusion": "Occlusion: what hiding a part changes (some 10 s an image on two cores)",
    "integrated_gradients": "Integrated gradients: each pixel's part (some 40 s)",
    "layer_cam": "Layer CAM: the ResNet alone, coarse (1 s)",
}
_BASELINES = {"blurred": "a blur", "mean": "its mean colour", "blank": "gray"}
_MANY = 20
_SHOWN_FAILURES = 5


class ExplainMemorability(foo.Operator):
    """Lays over images what raises and lowers their scores."""

    @property
    def config(self) -> Any:
        """How the App shows and runs it."""
        return foo.OperatorConfig(
            name="explain_memorability",
            label="Explain memorability",
            description="Show what in images raises their memorability score, and what lowers it",
            icon="contrast",
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.LOW,
        )

    def __call__(self, samples: Any, explanation_field: str = "explanation", **options: Any) -> list[str]:
        """Explain; see `resmem_plugin.fiftyone.compute_explanations` for the arguments.

        Returns:
            The fields of heatmaps.

        Examples:
            >>> import fiftyone as fo
            >>> from resmem_plugin.fiftyone.app.explain import ExplainMemorability
            >>> dataset = fo.Dataset.from_images(["rocket.jpg"], progress=False)
            >>> ExplainMemorability()(dataset, method="layer_cam", folder="explained")
            ['explanation_raises', 'explanation_lowers']
        """
        from resmem_plugin.fiftyone.explain import compute_explanations

        return compute_explanations(samples, explanation_field, **options).fields

    def resolve_placement(self, ctx: Any) -> Any:  # noqa: ARG002
        """A button above the grid."""
        button = types.Button(label="Explain memorability", prompt=True, icon="contrast")
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def resolve_input(self, ctx: Any) -> Any:
        """The form."""
        inputs = types.Object()
        guard_form(inputs, lambda: self._form(ctx, inputs))
        view = types.PromptView(label="Explain memorability", submit_button_label="Explain")
        return types.Property(inputs, view=view)

    def _form(self, ctx: Any, inputs: Any) -> None:
        from resmem_plugin.fiftyone.dataset.samples import image_samples

        if ctx.dataset is None:
            block_form(inputs, "No dataset is open", "Open a dataset first.")
            return
        target = _target(ctx)
        if target._is_patches or target._is_frames:
            block_form(inputs, "Whole images are explained", "Open the images themselves, no patches and no frames.")
            return
        count = len(image_samples(target, None)[0])
        if count > _MANY:
            label = (
                f"{format_count(count, 'image')} will be explained: select a few of them first, if that takes too long"
            )
            inputs.view("many", types.Warning(label=label))
        else:
            inputs.view("few", types.Notice(label=f"{format_count(count, 'image')} will be explained"))
        radio = types.RadioGroup()
        for value, label in _METHODS.items():
            radio.add_choice(value, label=label)
        inputs.enum("method", list(_METHODS), view=radio, default="occlusion", label="Method")
        if ctx.params.get("method") != "layer_cam":
            dropdown(inputs, "baseline", _BASELINES, _BASELINES, default="blurred", label="What hides a part")
        inputs.str("explanation_field", default="explanation", required=True, label="Name of the fields")
        inputs.bool("overwrite", default=False, label="Explain again what has maps")

    def execute(self, ctx: Any) -> Iterator[Any]:
        """Explain, and show the maps; errors are shown in the App, and raised elsewhere."""
        try:
            yield from self._steps(ctx)
        except ResMemError as error:
            if "sample_selection_style" not in ctx.request_params:  # Python called it
                raise
            outputs = types.Object()
            outputs.view("summary", types.Error(label="Nothing was explained", description=escape_markdown(str(error))))
            yield ctx.ops.show_output(types.Property(outputs).to_json(), {})

    def _steps(self, ctx: Any) -> Iterator[Any]:
        from resmem_plugin.fiftyone.explain import ExplanationRun

        yield ctx.ops.set_progress(progress=0.0, label="Loading ResMem ...")
        run = ExplanationRun.of(
            _target(ctx),
            ctx.params.get("explanation_field") or "explanation",
            method=ctx.params.get("method") or "occlusion",
            baseline=ctx.params.get("baseline") or "blurred",
            passes=None,
            seed=0,
            folder=None,
            limit=None,
            overwrite=bool(ctx.params.get("overwrite")),
            scorer=None,
        )
        pending = len(run.pending)
        with contextlib.closing(run.steps()) as steps:
            for done, _ in enumerate(steps, start=1):
                progress = {"progress": done / pending, "label": f"{done:,} of {pending:,}"}
                if ctx.delegated:
                    ctx.set_progress(**progress)
                else:
                    yield ctx.ops.set_progress(**progress)
        if ctx.delegated:
            return
        summary = run.summary
        yield ctx.ops.reload_dataset()
        others = [name for name in ctx.active_fields or [] if name not in summary.fields]
        yield ctx.ops.set_active_fields([*others, *summary.fields])
        said = f"{format_count(summary.explained, 'image')} explained, {summary.failed:,} failed, "
        said += f"{summary.skipped:,} had maps already. Open an image to see them."
        view: Any = types.Warning if summary.errors else types.Success
        label = f"{summary.fields[0]} shows what raises the score, {summary.fields[1]} what lowers it"
        outputs = types.Object()
        outputs.view("summary", view(label=escape_markdown(label), description=said))
        if summary.errors:
            shown = list(summary.errors.items())[:_SHOWN_FAILURES]
            outputs.md("\n".join(f"- {code_span(f'{path}: {reason}')}" for path, reason in shown), name="failures")
        yield ctx.ops.show_output(types.Property(outputs).to_json(), {})


def _target(ctx: Any) -> Any:
    """The selected samples, else the one that is open, else the view."""
    chosen = list(ctx.selected or []) or [each for each in [ctx.current_sample] if each]
    return ctx.view.select(chosen) if chosen else ctx.view
