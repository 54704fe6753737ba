"""`compute_memorability`: score a FiftyOne collection and write the scores into it as they come."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import fiftyone as fo

from resmem_plugin.core.engines.calibration import sample_of
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.scoring.options import ScorerOptions
from resmem_plugin.core.scoring.progress import reporting
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.fiftyone.dataset.fields import ScoreWriter
from resmem_plugin.fiftyone.dataset.plan import Plan
from resmem_plugin.fiftyone.dataset.run import ScoringRun, Summary
from resmem_plugin.fiftyone.dataset.schema import DEFAULT_FIELD, all_images, root_dataset

if TYPE_CHECKING:
    from resmem_plugin.core.cache.scores import CacheOption
    from resmem_plugin.core.scoring.progress import ProgressOption
    from resmem_plugin.distributed.scorer import ClusterScorer
    from resmem_plugin.distributed.workers import Cluster


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
    distributed: Literal["ray", "dask"] | Cluster | None = None,
) -> Summary:
    """Compute the memorability of images, or of the patches of a label field, and store it in a field.

    Scores are written as they come, so an interrupted call can be repeated to continue where it stopped. Samples that
    already have a score of the same provenance are skipped; those that failed before are tried again.

    Args:
        samples: a dataset or view of images. Of grouped datasets all image slices are scored; `select_group_slices`
            selects some. Videos are scored by frame, as `to_frames()`. Of a patches view the patches are scored.
        memorability_field: the name of the float field to store the scores in, 0 to 1, or None without a score. Errors
            are stored in `<memorability_field>_error`, the provenance in the field's info and in a custom run.
        patches_field: a Detections, Detection, Polylines or Polyline field: score each of its patches, cropped from
            the upright image, instead of the whole image, and store the score in an attribute of the label.
        overwrite: recompute existing scores, whatever their provenance.
        batch_size: images per forward pass; None: what is fastest on the device.
        num_workers: images decoded at once, in threads; None: one per core.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto" (fp16 on CUDA, else fp32), "fp32", "bf16", "fp16" or "int8", which is calibrated on the same
            images as the scores in the field, or on a sample of the images in the dataset.
        skip_failures: continue after images that cannot be scored.
        progress: True for a progress bar, False for none, None for one on a terminal if
            `fo.config.show_progress_bars` is set, or a function that is called with a `Progress`.
        cache: reuse the scores of earlier runs, of any dataset or file, and keep new ones; see `Scorer`.
        scorer: a `Scorer`, instead of device, precision, batch_size, num_workers and cache.
        distributed: score on a cluster: "ray" or "dask" on this machine, or a running
            `resmem_plugin.distributed.workers.Cluster`. This process reads the dataset and writes the scores; the
            workers must see the images by the same paths.

    Returns:
        A `Summary`: the numbers of scored, skipped and failed samples, and the range of the scores.

    Raises:
        OptionError: for a collection without images, an invalid field name, an option that is not available on this
            machine, or a field with scores of another provenance without `overwrite`.
        WeightsError: if the weights cannot be loaded. Nothing is changed then.
        ScoringError: if the model fails, or with `skip_failures=False` an image; earlier scores are stored.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone import compute_memorability
        >>> dataset = fo.Dataset()
        >>> _ = dataset.add_samples([fo.Sample(filepath=path) for path in ("coffee.png", "chelsea.png", "rocket.jpg")])
        >>> summary = compute_memorability(dataset, device="cpu")
        >>> summary.scored, summary.failed
        (3, 0)
        >>> [round(score, 2) for score in dataset.values("memorability")]
        [0.88, 0.84, 0.64]
    """
    run = prepare(
        samples,
        memorability_field,
        patches_field=patches_field,
        overwrite=overwrite,
        skip_failures=skip_failures,
        options=ScorerOptions(
            device=device, precision=precision, batch_size=batch_size, num_workers=num_workers, cache=cache
        ),
        scorer=scorer,
        distributed=distributed,
    )
    if progress is None and not fo.config.show_progress_bars:
        progress = False
    return finish(run, progress)


def finish(run: ScoringRun, progress: ProgressOption) -> Summary:
    """Run what `prepare` returned to its end."""
    with reporting(progress, run.pending) as report, contextlib.closing(run.run()) as failures:
        for is_failure in failures:
            report(is_failure)
    return run.summary


def prepare(
    samples: Any,
    memorability_field: str,
    *,
    patches_field: str | None,
    overwrite: bool,
    skip_failures: bool,
    options: ScorerOptions,
    scorer: Scorer | None = None,
    distributed: Literal["ray", "dask"] | Cluster | None = None,
) -> ScoringRun:
    """Check all arguments and load the network; changes nothing. See `compute_memorability`."""
    root_dataset(samples).reload()  # another process may have scored since it was loaded
    plan = Plan.of(samples, memorability_field, patches_field)
    samples, patches_field, writer = plan.samples, plan.patches_field, plan.writer
    if scorer is None:
        plan.check(options, overwrite=overwrite)
        calibration = _calibration(samples, writer, overwrite=overwrite) if options.precision == "int8" else None
        scorer = Scorer.of(
            replace(
                options,
                exif_transpose=patches_field is not None,
                calibration=calibration,
                processes=None if distributed is None else True,  # a file that kills its decoder costs no worker
            )
        )
    else:
        options.check_unused()
        if patches_field is not None and not scorer.provenance.exif_transpose:
            raise OptionError("bounding boxes are relative to the upright image: use Scorer(exif_transpose=True)")
    runner = scorer if distributed is None else _on_cluster(scorer, distributed)
    return ScoringRun(samples, writer, runner, overwrite=overwrite, skip_failures=skip_failures)


def _on_cluster(scorer: Scorer, distributed: Literal["ray", "dask"] | Cluster) -> ClusterScorer:
    from resmem_plugin.distributed.scorer import ClusterScorer
    from resmem_plugin.distributed.workers import Cluster

    return ClusterScorer(Cluster(distributed) if isinstance(distributed, str) else distributed, scorer)


def _calibration(samples: Any, writer: ScoreWriter, *, overwrite: bool) -> Sequence[object] | str:
    """The calibration of the field's scores, or a sample of the images in the dataset."""
    known = None if overwrite else writer.target.provenance
    if known is not None and known.calibration:
        return known.calibration
    return sample_of(all_images(samples).values("filepath"))[0]
