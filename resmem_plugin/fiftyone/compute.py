"""`compute_memorability`: score a FiftyOne collection and write the scores into it as they come."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import fiftyone as fo

from resmem_plugin.core.engines.calibration import sample_of
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.scoring.options import ScorerOptions
from resmem_plugin.core.scoring.progress import reporting
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.fiftyone.dataset.fields import ScoreWriter
from resmem_plugin.fiftyone.dataset.run import ScoringRun, Summary
from resmem_plugin.fiftyone.dataset.samples import images_of
from resmem_plugin.fiftyone.dataset.schema import DEFAULT_FIELD, dataset_images, dataset_of

if TYPE_CHECKING:
    from resmem_plugin.core.cache.scores import CacheOption
    from resmem_plugin.core.scoring.progress import ProgressOption


def compute_memorability(
    samples: Any,
    memorability_field: str = DEFAULT_FIELD,
    *,
    patches_field: str | None = None,
    overwrite: bool = False,
    batch_size: int | None = None,
    num_workers: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    skip_failures: bool = True,
    progress: ProgressOption = None,
    cache: CacheOption = None,
    scorer: Scorer | None = None,
) -> Summary:
    """Compute the memorability of images, or of the objects in them, and store it in a field.

    Scores are written as they come: an interrupted call that is made again goes on where it stopped. What the same
    provenance scored before is left alone; what failed before is tried again.

    Args:
        samples: a data set or view of images. All image slices of a grouped one are scored; `select_group_slices`
            chooses. Of a video, `to_frames()` gives the images. A view of patches stands for its objects.
        memorability_field: name of the float field, 0 to 1, None where there is no score. The reasons go into
            `<memorability_field>_error`, the provenance into the field's info and into a custom run.
        patches_field: a field of Detections, Detection, Polylines or Polyline: score each of these objects, cropped
            from its upright picture, instead of the whole image, into an attribute of that name of its label.
        overwrite: score again what has a score, whatever produced it.
        batch_size: images a forward pass; None: what suits the device.
        num_workers: images decoded at once, in threads; None: one for each core.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto" (fp16 on CUDA, else fp32), "fp32", "bf16", "fp16" or "int8", which is calibrated as the
            field's scores were, or on a sample of the data set's images.
        skip_failures: go on after an image that cannot be scored.
        progress: a bar (True), none (False), one on a terminal unless `fo.config.show_progress_bars` is off (None), or
            a function called with a `Progress`.
        cache: keep scores, and take those that were kept, whatever data set or file they come from; as for `Scorer`.
        scorer: a `Scorer` of yours, instead of device, precision, batch_size, num_workers and cache.

    Returns:
        How many were scored, were scored already, failed, and the range of the scores.

    Raises:
        OptionError: for a collection without images, a name that cannot be, an option that cannot be had, or a field
            whose scores come from elsewhere and `overwrite` is off.
        WeightsError: if the weights cannot be had. Nothing is changed then.
        ScoringError: if the model fails, or with `skip_failures=False` at an image; what was scored is stored.
    """
    computation = prepare(
        samples,
        memorability_field,
        patches_field=patches_field,
        overwrite=overwrite,
        batch_size=batch_size,
        num_workers=num_workers,
        device=device,
        precision=precision,
        skip_failures=skip_failures,
        cache=cache,
        scorer=scorer,
    )
    if progress is None and not fo.config.show_progress_bars:
        progress = False
    with reporting(progress, computation.pending) as report, contextlib.closing(computation.run()) as failures:
        for is_failure in failures:
            report(is_failure)
    return computation.summary


def prepare(
    samples: Any,
    memorability_field: str,
    *,
    patches_field: str | None,
    overwrite: bool,
    batch_size: int | None,
    num_workers: int | None,
    device: str,
    precision: str,
    skip_failures: bool,
    cache: CacheOption = None,
    scorer: Scorer | None = None,
) -> ScoringRun:
    """Check everything, then load the network; changes nothing. For arguments and errors see `compute_memorability`."""
    dataset_of(samples).reload()  # another process may have scored since it was loaded
    samples, patches_field = images_of(samples, patches_field)
    writer = ScoreWriter.of(samples, memorability_field, patches_field)
    options = ScorerOptions(
        device=device, precision=precision, batch_size=batch_size, num_workers=num_workers, cache=cache
    )
    if scorer is None:
        calibration = _calibration(samples, writer, anew=overwrite) if precision == "int8" else None
        scorer = Scorer.of(replace(options, exif_transpose=patches_field is not None, calibration=calibration))
    else:
        options.check_unused()
        if patches_field is not None and not scorer.provenance.exif_transpose:
            raise OptionError("boxes are relative to the upright image: give a Scorer(exif_transpose=True)")
    return ScoringRun(samples, writer, scorer, overwrite=overwrite, skip_failures=skip_failures)


def _calibration(samples: Any, writer: ScoreWriter, *, anew: bool) -> Sequence[object] | str:
    """What int8 is calibrated on: what the field's scores were, or a sample of the data set's images."""
    known = None if anew else writer.target.provenance
    if known is not None and known.calibration:
        return known.calibration
    return sample_of(dataset_images(samples).values("filepath"))[0]
