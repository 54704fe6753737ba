"""One run of `resmem score`: score the remaining images, keep each score, write the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from resmem_plugin.core.errors import CheckpointError, OptionError
from resmem_plugin.core.images.reader import describe
from resmem_plugin.jobs.checkpoint import Checkpoint
from resmem_plugin.jobs.outputs import Outputs
from resmem_plugin.jobs.results import Results
from resmem_plugin.jobs.signals import defer_signals, exit_code
from resmem_plugin.jobs.tables import Table

if TYPE_CHECKING:
    from resmem_plugin.core.scores import Score
    from resmem_plugin.core.scoring.progress import ProgressOption
    from resmem_plugin.core.scoring.scorer import Scorer


class Outcome(NamedTuple):
    """How a step of a job ended.

    Attributes:
        exit_code: 0 if all went well, 1 if something failed, more than 128 if a signal stopped it.
        messages: what to report, a line each.
    """

    exit_code: int
    messages: Sequence[str] = ()


@dataclass(frozen=True)
class Job:
    """One run over a table of images.

    Attributes:
        table: the input.
        images: its images, one per row.
        results: their scores so far; filled in place.
        outputs: where they are written at the end.
        checkpoint: where they are kept until then, or None.
        stop_at_failure: stop at the first image that fails.
    """

    table: Table
    images: Sequence[object]
    results: Results
    outputs: Outputs
    checkpoint: Checkpoint | None
    stop_at_failure: bool = False

    def score(self, scorer: Scorer, rows: Sequence[int], progress: ProgressOption = None) -> Outcome:
        """Score these rows, until the end, an error that stops the job, or an interrupt.

        Raises:
            OptionError: if the checkpoint holds scores of another provenance, or an option is not supported.
        """
        from resmem_plugin.core.scoring.progress import reporting

        if self.checkpoint is not None:
            self.checkpoint.start(scorer.provenance)
        try:
            with reporting(progress, len(rows)) as report:
                for score in scorer.iter_scores([self.images[row] for row in rows], rows=rows):
                    row = rows[score.index]
                    if score.error is not None and self.stop_at_failure:
                        stopped = f"error: {describe(self.images[row])}: {score.error}; stopped after {self._kept()}"
                        self.results.add(row, score.memorability, score.error, score.flaw)
                        return Outcome(1, [stopped])
                    self._keep(row, score)
                    report(score.error is not None)
        except KeyboardInterrupt as stop:
            return Outcome(exit_code(stop), [f"interrupted after {self._kept()}"])
        except OptionError:
            raise
        except Exception as error:  # a device or disk error, say: the scores so far must not be lost
            what = str(error) if isinstance(error, CheckpointError) else f"{type(error).__name__}: {error}"
            return Outcome(1, [f"error: {what}; stopped after {self._kept()}"])
        return Outcome(0)

    def finish(self, scorer: Scorer) -> Outcome:
        """Write the outputs, and remove the checkpoint once its scores are in them."""
        checkpoint = self.checkpoint
        provenance = (checkpoint and checkpoint.provenance) or scorer.provenance
        with defer_signals():
            written = self.outputs.write(
                self.table,
                self.images,
                self.results,
                provenance,
                is_current=checkpoint is not None and checkpoint.is_current,
                checkpoint=None if checkpoint is None else checkpoint.path,
            )
            if checkpoint is not None and self.outputs.table in written.files:
                checkpoint.remove()
        failed = len(self.results.errors)
        summary = (
            f"{self.results.scored} of {len(self.images)} scored"
            f"{f', {failed} failed: see the error column' if failed else ''}"
            f"{'; written to ' if written.files else ''}{' and '.join(written.files)}"
        )
        code = int(failed > 0 or written.files != self.outputs.files)
        return Outcome(code, [*(f"error: {problem}" for problem in written.problems), summary])

    def _keep(self, row: int, score: Score) -> None:
        if self.checkpoint is not None:
            self.checkpoint.add(row, self.images[row], score)
        self.results.add(row, score.memorability, score.error, score.flaw)

    def _kept(self) -> str:
        done = f"{self.results.done} of {len(self.images)} images"
        if self.checkpoint is None or not self.results.done:
            return f"{done}, which are kept" if self.results.done else done
        return f"{done}, which are kept in {self.checkpoint.place}: --resume continues from there"
