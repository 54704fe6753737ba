"""The form of the operator `compute_memorability`: its inputs, and what the answers come to."""

from __future__ import annotations

from typing import Any

from fiftyone.operators import types

from resmem_plugin.core.engines.base import ExpectedEngine
from resmem_plugin.core.engines.loading import expected_images_per_s
from resmem_plugin.core.engines.resolve import DEVICES, PRECISIONS, Choice, choose
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.network.weights import find_weights
from resmem_plugin.core.provenance import Provenance
from resmem_plugin.core.scoring.options import ScorerOptions, provenance_of
from resmem_plugin.fiftyone.app.text import duration, plain
from resmem_plugin.fiftyone.app.widgets import block, choice, refuse
from resmem_plugin.fiftyone.dataset.fields import ScoreWriter
from resmem_plugin.fiftyone.dataset.samples import count_of, images_of
from resmem_plugin.fiftyone.dataset.schema import DEFAULT_FIELD, label_fields, label_root

_WHOLE = "whole images"
_MIN_TIMED = 100
"""Images that a run must have scored for its speed to be taken for the next one's."""


def fill_form(ctx: Any, inputs: Any, samples: Any) -> None:
    """Add the inputs for scoring these samples, and what they come to."""
    name = inputs.str(
        "memorability_field",
        label="Field for the scores",
        default=DEFAULT_FIELD,
        description="A float field, 0 to 1. Reasons for missing scores go into <field>_error",
    )
    objects = label_fields(samples)
    if objects:
        choice(
            inputs,
            "patches_field",
            [_WHOLE, *objects],
            default=_WHOLE,
            label="What to score",
            description="Whole images, or each object of a label field, cropped",
        )
    device = choice(inputs, "device", DEVICES, {"auto": "auto (GPU if there is one)"}, default="auto", label="Device")
    choice(
        inputs,
        "precision",
        PRECISIONS,
        {
            "auto": "auto (fp32 on a CPU, fp16 on CUDA)",
            "bf16": "bf16 (faster where the processor has it; scores move by .0045 at most)",
            "int8": "int8 (fastest on a CPU; calibrated on a sample, once; scores move by .006 on average)",
        },
        default="auto",
        label="Precision",
    )
    inputs.int(
        "batch_size", label="Batch size", min=1, description="Images a forward pass; empty: what suits the device"
    )
    inputs.int("num_workers", label="Workers", min=1, description="Images decoded at once; empty: one for each core")
    overwrite = inputs.bool(
        "overwrite",
        label="Overwrite",
        default=False,
        description="Score again what has a score already",
    )
    _plan(ctx, inputs, samples, name, device, overwrite)


def _plan(ctx: Any, inputs: Any, samples: Any, name: Any, device: Any, overwrite: Any) -> None:
    """Say what the answers so far come to, or which of them cannot be."""
    try:
        params = answers(ctx)
    except OptionError as error:
        return refuse(overwrite, str(error))
    try:
        collection, patches_field = images_of(samples, params["patches_field"])
    except OptionError as error:
        return block(inputs, "This cannot be scored", plain(str(error)))
    try:
        writer = ScoreWriter.of(collection, params["memorability_field"], patches_field)
    except OptionError as error:
        return refuse(name, str(error))
    try:
        chosen = choose(device=params["device"], precision=params["precision"])
    except OptionError as error:
        return refuse(device, str(error))
    stored, known = writer.target.count(), writer.target.provenance
    expected = _expected(
        chosen, exif_transpose=patches_field is not None, calibration=known.calibration if known else None
    )
    same = known is not None and known.id == expected.id
    if stored and not same and not params["overwrite"]:
        return refuse(
            overwrite,
            f"{writer.target.path!r} holds {stored:,} scores of another kind "
            f"({f'{known.precision}, provenance {known.id}' if known else 'of unknown provenance'}): tick this to "
            "replace them all, or name another field",
        )
    total, scored = count_of(collection, patches_field), _scored(collection, writer)
    pending = total if params["overwrite"] else total - scored
    rate = _images_per_s(writer, chosen)
    inputs.view(
        "plan",
        types.Notice(
            label=f"{pending:,} of {total:,} {'objects' if patches_field else 'images'} will be scored; "
            f"{scored:,} {'has' if scored == 1 else 'have'} a score already"
            + (f". That takes about {duration(pending / rate)} on this machine" if rate and pending else "")
        ),
    )
    return None


def answers(ctx: Any) -> dict[str, Any]:
    """The form's answers; what was left empty has its default."""
    params = ctx.params
    return {
        "memorability_field": params.get("memorability_field") or DEFAULT_FIELD,
        "patches_field": None if params.get("patches_field") == _WHOLE else params.get("patches_field") or None,
        "overwrite": _yes_or_no("overwrite", params.get("overwrite")),
        "batch_size": params.get("batch_size") or None,
        "num_workers": params.get("num_workers") or None,
        "device": params.get("device") or "auto",
        "precision": params.get("precision") or "auto",
    }


def _images_per_s(writer: ScoreWriter, chosen: Choice) -> float | None:
    """How fast it will go: as the last run in this field did, or as this CPU's arithmetic is; unknown on a GPU."""
    report, known = writer.target.run or {}, writer.target.provenance
    timed = report.get("state") == "complete" and report["scored"] >= _MIN_TIMED and report["elapsed_s"] > 1
    if timed and known is not None and (known.engine, known.precision) == (chosen.engine, chosen.precision):
        return float(report["scored"] / report["elapsed_s"])
    return expected_images_per_s(chosen)


def _expected(chosen: Choice, *, exif_transpose: bool, calibration: str | None) -> Provenance:
    """The provenance that the scores would have: known before the network is loaded. int8 is calibrated as it was."""
    engine = ExpectedEngine(
        name=chosen.engine,
        device_type=chosen.device.partition(":")[0],
        precision=chosen.precision,
        calibration=calibration if chosen.precision == "int8" else None,
        weights=find_weights().sha256,
    )
    return provenance_of(ScorerOptions(exif_transpose=exif_transpose), engine)


def _scored(collection: Any, writer: ScoreWriter) -> int:
    """How many of a collection's images or objects have a score; a field that a view hides counts as none."""
    path = writer.target.path.removeprefix(writer.target.prefix)
    if writer.patches_field is not None:  # a label may be one of a list, or as in a view of patches a field
        path = f"{label_root(collection, writer.patches_field)}.{path.rpartition('.')[2]}"
    return int(collection.count(path)) if collection.has_field(path) else 0


def _yes_or_no(name: str, value: Any) -> bool:
    if value not in (True, False, None):
        raise OptionError(f"{name} must be True or False, not {value!r}")
    return bool(value)
