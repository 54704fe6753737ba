"""`Scorer`: built once, it scores any iterable of images. Every front end uses it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from resmem_plugin.core.cache.scores import CacheOption, ScoreCache
from resmem_plugin.core.engines.calibration import read_calibration, sample_of
from resmem_plugin.core.engines.loading import engine_for_model, load_engine, picklable_model
from resmem_plugin.core.engines.resolve import choose
from resmem_plugin.core.errors import OptionError, ResMemError, ScoringError, WeightsCorruptError
from resmem_plugin.core.images.reader import DecodeMode, ImageReader, describe, iterable_of_images, listed_images
from resmem_plugin.core.network.weights import find_weights, parent_of
from resmem_plugin.core.provenance import Provenance
from resmem_plugin.core.scores import Score
from resmem_plugin.core.scoring import pipeline
from resmem_plugin.core.scoring.options import ScorerOptions, available_cores, provenance_of, reader_of
from resmem_plugin.core.scoring.preparation import processes_after
from resmem_plugin.core.scoring.progress import ProgressOption, reporting

if TYPE_CHECKING:
    from resmem_plugin.core.engines.base import Engine
    from resmem_plugin.core.engines.pytorch.engine import Model

Errors: TypeAlias = Literal["raise", "coerce"]


class Scorer:
    """Scores images with ResMem.

    In fp32, the default except on CUDA, scores are upstream's (`resmem` 1.1.6) within 1e-5. They depend neither on the
    batch size nor on the other images in a batch. Scorers with the same network share one copy of it.

    A scorer can be pickled, for workers in other processes: as its options and the hash of its weights, which the
    worker must have too. A network of your own is pickled with it.

    The other arguments are the attributes of `ScorerOptions`, which describes them.

    Args:
        model: a network of your own instead of the weights: float images (B, 3, 227, 227) in [0, 1] -> (B, 1). A
            module is copied and put into eval mode.

    Raises:
        OptionError: for an option that does not exist or is not available on this machine.
        WeightsError: if the weights are not found or damaged.

    Examples:
        >>> from resmem_plugin import Scorer
        >>> scorer = Scorer()
        >>> for score in scorer.iter_scores(["coffee.png", "none.jpg"]):
        ...     print(score.index, round(score.memorability, 2), score.error)
        0 0.88 None
        1 nan no such file: check the path, and the folder that relative paths start from
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
        max_pixels: int | None = None,
        base64: bool = False,
    ) -> None:
        options = ScorerOptions(
            device=device,
            engine=engine,
            precision=precision,
            batch_size=batch_size,
            num_workers=num_workers,
            decode=decode,
            weights=weights,
            cache=cache,
            exif_transpose=exif_transpose,
            storage_options=storage_options,
            calibration=calibration,
            processes=processes,
            max_pixels=max_pixels,
            base64=base64,
        )
        self._set_up(options, model)

    @classmethod
    def of(cls, options: ScorerOptions, model: Model | None = None) -> Scorer:
        """The scorer with these options: `Scorer(**options)`.

        Examples:
            >>> from resmem_plugin import Scorer, ScorerOptions
            >>> Scorer.of(ScorerOptions(batch_size=4)).batch_size
            4
        """
        scorer = cls.__new__(cls)
        scorer._set_up(options, model)
        return scorer

    def _set_up(self, options: ScorerOptions, model: Model | None, weights_id: str | None = None) -> None:
        if model is not None and options.weights is not None:
            raise OptionError("model and weights exclude each other: a model brings its own weights")
        self.options = options
        self.batch_size, self.processes = options.batch_size, options.processes
        self.num_workers = options.num_workers or available_cores()
        self._cache = ScoreCache.of(options.cache) if options.cache else None
        self._reader = reader_of(options)
        self._calibrating = threading.Lock()
        self._engine: Engine | None = None
        self.model: Model | None = None
        self._parent: str | None = None
        if model is not None:
            if options.engine not in ("auto", "pytorch"):
                raise OptionError(f"a model of your own runs with PyTorch: leave engine={options.engine!r} out")
            self._choice = choose("pytorch", options.device, options.precision)
            self._engine = engine = engine_for_model(model, self._choice, weights_id)
            self.model = engine.model
            if options.cache and engine.weights.startswith("function:"):
                raise OptionError("scores of a function cannot be cached, as functions have no hash: give an nn.Module")
            return
        self._weights = find_weights(options.weights)
        if weights_id is not None and weights_id != self._weights.sha256:
            raise WeightsCorruptError(
                f"pickled with the weights {weights_id}, not {self._weights.path}: install the same weights here"
            )
        self._parent = parent_of(self._weights)
        self._choice = choose(options.engine, options.device, options.precision)
        if options.precision != "int8":
            self._engine = load_engine(self._weights, self._choice)
        elif isinstance(options.calibration, str):
            self._engine = load_engine(self._weights, self._choice, options.calibration)
        elif options.calibration is not None:
            self._calibrate(options.calibration)

    def __copy__(self) -> Scorer:
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self))
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        engine = self.engine  # int8 must be calibrated: each process would do so on other images
        options = replace(self.options, precision=engine.precision, calibration=engine.calibration)
        if (options.precision, options.decode) != ("fp32", "exact"):  # where another "auto" would be other scores
            options = replace(options, engine=self._choice.engine, device=self._choice.device)
        model = None if self.model is None else picklable_model(self.model)
        return _unpickle, (type(self), options, engine.weights, model)

    def __repr__(self) -> str:
        if self._engine is None:
            return "<Scorer int8, not calibrated yet>"
        return f"<Scorer {self.provenance.id}: {self.provenance}>"

    @property
    def engine(self) -> Engine:
        """What runs the network: for a front end that batches by itself, or needs embeddings.

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
        return provenance_of(self.options, self.engine, self._parent)

    def score(
        self,
        images: Iterable[object],
        errors: Errors = "raise",
        progress: ProgressOption = None,
        *,
        rows: Sequence[int] | None = None,
    ) -> list[Score]:
        """Score images.

        Args:
            images: paths, fsspec URLs, encoded bytes, PIL images or uint8 arrays, in any mixture.
            errors: "raise" stops at the first image that cannot be scored, and checks before scoring any that local
                files exist; "coerce" gives such an image NaN and the reason.
            progress: a bar (True), none (False), one on a terminal (None), or a function called with a `Progress`.
            rows: the numbers to give the images in warnings. Default: their positions.

        Returns:
            One `Score` for each image, in the order given.

        Raises:
            ScoringError: with `errors="raise"` for an image that cannot be scored, with either if the model fails; its
                `scores` are those of the images before.

        Examples:
            >>> from resmem_plugin import Scorer
            >>> [round(score.memorability, 2) for score in Scorer().score(["coffee.png", "rocket.jpg"])]
            [0.88, 0.64]
        """
        listed = listed_images(images, errors, base64=self.options.base64)
        scores: list[Score] = []
        with reporting(progress, len(listed)) as report, contextlib.closing(self._run(listed, rows)) as outcomes:
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

    def iter_scores(
        self, images: Iterable[object], *, rows: Sequence[int] | None = None
    ) -> Generator[Score, None, None]:
        """Score images lazily: in order, in bounded memory, whatever the length of the input.

        An image that cannot be scored gives a `Score` with NaN and the reason. `rows` are as in `score`.

        Examples:
            >>> from resmem_plugin import Scorer
            >>> [score.ok for score in Scorer().iter_scores(iter(["coffee.png", b"not an image"]))]
            [True, False]
        """
        for index, outcome in enumerate(self._run(iterable_of_images(images), rows)):
            yield _score(index, outcome)

    def _calibrate(self, images: Iterable[object]) -> None:
        with self._calibrating:  # of two threads, the second uses what the first has done
            if self._engine is None:
                pixels = read_calibration(images, self.reader, self.num_workers)
                self._engine = load_engine(self._weights, self._choice, pixels)

    def _run(self, images: Iterable[object], rows: Sequence[int] | None) -> Generator[pipeline.Outcome, None, None]:
        if self._engine is None:
            sample, images = sample_of(images)
            if not sample:
                return
            self._calibrate(sample)
        flawed = pipeline.FlawedImages(rows)
        with self._cache.open(self.provenance.id) if self._cache else contextlib.nullcontext() as cached:
            outcomes = pipeline.run(
                flawed.observe(images),
                reader=self.reader,
                engine=self.engine,
                batch_size=self.batch_size or self.engine.batch_size,
                num_workers=self.num_workers,
                cached=cached,
                processes_after=processes_after(self.processes, self.engine, self.num_workers),
            )
            for outcome in outcomes:
                if cached is not None:
                    cached.emit_warnings()
                flawed.add(outcome)
                yield outcome
        flawed.warn()


def _score(index: int, outcome: pipeline.Outcome) -> Score:
    error = None if outcome.error is None else str(outcome.error)
    return Score(index, outcome.memorability, error, outcome.flaw)


def _unpickle(cls: type[Scorer], options: ScorerOptions, weights_id: str, model: Model | None) -> Scorer:
    scorer = cls.__new__(cls)
    scorer._set_up(options, model, weights_id)
    return scorer
