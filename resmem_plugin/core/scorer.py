"""`Scorer`: built once, it scores any iterable of images. Every front end goes through it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from resmem_plugin.core import pipeline
from resmem_plugin.core.cache import CacheOption, ScoreCache
from resmem_plugin.core.calibration import read_calibration, sample_of
from resmem_plugin.core.engines.choice import choose
from resmem_plugin.core.engines.loading import callers_engine, load_engine
from resmem_plugin.core.errors import (
    ClippedImagesWarning,
    FailedImagesWarning,
    OptionError,
    ResMemError,
    ScoringError,
    warn,
)
from resmem_plugin.core.images import DecodeMode, ImageReader, describe
from resmem_plugin.core.preprocess import PREPROCESSING_VERSION
from resmem_plugin.core.progress import ProgressOption, reporting
from resmem_plugin.core.references import iterable_of_images, require_files
from resmem_plugin.core.scores import Provenance, Score, package_version
from resmem_plugin.core.weights import find_weights

if TYPE_CHECKING:
    from resmem_plugin.core.engines.base import Engine
    from resmem_plugin.core.engines.pytorch import Model

Errors: TypeAlias = Literal["raise", "coerce"]

_WORKERS_OF_ONE_GIL = 2
_LONG = 32
"""Images a worker from which on it is worth the third of a second that a process of its own takes to start."""


class Scorer:
    """Scores images with ResMem.

    In fp32, the default but for CUDA, scores are upstream's (`resmem` 1.1.6) within 1e-5. They depend neither on the
    batch size nor on an image's neighbours. Scorers that ask for the same network share one copy of it.

    Args:
        device: "auto" (CUDA, then MPS, then the CPU), "cpu", "cuda", "cuda:N" or "mps".
        engine: "auto" (OpenVINO on a CPU where it is installed, else PyTorch), "pytorch" or "openvino".
        precision: "auto" (fp16 on CUDA, else fp32), "fp32", "bf16", "fp16" or "int8". On a CPU bf16 is quick where the
            processor has it (AVX-512 BF16, AMX); elsewhere PyTorch reckons it slowly, and OpenVINO refuses it. fp16
            on a CPU is PyTorch's. int8 is OpenVINO's, on any CPU, and must be calibrated.
        batch_size: images a forward pass; None: what is quickest on the device.
        num_workers: images decoded at once; None: one for each core.
        decode: "exact" (upstream's pixels), or "fast" (large JPEGs are scaled down while they are decoded: scores move
            by up to 0.006; on CUDA the card decodes and resizes JPEGs, by how much is not measured).
        weights: path of the published `model.pt`, or of other weights with their hash, "mine.pt#sha256=0123...".
            None: the path in `RESMEM_WEIGHTS`, then the installed `resmem` distribution.
        model: a network of your own instead of the weights: float images (B, 3, 227, 227) in [0, 1] -> (B, 1). A
            module is copied and put into eval mode.
        cache: keep scores, and take those that were kept: True for a file in the cache folder, or the path of one
            (`.sqlite`); see `ScoreCache`. A network of your own is known by its name, structure and parameters: if you
            change its code, clear the cache.
        exif_transpose: turn images upright by their EXIF orientation, which upstream ignores.
        storage_options: for URLs, passed to fsspec as pandas does: headers for http(s), credentials for s3. They go
            before the limits for http(s) that `RESMEM_TIMEOUT_S` and `RESMEM_MAX_BYTES` set.
        calibration: for int8, about 128 images of the kind to be scored, or the `calibration` in the provenance of
            earlier scores. None: a sample of the first images that this scorer scores. It is done once and kept in the
            cache folder; scores of two calibrations do not belong together.
        processes: decode files in processes of their own instead of threads. Where the network takes thousands of
            images a second Python's threads cannot keep up; and a file that crashes its decoder costs its own row.
            None: on CUDA with more than two workers, from the 33rd image of each on.

    Raises:
        OptionError: for an option that does not exist or cannot be had on this machine.
        WeightsError: if the weights cannot be had.
    """

    def __init__(
        self,
        device: str = "auto",
        engine: str = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
        num_workers: int | None = None,
        decode: DecodeMode = "exact",
        weights: str | os.PathLike[str] | None = None,
        model: Model | None = None,
        cache: CacheOption = None,
        exif_transpose: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        calibration: Iterable[object] | str | None = None,
        processes: bool | None = None,
    ) -> None:
        if model is not None and weights is not None:
            raise OptionError("model and weights exclude each other: a model brings its own weights")
        self.batch_size = _positive("batch_size", batch_size)
        self.num_workers = _positive("num_workers", num_workers) or available_cores()
        if processes not in (None, False, True):
            raise OptionError(f"processes must be True, False or None, not {processes!r}: num_workers says how many")
        self.processes = processes
        self._cache = ScoreCache.of(cache) if cache else None
        self._reader = ImageReader(decode=decode, exif_transpose=exif_transpose, storage_options=storage_options)
        if calibration is not None and precision != "int8":
            raise OptionError("calibration is for precision='int8': leave it out")
        self._calibrating = threading.Lock()
        self._engine: Engine | None = None
        if model is not None:
            if engine not in ("auto", "pytorch"):
                raise OptionError(f"a model of your own runs with PyTorch: leave engine={engine!r} out")
            self._engine = callers_engine(model, choose("pytorch", device, precision))
            if cache and self._engine.weights.startswith("function:"):
                raise OptionError(
                    "nothing tells whether a function is the one whose scores were kept: give an nn.Module, or no cache"
                )
            return
        self._weights, self._choice = find_weights(weights), choose(engine, device, precision)
        if precision != "int8":
            self._engine = load_engine(self._weights, self._choice)
        elif isinstance(calibration, str):
            self._engine = load_engine(self._weights, self._choice, calibration)
        elif calibration is not None:
            self._calibrate(iterable_of_images(calibration))

    def __repr__(self) -> str:
        if self._engine is None:
            return "<Scorer int8, not calibrated yet>"
        return f"<Scorer {self.provenance.id}: {self.provenance}>"

    @property
    def engine(self) -> Engine:
        """What runs the network: for a front end that batches by itself, or wants embeddings.

        Raises:
            OptionError: before int8 has been calibrated.
        """
        if self._engine is None:
            raise OptionError(
                "precision='int8' is calibrated on the first images that are scored, and there were none yet: name "
                "images with Scorer(precision='int8', calibration=...)"
            )
        return self._engine

    @property
    def reader(self) -> ImageReader:
        """What turns references into images: for a front end that decodes by itself."""
        return self._reader

    @property
    def provenance(self) -> Provenance:
        """What produces this scorer's scores.

        Raises:
            OptionError: before int8 has been calibrated.
        """
        return Provenance(
            weights=self.engine.weights,
            preprocessing=PREPROCESSING_VERSION,
            engine=self.engine.name,
            precision=self.engine.precision,
            decode="fast-nvjpeg" if pipeline.jpeg_decoder(self.engine, self.reader) else self.reader.decode,
            exif_transpose=self.reader.exif_transpose,
            package_version=package_version(),
            calibration=self.engine.calibration,
        )

    def score(self, images: Iterable[object], errors: Errors = "raise", progress: ProgressOption = None) -> list[Score]:
        """Score images.

        Args:
            images: paths, fsspec URLs, encoded bytes, PIL images or uint8 arrays, in any mixture.
            errors: "raise" stops at the first image that cannot be scored, having looked for missing local files before
                scoring any; "coerce" gives it a NaN and the reason.
            progress: a bar (True), none (False), one on a terminal (None), or a function called with a `Progress`.

        Returns:
            One `Score` for each image, in the order given.

        Raises:
            ScoringError: with `errors="raise"` at an image, with either if the model fails; its `scores` are those of
                the images before.
        """
        if errors not in ("raise", "coerce"):
            raise OptionError(f"errors must be 'raise' or 'coerce', not {errors!r}")
        listed = list(iterable_of_images(images))
        if errors == "raise":
            require_files(listed)
        scores: list[Score] = []
        with reporting(progress, len(listed)) as report, contextlib.closing(self._run(listed)) as outcomes:
            try:
                for outcome in outcomes:
                    if outcome.error is not None and errors == "raise":
                        message = f"{describe(listed[len(scores)])}: {outcome.error}"
                        raise ScoringError(message, scores) from outcome.error
                    scores.append(_score(len(scores), outcome))
                    report(outcome.error is not None)
            except ResMemError:
                raise
            except Exception as error:  # of the model, the device or the progress callback: keep what there is
                raise ScoringError(
                    f"scoring stopped after {len(scores)} of {len(listed)} images, which this error's `scores` hold: "
                    f"{type(error).__name__}: {error}",
                    scores,
                ) from error
        return scores

    def iter_scores(self, images: Iterable[object]) -> Generator[Score, None, None]:
        """Score images lazily: in order, in bounded memory, whatever the length of the input.

        An image that cannot be scored gives a `Score` with NaN and the reason.
        """
        for index, outcome in enumerate(self._run(iterable_of_images(images))):
            yield _score(index, outcome)

    def _calibrate(self, images: Iterable[object]) -> None:
        with self._calibrating:  # of two threads, the second takes the first one's
            if self._engine is None:
                seen = read_calibration(images, self.reader, self.num_workers)
                self._engine = load_engine(self._weights, self._choice, seen)

    def _processes_after(self) -> int | None:
        if self.processes is None:
            return _LONG if self.engine.ahead and self.num_workers > _WORKERS_OF_ONE_GIL else None
        return 0 if self.processes else None

    def _run(self, images: Iterable[object]) -> Generator[pipeline.Outcome, None, None]:
        if self._engine is None:
            sample, images = sample_of(images)
            if not sample:
                return
            self._calibrate(sample)
        clipped: list[int] = []
        with self._cache.open(self.provenance.id) if self._cache else contextlib.nullcontext() as kept:
            outcomes = pipeline.run(
                images,
                reader=self.reader,
                engine=self.engine,
                batch_size=self.batch_size or self.engine.batch_size,
                num_workers=self.num_workers,
                kept=kept,
                processes_after=self._processes_after(),
            )
            for index, outcome in enumerate(outcomes):
                if kept is not None:
                    kept.tell()
                if outcome.clipped:
                    clipped.append(index)
                yield outcome
        if clipped:
            shown = ", ".join(map(str, clipped[:10])) + (", ..." if len(clipped) > 10 else "")
            warn(
                f"{len(clipped)} image(s) hold values outside 0-255 (16-bit or float): they were clipped, as "
                f"upstream's recipe does, and their scores mean little. Convert them to 8 bits first. Indices: {shown}",
                ClippedImagesWarning,
            )


def score_images(images: Iterable[object], **scorer_options: Any) -> npt.NDArray[np.float32]:
    """Score images with a `Scorer` of these options: float32 array (N,), NaN where an image failed.

    Why an image failed is told by a `FailedImagesWarning` for the first, and for each by `Scorer.score`.
    """
    listed = list(iterable_of_images(images))
    scores = Scorer(**scorer_options).score(listed, errors="coerce")
    warn_of_failures(scores, listed)
    return np.array([score.memorability for score in scores], dtype=np.float32)


def warn_of_failures(scores: Sequence[Score], images: Sequence[object]) -> None:
    """Give one `FailedImagesWarning` for all images that have no score, if there are any."""
    failed = [score for score in scores if score.error is not None]
    if failed:
        warn(
            f"{len(failed)} of {len(scores)} images have no score; the first: "
            f"{describe(images[failed[0].index])}: {failed[0].error}",
            FailedImagesWarning,
        )


def _score(index: int, outcome: pipeline.Outcome) -> Score:
    return Score(index, outcome.memorability, None if outcome.error is None else str(outcome.error))


def _positive(name: str, value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
        raise OptionError(f"{name} must be a whole number from 1, or None, not {value!r}")
    return value


def available_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
