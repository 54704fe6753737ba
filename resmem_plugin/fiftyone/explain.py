"""`compute_explanations`: heatmaps of what in images raises and lowers their scores."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fiftyone as fo

from resmem_plugin.core.errors import FailedImagesWarning, OptionError, warn
from resmem_plugin.core.scoring.progress import ProgressOption, reporting
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.explain import explain_into
from resmem_plugin.explain.saliency import check_options
from resmem_plugin.fiftyone.dataset.explanations import ExplanationField
from resmem_plugin.fiftyone.dataset.samples import image_samples
from resmem_plugin.fiftyone.dataset.schema import root_dataset

DEFAULT_EXPLANATION = "explanation"


@dataclass
class ExplanationSummary:
    """What a run has done.

    Attributes:
        fields: the fields of heatmaps: of what raises the score, and of what lowers it.
        folder: the folder of their files.
        explained: samples that were explained.
        skipped: samples that had maps already.
        errors: of the samples that could not be explained, by file path.

    Examples:
        >>> from resmem_plugin.fiftyone import ExplanationSummary
        >>> ExplanationSummary(["a_raises", "a_lowers"], "maps", explained=2, errors={"c.jpg": "it is empty"}).failed
        1
    """

    fields: list[str]
    folder: str
    explained: int = 0
    skipped: int = 0
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """How many samples could not be explained."""
        return len(self.errors)


def compute_explanations(
    samples: Any,
    explanation_field: str = DEFAULT_EXPLANATION,
    *,
    method: str = "occlusion",
    baseline: str = "blurred",
    passes: int | None = None,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    limit: float | None = None,
    overwrite: bool = False,
    progress: ProgressOption = None,
    scorer: Scorer | None = None,
) -> ExplanationSummary:
    """Explain the scores of images, by heatmaps that the App lays over them.

    Maps are written as they come, so an interrupted call can be repeated to continue where it stopped. Samples that
    have maps are skipped. `DeleteMemorability` or `delete_explanations` removes fields and files.

    Args:
        samples: a dataset or view of images; of grouped datasets all image slices.
        explanation_field: two fields of `fo.Heatmap` are written: `<explanation_field>_raises`, of what raises the
            score, and `<explanation_field>_lowers`. Their attribute `limit` is what the strongest colour stands for,
            in units of the score.
        method: as for `resmem_plugin.explain.explain`; so are `baseline`, `passes` and `seed`.
        baseline: see `method`.
        passes: see `method`.
        seed: see `method`.
        folder: of the files: the heatmaps, and the maps themselves (.npz). None: one in the user's data folder. The
            dataset names it in the fields' info.
        limit: the value in units of the score that is drawn in full colour; None: the strongest of each map.
        overwrite: explain samples anew that have maps.
        progress: True for a progress bar, False for none, None for one on a terminal if
            `fo.config.show_progress_bars` is set, or a function that is called with a `Progress`.
        scorer: whose network is explained; None: `Scorer()`.

    Raises:
        OptionError: for a collection without images or of patches or frames, an invalid field name, or fields with
            maps that were made otherwise.

    Warns:
        FailedImagesWarning: once, if images could not be explained.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone import compute_explanations, delete_explanations
        >>> dataset = fo.Dataset.from_images(["chelsea.png"], progress=False)
        >>> summary = compute_explanations(dataset, method="layer_cam", folder="maps")
        >>> summary.fields, summary.explained
        (['explanation_raises', 'explanation_lowers'], 1)
        >>> dataset.first()["explanation_raises"].range
        [0.0, 255.0]
        >>> delete_explanations(dataset)
        ['field explanation_raises', 'field explanation_lowers', '4 files']
    """
    if progress is None and not fo.config.show_progress_bars:
        progress = False
    run = ExplanationRun.of(
        samples,
        explanation_field,
        method=method,
        baseline=baseline,
        passes=passes,
        seed=seed,
        folder=folder,
        limit=limit,
        overwrite=overwrite,
        scorer=scorer,
    )
    with reporting(progress, len(run.pending)) as report, contextlib.closing(run.steps()) as failures:
        for is_failure in failures:
            report(is_failure)
    if run.summary.errors:
        path, reason = next(iter(run.summary.errors.items()))
        warn(
            f"{run.summary.failed} of {len(run.pending)} images could not be explained; the first: {path}: {reason}",
            FailedImagesWarning,
        )
    return run.summary


def delete_explanations(samples: Any, explanation_field: str = DEFAULT_EXPLANATION) -> list[str]:
    """Delete the heatmaps of a dataset, and their files.

    Files of a dataset that this one was cloned from are left alone.

    Raises:
        OptionError: if there are none of this name.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone import compute_explanations, delete_explanations
        >>> dataset = fo.Dataset.from_images(["chelsea.png"], progress=False)
        >>> _ = compute_explanations(dataset, method="layer_cam", folder="deleted")
        >>> delete_explanations(dataset)[:2]
        ['field explanation_raises', 'field explanation_lowers']
    """
    found = ExplanationField(root_dataset(samples), explanation_field)
    if found.info is None:
        raise OptionError(f"{found.dataset.name!r} has no explanations {explanation_field!r}")
    return found.delete()


@dataclass(frozen=True)
class ExplanationRun:
    """A run before its first image: what is to be explained, and where the maps go.

    Attributes:
        field: the fields of heatmaps.
        pending: ids and file paths of what is to be explained.
        summary: filled by `steps`.
    """

    field: ExplanationField
    pending: list[tuple[str, str]]
    summary: ExplanationSummary
    _options: dict[str, Any]
    _limit: float | None

    @staticmethod
    def of(
        samples: Any,
        name: str,
        *,
        method: str,
        baseline: str,
        passes: int | None,
        seed: int,
        folder: str | os.PathLike[str] | None,
        limit: float | None,
        overwrite: bool,
        scorer: Scorer | None,
    ) -> ExplanationRun:
        """Check all arguments, and load the network; changes nothing. See `compute_explanations`.

        Raises:
            OptionError: for arguments that do not fit.
        """
        dataset = root_dataset(samples)
        dataset.reload()
        count = check_options(method, baseline, passes)
        if limit is not None and not limit > 0:
            raise OptionError(f"limit must be above 0, not {limit!r}")
        images, patches_field = image_samples(samples, None)
        if patches_field is not None or samples._is_frames:
            raise OptionError("whole images are explained, no patches and no frames: open the images themselves")
        target = ExplanationField(dataset, name)
        target.check()
        known = target.info
        wanted = {"method": method, "baseline": baseline, "passes": count, "seed": seed}
        if known is not None and {key: known[key] for key in wanted} != wanted and not overwrite:
            made = ", ".join(f"{key} {known[key]}" for key in wanted)
            raise OptionError(f"{name!r} holds maps made otherwise ({made}): choose another name, or overwrite them")
        there = target.labelled()
        chosen = list(zip(*images.values(["id", "filepath"]), strict=True))
        if known is not None and overwrite and there - {id_ for id_, _ in chosen}:
            others = len(there - {id_ for id_, _ in chosen})
            raise OptionError(
                f"{others} samples outside of this view have maps in {name!r}, and would be mixed with the new ones: "
                "overwrite the whole dataset, or choose another name"
            )
        pending = [(id_, path) for id_, path in chosen if overwrite or id_ not in there]
        if folder is None:
            folder = known["folder"] if known is not None and target.owns_files else _default_folder(target)
        folder = os.path.abspath(folder)
        summary = ExplanationSummary(target.paths, folder, skipped=len(chosen) - len(pending))
        options = {
            "method": method,
            "baseline": baseline,
            "passes": passes,
            "seed": seed,
            "existing": "overwrite" if overwrite else "resume",
            "scorer": Scorer() if scorer is None else scorer,
        }
        return ExplanationRun(target, pending, summary, options, limit)

    def steps(self) -> Generator[bool, None, None]:
        """Explain one sample after the other; yields whether it failed."""
        summary, folder = self.summary, self.summary.folder
        made = explain_into(folder, [path for _, path in self.pending], **self._options)
        options = {key: self._options[key] for key in ("method", "baseline", "seed")}
        passes = check_options(options["method"], options["baseline"], self._options["passes"])
        provenance = self._options["scorer"].provenance.to_record()
        if self.pending:
            self.field.add_to_schema({**options, "passes": passes, "folder": folder, "provenance": provenance})
        for (id_, path), (stem, explanation) in zip(self.pending, made, strict=True):
            if explanation.ok:
                self.field.write(id_, path, Path(folder, stem), explanation, self._limit)
                summary.explained += 1
            else:
                summary.errors[path] = str(explanation.error)
            yield not explanation.ok


def _default_folder(target: ExplanationField) -> Path:
    import platformdirs  # here, so that the plugin is registered without it

    base = platformdirs.user_data_path("resmem-plugin") / "explanations"
    return base / f"{target.dataset.name}-{target.dataset._doc.id}" / target.name
