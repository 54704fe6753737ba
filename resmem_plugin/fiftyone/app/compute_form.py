"""The form of the operator `compute_memorability`: its inputs, and a preview of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fiftyone.operators import types

from resmem_plugin.core.engines.loading import expected_images_per_s
from resmem_plugin.core.engines.resolve import DEVICES, PRECISIONS, Choice, choose
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.scoring.options import ScorerOptions
from resmem_plugin.fiftyone.app.text import escape_markdown, format_duration
from resmem_plugin.fiftyone.app.widgets import block_form, dropdown, mark_invalid
from resmem_plugin.fiftyone.dataset.fields import ScoreField, ScoreWriter
from resmem_plugin.fiftyone.dataset.foreign import find_foreign
from resmem_plugin.fiftyone.dataset.plan import Plan
from resmem_plugin.fiftyone.dataset.samples import image_samples
from resmem_plugin.fiftyone.dataset.schema import DEFAULT_FIELD, label_fields, score_fields

_WHOLE_IMAGES = "whole images"
_MIN_TIMED = 100
"""Images that the last run must have scored for its speed to be used as an estimate."""


@dataclass(frozen=True, kw_only=True)
class FormParams:
    """The values of the form, with defaults for empty inputs.

    Attributes:
        memorability_field: the field to store the scores in.
        patches_field: the label field whose patches are scored; None: whole images.
        overwrite: recompute existing scores.
        options: device, precision, batch size and workers.
    """

    memorability_field: str
    patches_field: str | None
    overwrite: bool
    options: ScorerOptions

    @classmethod
    def of(cls, params: dict[str, Any]) -> FormParams:
        """The values in an operator's `ctx.params`.

        Raises:
            OptionError: for a value of the wrong kind.
        """
        patches_field = params.get("patches_field") or None
        advanced = params if params.get("advanced") in (True, None) else {}  # what the switch hides does not count
        return cls(
            memorability_field=params.get("memorability_field") or DEFAULT_FIELD,
            patches_field=None if patches_field == _WHOLE_IMAGES else patches_field,
            overwrite=_parse_bool("overwrite", params.get("overwrite")),
            options=ScorerOptions(
                device=advanced.get("device") or "auto",
                precision=advanced.get("precision") or "auto",
                batch_size=advanced.get("batch_size") or None,
                num_workers=advanced.get("num_workers") or None,
            ),
        )


def add_inputs(ctx: Any, inputs: Any, samples: Any) -> None:
    """Add the inputs for scoring these samples, and the preview."""
    field = inputs.str(
        "memorability_field",
        label="Memorability field",
        default=DEFAULT_FIELD,
        description="The field to store the scores in (0 to 1). Errors are stored in <field>_error",
    )
    patches = _add_patches_field(inputs, samples)
    overwrite = inputs.bool(
        "overwrite", label="Overwrite", default=False, description="Recompute the scores of samples that have one"
    )
    inputs.bool(
        "advanced",
        label="Advanced",
        default=False,
        description="Choose device, precision, batch size and workers",
    )
    device = _add_advanced(inputs) if ctx.params.get("advanced") else None
    _add_preview(ctx, inputs, samples, _Marked(field, patches, device, overwrite))


def _add_advanced(inputs: Any) -> Any:
    """Add what few need; returns the input for the device."""
    device = dropdown(inputs, "device", DEVICES, {"auto": "auto (GPU if available)"}, default="auto", label="Device")
    dropdown(
        inputs,
        "precision",
        PRECISIONS,
        {
            "auto": "auto (fp16 on CUDA, else fp32)",
            "bf16": "bf16 (fast on CPUs with AVX-512 BF16 or AMX; changes scores by at most 0.0045)",
            "int8": "int8 (fastest on CPUs; calibrated once on a sample; changes scores by 0.006 on average)",
        },
        default="auto",
        label="Precision",
    )
    inputs.int(
        "batch_size", label="Batch size", min=1, description="Images per forward pass. Default: fastest on the device"
    )
    inputs.int("num_workers", label="Workers", min=1, description="Images decoded at once. Default: one per core")
    return device


def _add_patches_field(inputs: Any, samples: Any) -> Any:
    """Ask what to score: whole images or a label field; of a view of patches, which of them."""
    fields = label_fields(samples)
    if not fields:
        return None
    if samples._is_patches:
        return dropdown(
            inputs,
            "patches_field",
            fields,
            default=fields[0] if len(fields) == 1 else None,
            label="What to score",
            description="This view shows objects: the objects of this label field are scored, not whole images",
        )
    return dropdown(
        inputs,
        "patches_field",
        [_WHOLE_IMAGES, *fields],
        default=_WHOLE_IMAGES,
        label="What to score",
        description="Whole images, or the patches of a label field",
    )


@dataclass(frozen=True)
class _Marked:
    """The inputs that are marked if they are invalid."""

    field: Any
    patches: Any
    device: Any
    overwrite: Any


def _add_preview(ctx: Any, inputs: Any, samples: Any, marked: _Marked) -> None:
    """Show how many samples will be scored and in what time, or mark the input that is invalid."""
    try:
        params = FormParams.of(ctx.params)
    except OptionError as error:
        return mark_invalid(marked.overwrite, str(error))
    try:
        collection, patches_field = image_samples(samples, params.patches_field)
    except OptionError as error:
        if samples._is_patches and marked.patches is not None and params.patches_field is None:
            return mark_invalid(marked.patches, str(error))
        return block_form(inputs, "These samples cannot be scored", escape_markdown(str(error)))
    try:
        plan = Plan.of(collection, params.memorability_field, patches_field)
    except OptionError as error:
        return mark_invalid(marked.field, str(error))
    try:
        chosen = choose(device=params.options.device, precision=params.options.precision)
    except OptionError as error:
        if marked.device is None:
            return block_form(inputs, "This device or precision cannot be used", escape_markdown(str(error)))
        return mark_invalid(marked.device, str(error))
    try:
        plan.check(params.options, overwrite=params.overwrite)
    except OptionError as error:
        return mark_invalid(marked.overwrite, str(error))
    total, scored = plan.count()
    stored = plan.writer.target.count()
    foreign = find_foreign(plan.writer.target, stored)
    if foreign and scored and not params.overwrite:
        text = escape_markdown(foreign.describe(plan.writer.target, stored))
        inputs.view("foreign", types.Warning(label="Some scores came from elsewhere", description=text))
    pending = total if params.overwrite else total - scored
    rate = _estimate_images_per_s(plan.writer, chosen)
    what = "images" if patches_field is None else f"objects of {escape_markdown(patches_field)}"
    inputs.view(
        "plan",
        types.Notice(
            label=f"{pending:,} of {total:,} {what} will be scored; "
            f"{scored:,} already {'has' if scored == 1 else 'have'} a score"
            + (f". Estimated time on this machine: {format_duration(pending / rate)}" if rate and pending else "")
        ),
    )
    return None


def _estimate_images_per_s(writer: ScoreWriter, chosen: Choice) -> float | None:
    """The speed of the last run in this dataset, of objects or of images, or an estimate from this CPU's FLOPS.

    None on a GPU without such a run.
    """
    device = chosen.device.partition(":")[0]
    timed = []
    for path in score_fields(writer.target.dataset):
        field = ScoreField(writer.target.dataset, path)
        report, known = field.run_report or {}, field.provenance
        if known is None or report.get("state") != "complete" or report["scored"] < _MIN_TIMED:
            continue
        same = (known.engine, known.precision, known.device or device) == (chosen.engine, chosen.precision, device)
        if same and known.exif_transpose == (writer.patches_field is not None) and report["elapsed_s"] > 1:
            timed.append((report["when"], report["scored"] / report["elapsed_s"]))
    return float(max(timed)[1]) if timed else expected_images_per_s(chosen)


def _parse_bool(name: str, value: Any) -> bool:
    if value not in (True, False, None):
        raise OptionError(f"{name} must be True or False, not {value!r}")
    return bool(value)
