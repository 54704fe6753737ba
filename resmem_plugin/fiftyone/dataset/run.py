"""One scoring run over a collection: lists what is to be scored, scores it, and writes the scores as they come."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from resmem_plugin.core.errors import ImageError, ResMemError, ResMemWarning, ScoringError, warn
from resmem_plugin.core.images.reader import describe
from resmem_plugin.core.scores import Score
from resmem_plugin.fiftyone.dataset.foreign import find_foreign, fingerprint
from resmem_plugin.fiftyone.dataset.plan import check_provenance
from resmem_plugin.fiftyone.dataset.samples import KeyedImage, iter_images, list_keys

if TYPE_CHECKING:
    from resmem_plugin.core.scoring.scorer import Scorer
    from resmem_plugin.distributed.scorer import ClusterScorer
    from resmem_plugin.fiftyone.dataset.fields import Key, ScoreWriter

_WRITE_BATCH_SIZE = 1000
_WRITE_INTERVAL_S = 2.0
_CHECK_INTERVAL_S = 1.0
_MAX_LISTED_FAILURES = 10
_MAX_ERROR_CHARS = 1000


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The result of a call of `compute_memorability`.

    Attributes:
        field: the path of the scores in the dataset.
        total: images or patches in the collection.
        skipped: those that already had a score of the same provenance.
        scored: those scored by this call.
        failed: those that could not be scored; `<field>_error` says why.
        lowest: the lowest score of those scored or skipped, or None.
        highest: the highest, or None.
        elapsed_s: seconds of scoring.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone import compute_memorability
        >>> dataset = fo.Dataset()
        >>> _ = dataset.add_samples([fo.Sample(filepath="coffee.png"), fo.Sample(filepath="missing.png")])
        >>> summary = compute_memorability(dataset, device="cpu")
        >>> summary.total, summary.scored, summary.failed, summary.skipped
        (2, 1, 1, 0)
        >>> round(summary.lowest, 2), round(summary.highest, 2)
        (0.88, 0.88)
    """

    field: str
    total: int
    skipped: int
    scored: int
    failed: int
    lowest: float | None
    highest: float | None
    elapsed_s: float


class ScoringRun:
    """One scoring run over a collection. Building it changes nothing; `run` does.

    Attributes:
        field: the field that the scores are written to.
        provenance: their provenance.
        total: images or patches in the collection.
        pending: those to be scored.
        first_failures: filepaths (of patches: label ids) of the first ones that could not be scored, with the error.

    Raises:
        OptionError: if the field has scores of another provenance, and they may not or cannot all be overwritten.
    """

    def __init__(
        self,
        samples: Any,
        writer: ScoreWriter,
        scorer: Scorer | ClusterScorer,
        *,
        overwrite: bool,
        skip_failures: bool,
    ) -> None:
        self._samples, self._writer, self._scorer, self._skip_failures = samples, writer, scorer, skip_failures
        self.field = writer.target
        self.provenance = scorer.provenance
        keys, stored = list_keys(samples, writer.patches_field), writer.stored_scores()
        selected = sum(key in stored for key in keys)
        skipped = [] if overwrite else [stored[key] for key in keys if key in stored]
        self._clears_old_scores = check_provenance(
            self.field,
            self.provenance,
            overwrite=overwrite,
            stored=len(stored),
            selected=selected,
        )
        self._foreign = find_foreign(self.field, len(stored))
        self._left = self._foreign.after(overwritten=selected, stored=len(stored)) if overwrite else self._foreign
        if not overwrite and self._foreign and selected:
            warn(self._foreign.describe(self.field, len(stored)), ResMemWarning)
        self._keys = keys if overwrite else [key for key in keys if key not in stored]
        self.total, self.pending = len(keys), len(self._keys)
        self._lowest: float | None = min(skipped, default=None)
        self._highest: float | None = max(skipped, default=None)
        self.first_failures: list[str] = []
        self._scored = self._failed = 0
        self._start_s = self._elapsed_s = 0.0
        self._registered = False
        self._checked_s = 0.0
        self._scores: dict[Key, float | None] = {}
        self._errors: dict[Key, str] = {}

    @property
    def patches_field(self) -> str | None:
        """The field whose labels are scored, or None for whole images."""
        return self._writer.patches_field

    @property
    def summary(self) -> Summary:
        """The summary so far."""
        return Summary(
            field=self.field.path,
            total=self.total,
            skipped=self.total - self.pending,
            scored=self._scored,
            failed=self._failed,
            lowest=self._lowest,
            highest=self._highest,
            elapsed_s=self._elapsed_s,
        )

    def run(self) -> Generator[bool, None, None]:
        """Score and write; yields after each image or patch whether it failed.

        However it ends, closed, interrupted or with an error, what was scored is written.

        Raises:
            ScoringError: if the model or the database fails, or with `skip_failures=False` an image.
        """
        try:
            yield from self._run()
        except PyMongoError as error:
            reason = str(error).partition(" (configured")[0]  # timeouts and topology follow
            raise ScoringError(
                f"the database failed ({reason}): restart it and run again, to continue after the scores written so far"
            ) from error

    def _run(self) -> Generator[bool, None, None]:
        self._start_s = written_s = time.monotonic()
        self.field.add_to_schema(self.provenance)
        self._writer.load_errors()
        state: str | None = "interrupted"
        try:
            with contextlib.closing(self._iter_scores()) as scores:
                for image, score in scores:
                    self._collect(image, score)
                    if score.error is not None and not self._skip_failures:
                        raise ScoringError(f"{self.first_failures[0]}; {self._stored_note()}")
                    now = time.monotonic()
                    if len(self._scores) >= _WRITE_BATCH_SIZE or now - written_s > _WRITE_INTERVAL_S:
                        self.flush()
                        written_s = now
                    yield score.error is not None
            if self._scored + self._failed == self.pending:  # false if samples were deleted during the run
                state = "complete"
        except GeneratorExit:
            state = None  # perhaps closed long after it was abandoned: another run may own the field by now
            raise
        except PyMongoError:
            state, self._scores = None, {}  # writing again on the way out would only wait as long again
            raise
        except ResMemError:
            raise
        except Exception as error:  # of the model or the device: all other errors are ResMemErrors
            raise ScoringError(f"scoring stopped: {type(error).__name__}: {error}; {self._stored_note()}") from error
        finally:
            self.flush()
            if state is not None and self.field.exists:
                self.field.create_index()
                self._register(state)
                if self._samples._is_frames:
                    self._samples.reload()  # a frames view is a copy, which does not have the fields yet

    def _iter_scores(self) -> Generator[tuple[KeyedImage, Score], None, None]:
        """Each image with its score, in no particular order: failed crops overtake images that are being scored."""
        broken: deque[KeyedImage] = deque()
        submitted: deque[KeyedImage] = deque()

        def images() -> Iterator[object]:
            workers = self._scorer.num_workers
            for key, image in iter_images(self._samples, self._writer.patches_field, self._keys, workers):
                if isinstance(image, ImageError):
                    broken.append((key, image))
                else:
                    submitted.append((key, image if isinstance(image, str) else None))
                    yield image

        with contextlib.closing(self._scorer.iter_scores(images())) as scores:
            for score in scores:
                yield submitted.popleft(), score
                while broken:
                    yield broken[0], Score(-1, float("nan"), str(broken.popleft()[1]))
        while broken:
            yield broken[0], Score(-1, float("nan"), str(broken.popleft()[1]))

    def _collect(self, keyed_image: KeyedImage, score: Score) -> None:
        key, image = keyed_image
        if score.error is not None:
            error = score.error[:_MAX_ERROR_CHARS]
            self._failed += 1
            if len(self.first_failures) < _MAX_LISTED_FAILURES:
                name = describe(image) if isinstance(image, str) else f"object {key[1]} of {self._filepath(key[0])}"
                self.first_failures.append(f"{name}: {error}")
            self._scores[key] = None  # not NaN, on which FiftyOne's bounds() fails
            self._errors[key] = error
            return
        self._scored += 1
        self._scores[key] = value = score.memorability
        self._lowest = value if self._lowest is None else min(self._lowest, value)
        self._highest = value if self._highest is None else max(self._highest, value)

    def _filepath(self, image_id: str) -> str:
        """The path of a sample or a frame, as far as it is there."""
        for collection in (self._samples, self.field.dataset):
            for path in collection.select(image_id).values("filepath"):
                return describe(path)
        return f"sample {image_id}"

    def flush(self) -> None:
        """Write the scores collected since the last call.

        Raises:
            ScoringError: if the field was deleted or overwritten with another provenance: scores would mix.
        """
        now = time.monotonic()
        self._elapsed_s = now - self._start_s
        if not self._scores:
            return
        scores, errors = self._scores, self._errors
        self._scores, self._errors = {}, {}  # first: a failed write must not be repeated on the way out
        try:
            self._write(scores, errors, now)
        except KeyboardInterrupt:  # an interrupted one must be: writing the same scores again changes nothing
            self._scores, self._errors = scores, errors
            raise

    def _write(self, scores: dict[Key, float | None], errors: dict[Key, str], now: float) -> None:
        if not self._registered:  # only once there are scores: a model that fails at once must not clear old ones
            self._writer.start(self.provenance, clear=self._keys if self._clears_old_scores else ())
            self._register("unfinished")
            self._checked_s = now
        elif now - self._checked_s > _CHECK_INTERVAL_S:
            self._checked_s = now
            if not self.field.still_matches(self.provenance):
                raise ScoringError(
                    f"{self.field.path!r} was deleted, or overwritten with scores of another provenance, during the "
                    "run: score into another field, or run again"
                )
        self._writer.write(scores, errors)

    def _register(self, state: str) -> None:
        if state == "unfinished" or self._registered:  # a run with nothing to do keeps the report of the last one
            self._registered = True
            is_overwritten = self._clears_old_scores or self._scored + self._failed >= self.pending
            foreign = self._left if is_overwritten else self._foreign
            report = {"state": state, **asdict(self.summary), **fingerprint(self.field, foreign)}
            self.field.register_run(self.provenance, report)

    def _stored_note(self) -> str:
        return f"the {self._scored} images scored before are stored, and another run continues from there"
