"""One run over a collection: what there is to score, the scoring, and the writing as the scores come."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from resmem_plugin.core.errors import ImageError, OptionError, ResMemError, ScoringError
from resmem_plugin.core.images.reader import describe
from resmem_plugin.core.scores import Score
from resmem_plugin.fiftyone.dataset.samples import Picture, keys_of, pictures

if TYPE_CHECKING:
    from resmem_plugin.core.scoring.scorer import Scorer
    from resmem_plugin.fiftyone.dataset.fields import Key, ScoreWriter

_WRITTEN_AT_ONCE = 1000
_WRITTEN_AFTER_S = 2.0
_CHECKED_AFTER_S = 1.0
_FAILURES_NAMED = 10
_LONGEST_REASON = 1000


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What became of a call of `compute_memorability`.

    Attributes:
        field: the path of the scores in the data set.
        total: images, or objects, that were asked for.
        skipped: of these, those that the same provenance had scored already.
        scored: those scored now.
        failed: those that cannot be scored; `<field>_error` says why.
        lowest: the lowest score of those scored or skipped, or None.
        highest: the highest, or None.
        elapsed_s: seconds that the scoring took.
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
    """One run over a collection. Building it changes nothing; `run` does.

    Attributes:
        field: where the scores go.
        provenance: what produces them.
        total: images or objects in the collection.
        pending: of these, those to be scored now.
        first_failures: paths (of objects: ids) of some that could not be scored, and why.

    Raises:
        OptionError: if the field holds other scores, and they may not or cannot all be overwritten.
    """

    def __init__(
        self, samples: Any, writer: ScoreWriter, scorer: Scorer, *, overwrite: bool, skip_failures: bool
    ) -> None:
        self._samples, self._writer, self._scorer, self._skip_failures = samples, writer, scorer, skip_failures
        self.field = writer.target
        self.provenance = scorer.provenance
        keys, stored = keys_of(samples, writer.patches_field), writer.stored()
        skipped = [] if overwrite else [stored[key] for key in keys if key in stored]
        self._replaces = self._will_replace(overwrite, len(stored), sum(key in stored for key in keys))
        self._keys = keys if overwrite else [key for key in keys if key not in stored]
        self.total, self.pending = len(keys), len(self._keys)
        self._lowest: float | None = min(skipped, default=None)
        self._highest: float | None = max(skipped, default=None)
        self.first_failures: list[str] = []
        self._scored = self._failed = 0
        self._began_s = self._elapsed_s = 0.0
        self._registered = False
        self._checked_s = 0.0
        self._scores: dict[Key, float | None] = {}
        self._reasons: dict[Key, str] = {}

    @property
    def summary(self) -> Summary:
        """What has been done so far."""
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
        """Score and write; gives after each image or object whether it failed.

        However it ends, closed, interrupted or with an error, what was scored is written.

        Raises:
            ScoringError: if the model or the database fails, or unless failures are skipped, an image.
        """
        try:
            yield from self._run()
        except PyMongoError as error:
            reason = str(error).partition(" (configured")[0]  # timeouts and topology follow
            raise ScoringError(
                f"the database failed ({reason}): start it again, and a rerun goes on from the scores that were written"
            ) from error

    def _run(self) -> Generator[bool, None, None]:
        self._began_s = written = time.monotonic()
        self.field.declare(self.provenance)
        self._writer.remember_reasons()
        state: str | None = "interrupted"
        try:
            with contextlib.closing(self._outcomes()) as outcomes:
                for picture, score in outcomes:
                    self._take(picture, score)
                    if score.error is not None and not self._skip_failures:
                        raise ScoringError(f"{self.first_failures[0]}; {self._kept()}")
                    now = time.monotonic()
                    if len(self._scores) >= _WRITTEN_AT_ONCE or now - written > _WRITTEN_AFTER_S:
                        self.flush()
                        written = now
                    yield score.error is not None
            if self._scored + self._failed == self.pending:  # not so if samples were deleted meanwhile
                state = "complete"
        except GeneratorExit:
            state = None  # closed, perhaps long after it was left: the field may be another run's by now
            raise
        except PyMongoError:
            state, self._scores = None, {}  # to write again on the way out would only take as long again
            raise
        except ResMemError:
            raise
        except Exception as error:  # of the model or the device: everything else has its own words
            raise ScoringError(f"scoring stopped: {type(error).__name__}: {error}; {self._kept()}") from error
        finally:
            self.flush()
            if state is not None and self.field.exists:
                self.field.index()
                self._register(state)
                if self._samples._is_frames:
                    self._samples.reload()  # it is a copy, which knows of nothing yet

    def _outcomes(self) -> Generator[tuple[Picture, Score], None, None]:
        """Each picture with its score, in no certain order: what cannot be cropped overtakes what is being scored."""
        broken: deque[Picture] = deque()
        fed: deque[Picture] = deque()

        def contents() -> Iterator[object]:
            workers = self._scorer.num_workers
            for key, content in pictures(self._samples, self._writer.patches_field, self._keys, workers):
                if isinstance(content, ImageError):
                    broken.append((key, content))
                else:
                    fed.append((key, content if isinstance(content, str) else None))
                    yield content

        with contextlib.closing(self._scorer.iter_scores(contents())) as scores:
            for score in scores:
                yield fed.popleft(), score
                while broken:
                    yield broken[0], Score(-1, float("nan"), str(broken.popleft()[1]))
        while broken:
            yield broken[0], Score(-1, float("nan"), str(broken.popleft()[1]))

    def _take(self, picture: Picture, score: Score) -> None:
        key, content = picture
        if score.error is not None:
            reason = score.error[:_LONGEST_REASON]
            self._failed += 1
            if len(self.first_failures) < _FAILURES_NAMED:
                name = describe(content) if isinstance(content, str) else f"object {key[1]}"
                self.first_failures.append(f"{name}: {reason}")
            self._scores[key] = None  # not NaN: FiftyOne's bounds() would break
            self._reasons[key] = reason
            return
        self._scored += 1
        self._scores[key] = value = score.memorability
        self._lowest = value if self._lowest is None else min(self._lowest, value)
        self._highest = value if self._highest is None else max(self._highest, value)

    def flush(self) -> None:
        """Write what has been scored since the last time.

        Raises:
            ScoringError: if the field was deleted meanwhile, or given to another provenance: two would mix.
        """
        now = time.monotonic()
        self._elapsed_s = now - self._began_s
        if not self._scores:
            return
        scores, reasons = self._scores, self._reasons
        self._scores, self._reasons = {}, {}  # first: what cannot be written must not be tried again on the way out
        if not self._registered:  # not before there are scores: a model that fails at once must cost no old ones
            self._writer.begin(self.provenance, clear=self._keys if self._replaces else ())
            self._register("unfinished")
            self._checked_s = now
        elif now - self._checked_s > _CHECKED_AFTER_S:
            self._checked_s = now
            if not self.field.still_has(self.provenance):
                raise ScoringError(
                    f"{self.field.path!r} was deleted, or given to scores of another provenance, while it was written "
                    "to: score into a field of its own, or start again"
                )
        self._writer.write(scores, reasons)

    def _register(self, state: str) -> None:
        if state == "unfinished" or self._registered:  # a run with nothing to do leaves the record of the one before
            self._registered = True
            self.field.register(self.provenance, {"state": state, **asdict(self.summary)})

    def _kept(self) -> str:
        return f"the {self._scored} images scored before are stored, and a rerun goes on from there"

    def _will_replace(self, overwrite: bool, stored: int, inside: int) -> bool:
        """Whether scores of another provenance are to go: two in one field could not be told apart."""
        known = self.field.provenance
        if not stored or (known is not None and known.id == self.provenance.id):
            return False
        source = "no known provenance" if known is None else f"provenance {known.id}"
        held = f"{self.field.path!r} holds {stored} scores of {source}, and these would be of {self.provenance.id}"
        if not overwrite:
            raise OptionError(f"{held}: write to another field, or replace them all with overwrite=True")
        if stored > inside:
            raise OptionError(
                f"{held}; {stored - inside} of them lie outside of this view and would be left beside the new ones: "
                "overwrite the whole data set, or write to another field"
            )
        return True
