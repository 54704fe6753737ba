"""What a run has scored, row by row, and what an earlier one has written."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images import is_missing
from resmem_plugin.inputs import RESULT_COLUMNS
from resmem_plugin.tables import Table, read_table, spreadsheet_safe

NOT_REACHED = "not scored: the run stopped before it came to this image"


@dataclass
class Results:
    """What became of each row.

    Attributes:
        memorability: float32 (N,), NaN where there is no score.
        errors: row -> why it has no score. A row with neither was not reached.
    """

    memorability: npt.NDArray[np.float32]
    errors: dict[int, str] = field(default_factory=dict)

    @classmethod
    def none(cls, count: int) -> Results:
        """No results yet, of `count` rows."""
        return cls(np.full(count, math.nan, np.float32))

    @property
    def scored(self) -> int:
        """How many rows have a score."""
        return int(np.count_nonzero(~np.isnan(self.memorability)))

    @property
    def done(self) -> int:
        """How many rows have a score or a reason."""
        return self.scored + len(self.errors)

    def add(self, row: int, memorability: float | None, error: str | None) -> None:
        """Take in what became of a row, in place of what was known of it."""
        self.memorability[row] = math.nan if memorability is None else memorability
        self.errors.pop(row, None)
        if error is not None:
            self.errors[row] = error

    @property
    def not_reached(self) -> list[int]:
        """The rows with neither a score nor a reason, in order."""
        unknown = np.isnan(self.memorability)
        unknown[list(self.errors)] = False
        return [int(row) for row in np.flatnonzero(unknown)]

    def to_score(self, batch_size: int, *, retry_failed: bool) -> list[int]:
        """The rows to score: those not reached, in order, and then if asked those that failed.

        A batch that was cut is scored whole once more: with PyTorch the last digit of a score hangs on its company.
        """
        batches = {row // batch_size for row in self.not_reached}
        rows = [row for row in range(len(self.memorability)) if row // batch_size in batches]
        return rows + sorted(row for row in self.errors if retry_failed and row // batch_size not in batches)


def read_output(path: str, table: Table, path_column: str, results: Results) -> str | None:
    """Take in what the output of an earlier run holds, if it is one over this table; rows may have come since.

    Returns:
        The id of the provenance of its scores; None if there are no rows.

    Raises:
        OptionError: if the file is no such output, or of other rows.
    """
    written = read_table(path)
    if list(map(str, written.names)) != [*map(str, table.names), *RESULT_COLUMNS]:
        raise OptionError(f"{path} has other columns than this command writes: name another file, or --overwrite it")
    number = table.names.index(path_column)
    guard = table.guards.get(number, "") if path.lower().endswith((".csv", ".tsv")) else ""
    now = [spreadsheet_safe(_text(cell), guard) for cell in table.columns[number]]
    for row, cell in enumerate(written.columns[number]):
        require_same(path, row, _text(cell), now[row] if row < len(now) else None)
    memorability, errors, ids = ([_text(cell) for cell in column] for column in written.columns[-3:])
    try:
        for row, (score, error) in enumerate(zip(memorability, errors, strict=True)):
            if error != NOT_REACHED:
                results.add(row, float(score) if score else None, error or None)
    except ValueError as error:
        raise OptionError(f"{path} has a memorability that is no number ({error}): --overwrite it") from error
    if len(set(ids)) > 1:
        raise OptionError(f"{path} holds scores of several provenances ({', '.join(sorted(set(ids)))}): --overwrite it")
    return ids[0] if ids else None


def require_same(path: str, row: int, before: str | None, now: str | None) -> None:
    """See that an image is the one that it was.

    Raises:
        OptionError: naming both, if it is not.
    """
    if before != now:
        then, there = ("missing" if name is None else repr(name) for name in (before, now))
        raise OptionError(
            f"image {row + 1} is {then} in {path} and {there} among the inputs: give those of then in their order, or "
            "begin anew with --overwrite"
        )


def _text(cell: object) -> str:
    return "" if is_missing(cell) else str(cell)
