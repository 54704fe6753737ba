"""The results of a job: for each row its score, its error, or nothing yet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.scores import Flaw

NOT_REACHED = "not scored: the run stopped before it came to this image"


@dataclass
class Results:
    """The scores and errors of a table's rows.

    Attributes:
        memorability: float32 (N,), NaN where there is no score.
        errors: row -> why it has no score. A row with neither was not reached.
        flaws: row -> what is wrong with the image, if something is.

    Examples:
        >>> from resmem_plugin.jobs.results import Results
        >>> results = Results.empty(3)
        >>> results.add(0, 0.5, None)
        >>> results.add(1, None, "no such file")
        >>> results.done, results.not_reached
        (2, [2])
    """

    memorability: npt.NDArray[np.float32]
    errors: dict[int, str] = field(default_factory=dict)
    flaws: dict[int, Flaw] = field(default_factory=dict)

    @classmethod
    def empty(cls, count: int) -> Results:
        """No results yet, for `count` rows."""
        return cls(np.full(count, math.nan, np.float32))

    @property
    def scored(self) -> int:
        """How many rows have a score."""
        return int(np.count_nonzero(~np.isnan(self.memorability)))

    @property
    def done(self) -> int:
        """How many rows have a score or an error."""
        return self.scored + len(self.errors)

    def add(self, row: int, memorability: float | None, error: str | None, flaw: Flaw = Flaw.NONE) -> None:
        """Set the result of a row, replacing an earlier one."""
        self.memorability[row] = math.nan if memorability is None else memorability
        self.errors.pop(row, None)
        self.flaws.pop(row, None)
        if error is not None:
            self.errors[row] = error
        if flaw:
            self.flaws[row] = flaw

    @property
    def not_reached(self) -> list[int]:
        """The rows with neither a score nor an error, in order."""
        unknown = np.isnan(self.memorability)
        unknown[list(self.errors)] = False
        return [int(row) for row in np.flatnonzero(unknown)]

    def to_score(self, batch_size: int, *, retry_failed: bool) -> list[int]:
        """The rows to score: those not reached, in order, then on request those that failed.

        An incomplete batch is scored again completely: with PyTorch the last digit of a score depends on its batch.
        """
        batches = {row // batch_size for row in self.not_reached}
        rows = [row for row in range(len(self.memorability)) if row // batch_size in batches]
        return rows + sorted(row for row in self.errors if retry_failed and row // batch_size not in batches)
