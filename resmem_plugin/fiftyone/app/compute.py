"""The operator `compute_memorability`: a button, its form, a live progress bar, and a summary."""

from __future__ import annotations

import contextlib
import gc
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.constants import ViewTarget

from resmem_plugin.core.errors import ResMemError
from resmem_plugin.fiftyone.app.compute_form import FormParams, add_inputs
from resmem_plugin.fiftyone.app.requirements import missing_requirement
from resmem_plugin.fiftyone.app.text import code_span, escape_markdown, format_duration, format_score
from resmem_plugin.fiftyone.app.widgets import ICONS, block_form, guard_form
from resmem_plugin.fiftyone.dataset.samples import image_samples
from resmem_plugin.fiftyone.dataset.schema import DEFAULT_FIELD, root_dataset

if TYPE_CHECKING:
    from resmem_plugin.fiftyone.dataset.run import ScoringRun

_APP_INTERVAL_S = 0.25
_DELEGATED_INTERVAL_S = 10.0
_WARMUP = 16
"""Images after which the speed is shown: they come in batches."""

_logger = logging.getLogger(__name__)


class ComputeMemorability(foo.Operator):
    """Computes the memorability of images, or of the patches of a label field."""

    @property
    def config(self) -> Any:
        """The operator's configuration."""
        return foo.OperatorConfig(
            name="compute_memorability",
            label="Compute memorability",
            description="Predict the memorability of images, or of the patches of a label field, with ResMem",
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.LOW,
            **ICONS,
        )

    def __call__(
        self,
        samples: Any,
        memorability_field: str = DEFAULT_FIELD,
        *,
        patches_field: str | None = None,
        overwrite: bool = False,
        batch_size: int | None = None,
        num_workers: int | None = None,
        device: str = "auto",
        precision: str = "auto",
        delegate: bool = False,
    ) -> Any:
        """Run the operator from Python; see `resmem_plugin.fiftyone.compute_memorability` for the arguments.

        Args:
            delegate: queue it for `fiftyone delegated launch` instead of running it here.

        Examples:
            >>> import fiftyone as fo
            >>> import fiftyone.operators as foo
            >>> dataset = fo.Dataset.from_images(["coffee.png", "rocket.jpg"], progress=False)
            >>> compute_memorability = foo.get_operator("@resmem/memorability/compute_memorability")
            >>> _ = compute_memorability(dataset, device="cpu")
            >>> [round(score, 2) for score in dataset.values("memorability")]
            [0.88, 0.64]
        """
        params = {
            "memorability_field": memorability_field,
            "patches_field": patches_field,
            "overwrite": overwrite,
            "batch_size": batch_size,
            "num_workers": num_workers,
            "device": device,
            "precision": precision,
        }
        return foo.execute_operator(
            self.uri,
            {
                "dataset": root_dataset(samples),
                "view": image_samples(samples, patches_field)[0].view(),  # all group slices, not only the active one
                "request_delegation": delegate,
            },
            params={name: value for name, value in params.items() if value is not None},
        )

    def resolve_placement(self, ctx: Any) -> Any:  # noqa: ARG002
        """A button above the grid."""
        return types.Placement(
            types.Places.SAMPLES_GRID_SECONDARY_ACTIONS,
            types.Button(
                label="Compute memorability",
                lightIcon=ICONS["light_icon"],
                darkIcon=ICONS["dark_icon"],
                prompt=True,
            ),
        )

    def resolve_input(self, ctx: Any) -> Any:
        """The form."""
        inputs = types.Object()
        form = types.Property(
            inputs, view=types.PromptView(label="Compute memorability", submit_button_label="Compute memorability")
        )
        missing = missing_requirement()
        if ctx.dataset is None:
            block_form(inputs, "No dataset is open", "Open a dataset first.")
        elif missing:
            block_form(inputs, "A requirement is missing", missing)
        else:
            guard_form(inputs, lambda: self._add_inputs(ctx, inputs))
        return form

    def _add_inputs(self, ctx: Any, inputs: Any) -> None:
        inputs.view_target(ctx, action_description="Score")
        add_inputs(ctx, inputs, _target(ctx))

    def execute(self, ctx: Any) -> Iterator[Any]:
        """Score; errors are shown in the App, and raised elsewhere."""
        if ctx.delegated or not _in_app(ctx):
            yield from self._steps(ctx)
            return
        try:
            yield from self._steps(ctx)
        except Exception as error:  # the App would show nothing, and its dialog would stay open
            _logger.exception("compute_memorability failed")
            message = str(error) if isinstance(error, ResMemError) else f"{type(error).__name__}: {error}"
            yield ctx.ops.reload_dataset()
            yield ctx.ops.notify("Memorability could not be computed", variant="error")
            yield _output(
                ctx, types.Error(label="Memorability could not be computed", description=escape_markdown(message))
            )

    def _steps(self, ctx: Any) -> Iterator[Any]:
        from resmem_plugin.fiftyone.compute import prepare

        yield ctx.ops.set_progress(progress=0.0, label="Loading ResMem ...")
        gc.collect()  # closes runs whose browser was closed: FiftyOne drops their generators without closing them
        params = FormParams.of(ctx.params)
        run = prepare(
            _target(ctx),
            params.memorability_field,
            patches_field=params.patches_field,
            overwrite=params.overwrite,
            skip_failures=True,
            options=params.options,
        )
        yield from _score(ctx, run)
        if not ctx.delegated:
            yield from _show_result(ctx, run)


def _target(ctx: Any) -> Any:
    """The collection to score. Selected samples of a group are those of the slice that is shown, and only these."""
    target = ctx.params.get("view_target") or ctx.request_params.get("view_target")
    selected = target in (ViewTarget.SELECTED_SAMPLES, ViewTarget.SELECTED_LABELS)
    return ctx.target_view(require_flat=selected and not ctx.view._is_dynamic_groups)


def _in_app(ctx: Any) -> bool:
    """Whether the App sent the request: it always sends this parameter, Python never does."""
    return "sample_selection_style" in ctx.request_params


def _score(ctx: Any, run: ScoringRun) -> Iterator[Any]:
    start = shown = time.monotonic()
    interval_s = _DELEGATED_INTERVAL_S if ctx.delegated else _APP_INTERVAL_S
    failed = 0
    with contextlib.closing(run.run()) as failures:
        for done, is_failure in enumerate(failures, start=1):
            failed += is_failure
            now = time.monotonic()
            if now - shown < interval_s and done < run.pending:
                continue
            shown = now
            rate = done / (now - start)
            label = f"{done:,} of {run.pending:,}, {failed:,} failed"
            if done >= _WARMUP or done == run.pending:
                label += f", {rate:.1f} {'images' if run.patches_field is None else 'objects'}/s"
            if _WARMUP <= done < run.pending:
                label += f", about {format_duration((run.pending - done) / rate)} left"
            progress = {"progress": done / run.pending, "label": label}
            if ctx.delegated:
                ctx.set_progress(**progress)
            else:
                run.flush()  # the browser may be closed, which drops this generator: see `_steps`
                yield ctx.ops.set_progress(**progress)


def _show_result(ctx: Any, run: ScoringRun) -> Iterator[Any]:
    """Show the scores in the App, and a summary."""
    summary = run.summary
    if ctx.view._is_patches:
        ctx.view.reload()  # such a view is a copy, which does not have the scores yet
    yield ctx.ops.reload_dataset()
    shown = summary.field.removeprefix("frames.") if ctx.view._is_frames else summary.field
    active = [field for field in ctx.active_fields or [] if field != shown]
    yield ctx.ops.set_active_fields([*active, shown])
    text = (
        f"{summary.scored:,} scored, {summary.failed:,} failed, {summary.skipped:,} already had a score. "
        f"Memorability from {format_score(summary.lowest)} to {format_score(summary.highest)}. "
        f"Time: {format_duration(summary.elapsed_s)}."
    )
    yield ctx.ops.notify(text, variant="warning" if summary.failed else "success")
    label = f"Scores are stored in the field {escape_markdown(summary.field)}"
    if run.patches_field is not None:
        text += (
            f" To see them, open the patches of {escape_markdown(run.patches_field)}, or click the eye beside "
            f"{escape_markdown(shown.rpartition('.')[2])}, under the label field in the sidebar."
        )
    if not summary.failed:
        yield _output(ctx, types.Success(label=label, description=text))
        return
    failures = "\n".join(f"- {code_span(failure)}" for failure in run.first_failures)
    more = "\n- ..." if summary.failed > len(run.first_failures) else ""
    hint = f"All errors are in the field {code_span(run.field.error_path)}."
    if "." not in summary.field:
        hint += " To view these samples, click Failed in the Memorability panel."
    yield _output(
        ctx,
        types.Warning(label=label, description=text),
        f"**Failed**\n\n{failures}{more}\n\n{hint}",
    )


def _output(ctx: Any, view: Any, text: str | None = None) -> Any:
    outputs = types.Object()
    outputs.view("summary", view)
    if text:
        outputs.md(text, name="failures")
    return ctx.ops.show_output(types.Property(outputs).to_json(), {})
