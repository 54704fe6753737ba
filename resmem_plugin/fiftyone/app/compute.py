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

from resmem_plugin.core.errors import ResMemError
from resmem_plugin.fiftyone.app.compute_form import answers, fill_form
from resmem_plugin.fiftyone.app.requirements import missing_part
from resmem_plugin.fiftyone.app.text import code, duration, figure, plain
from resmem_plugin.fiftyone.app.widgets import ICONS, block
from resmem_plugin.fiftyone.dataset.samples import images_of
from resmem_plugin.fiftyone.dataset.schema import DEFAULT_FIELD, dataset_of

if TYPE_CHECKING:
    from resmem_plugin.fiftyone.dataset.run import ScoringRun

_SHOWN_EVERY_S = 0.25
_TOLD_EVERY_S = 10.0
_WARMUP = 16
"""Images after which the speed so far means something: they come in batches."""

_logger = logging.getLogger(__name__)


class ComputeMemorability(foo.Operator):
    """Scores the images of a collection, or the objects in them."""

    @property
    def config(self) -> Any:
        """How the App shows and runs it."""
        return foo.OperatorConfig(
            name="compute_memorability",
            label="Compute memorability",
            description="Predict with ResMem how memorable each image, or each object, is",
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
        """
        given = {
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
                "dataset": dataset_of(samples),
                "view": images_of(samples, patches_field)[0].view(),  # all slices of a group, not only the active one
                "request_delegation": delegate,
            },
            params={name: value for name, value in given.items() if value is not None},
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
        missing = missing_part()
        if ctx.dataset is None:
            block(inputs, "No data set is open", "Open a data set first: its images are what is scored.")
        elif missing:
            block(inputs, "Something is missing", missing)
        else:
            inputs.view_target(ctx, action_description="Score", require_flat=True)
            fill_form(ctx, inputs, ctx.target_view(require_flat=True))
        return form

    def execute(self, ctx: Any) -> Iterator[Any]:
        """Score; in the App every error is shown, elsewhere it is raised."""
        if ctx.delegated or not _in_app(ctx):
            yield from self._steps(ctx)
            return
        try:
            yield from self._steps(ctx)
        except Exception as error:  # the App would show nothing, and its dialog would stand still
            _logger.exception("compute_memorability failed")
            told = str(error) if isinstance(error, ResMemError) else f"{type(error).__name__}: {error}"
            yield ctx.ops.reload_dataset()
            yield ctx.ops.notify("Memorability could not be computed", variant="error")
            yield _output(ctx, types.Error(label="Memorability could not be computed", description=plain(told)))

    def _steps(self, ctx: Any) -> Iterator[Any]:
        from resmem_plugin.fiftyone.compute import prepare

        yield ctx.ops.set_progress(progress=0.0, label="Loading ResMem ...")
        gc.collect()  # ends runs whose browser was closed: FiftyOne drops their generators without closing them
        computation = prepare(ctx.target_view(require_flat=True), **answers(ctx), skip_failures=True)
        yield from _score(ctx, computation)
        if not ctx.delegated:
            yield from _conclude(ctx, computation)


def _in_app(ctx: Any) -> bool:
    """Whether the App asks, which always sends this, and not Python."""
    return "sample_selection_style" in ctx.request_params


def _score(ctx: Any, computation: ScoringRun) -> Iterator[Any]:
    began = shown = time.monotonic()
    every = _TOLD_EVERY_S if ctx.delegated else _SHOWN_EVERY_S
    failed = 0
    with contextlib.closing(computation.run()) as failures:
        for done, is_failure in enumerate(failures, start=1):
            failed += is_failure
            now = time.monotonic()
            if now - shown < every and done < computation.pending:
                continue
            shown = now
            rate = done / (now - began)
            label = f"{done:,} of {computation.pending:,}, {failed:,} failed"
            if done >= _WARMUP or done == computation.pending:
                label += f", {rate:.1f} images/s"
            if _WARMUP <= done < computation.pending:
                label += f", about {duration((computation.pending - done) / rate)} left"
            progress = {"progress": done / computation.pending, "label": label}
            if ctx.delegated:
                ctx.set_progress(**progress)
            else:
                computation.flush()  # it may be the last time: see above what becomes of a closed browser's run
                yield ctx.ops.set_progress(**progress)


def _conclude(ctx: Any, computation: ScoringRun) -> Iterator[Any]:
    """Show the scores in the App, and tell what was done."""
    summary = computation.summary
    yield ctx.ops.reload_dataset()
    shown = [field for field in ctx.active_fields or [] if field != summary.field]
    yield ctx.ops.set_active_fields([*shown, summary.field])
    told = (
        f"{summary.scored:,} scored, {summary.failed:,} failed, {summary.skipped:,} had a score already. "
        f"Memorability from {figure(summary.lowest)} to {figure(summary.highest)}, in {duration(summary.elapsed_s)}."
    )
    yield ctx.ops.notify(told, variant="warning" if summary.failed else "success")
    label = f"Memorability is in the field {plain(summary.field)}"
    if not summary.failed:
        yield _output(ctx, types.Success(label=label, description=told))
        return
    failures = "\n".join(f"- {code(failure)}" for failure in computation.first_failures)
    more = "\n- ..." if summary.failed > len(computation.first_failures) else ""
    where = f"{code(computation.field.error_path)} says why for each"
    where += "." if "." in summary.field else "; the Memorability panel's button Failed shows them."
    yield _output(
        ctx,
        types.Warning(label=label, description=told),
        f"**Without a score**\n\n{failures}{more}\n\n{where}",
    )


def _output(ctx: Any, view: Any, text: str | None = None) -> Any:
    outputs = types.Object()
    outputs.view("summary", view)
    if text:
        outputs.md(text, name="failures")
    return ctx.ops.show_output(types.Property(outputs).to_json(), {})
