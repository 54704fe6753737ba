"""The files that `resmem score` writes, a table and a gallery, and reading such a table back."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.reader import is_missing
from resmem_plugin.core.scores import Flaw
from resmem_plugin.jobs.arrow import check_storable
from resmem_plugin.jobs.results import NOT_REACHED, Results
from resmem_plugin.jobs.tables import (
    Table,
    check_file,
    check_writable,
    escape_formula,
    read_table,
    without_bytes,
    write_table,
)

if TYPE_CHECKING:
    from resmem_plugin.core.provenance import Provenance

RESULT_COLUMNS = ("memorability", "error", "provenance")
FLAW_COLUMNS = {"clipped": Flaw.CLIPPED, "thumbnail": Flaw.THUMBNAIL}
"""Columns that are written on request: whether a scored image has this flaw."""

_GALLERY_SIZE = 200


class Written(NamedTuple):
    """The result of writing the outputs.

    Attributes:
        files: those that are now complete.
        problems: a message for each that could not be written.
    """

    files: list[str]
    problems: list[str]


@dataclass(frozen=True)
class Outputs:
    """The files that results are written to.

    Attributes:
        table: the file of scores, by its suffix csv, tsv, jsonl or parquet; None is csv on standard output.
        gallery: the HTML file of images, or None.
        storage_options: for the gallery's images behind URLs.
        max_pixels: the most pixels of one of its images.
        base64: its images are text in base64, not paths.
        flaw_columns: which of the `FLAW_COLUMNS` the table gets too.
    """

    table: str | None
    gallery: str | None
    storage_options: Mapping[str, Any] | None = field(default=None, repr=False)
    max_pixels: int | None = None
    base64: bool = False
    flaw_columns: Sequence[str] = ()

    @property
    def files(self) -> list[str]:
        """The files that are to be written."""
        return [file for file in (self.table, self.gallery) if file is not None]

    def check(self, *, may_exist: bool) -> None:
        """Check before any image is scored that the outputs can be written.

        Raises:
            OptionError: if something cannot be written there, or a file exists and may not.
        """
        if self.table is not None:
            check_writable(self.table)
        elif sys.stdout is None:
            raise OptionError("standard output is closed: name a file with -o")
        if self.gallery is not None:
            check_file(self.gallery)
        if len({os.path.realpath(file) for file in self.files}) < len(self.files):
            raise OptionError(f"-o and --html both name {self.gallery}: one would replace the other")
        if None not in (self.table, self.gallery) and os.path.realpath(self.gallery or "") == os.path.realpath(
            f"{self.table}.partial"
        ):
            raise OptionError(f"--html {self.gallery} is where scores are kept until -o is written: name another file")
        for path in self.files:
            if os.path.lexists(path) and not may_exist:
                raise OptionError(f"{path} exists: name another file, or use --overwrite or --resume")

    def write(
        self,
        table: Table,
        images: Sequence[object],
        results: Results,
        provenance: Provenance,
        *,
        is_current: bool = False,
        checkpoint: str | None = None,
    ) -> Written:
        """Write all outputs; if one fails, the others are still written.

        Args:
            table: the input.
            images: its images, one per row.
            results: their scores.
            provenance: what produced the scores.
            is_current: whether the table on the disk already holds these results.
            checkpoint: the file that holds the scores too, or None: then a table that cannot be written is printed.
        """
        problems: list[str | None] = []
        if not is_current:
            problems.append(self._write_table(table, results, provenance, checkpoint))
        files = [self.table] if self.table is not None and not any(problems) else []
        if self.gallery is not None:
            problems.append(self._write_gallery(self.gallery, images, results, provenance))
            files += [] if problems[-1] else [self.gallery]
        return Written(files, [problem for problem in problems if problem])

    def _write_table(
        self, table: Table, results: Results, provenance: Provenance, checkpoint: str | None
    ) -> str | None:
        scored = _add_results(table, results, provenance, self.flaw_columns)
        attributes = {"resmem": provenance.to_record()}
        if self.table is None:
            write_table(scored, None, attributes)
            return None
        try:
            write_table(scored, self.table, attributes)
        except OSError as error:
            kept = f"; the scores are kept in {checkpoint}" if checkpoint else ""
            reason = error.strerror or error
            return f"{self.table} could not be written ({reason}): free some space, then use --resume{kept}"
        except Exception as error:  # a name that parquet cannot hold, say: more space would not help
            write_table(scored, None, attributes)
            return f"{self.table} could not be written ({error}); its rows were printed as csv"
        return None

    def _write_gallery(
        self, path: str, images: Sequence[object], results: Results, provenance: Provenance
    ) -> str | None:
        from resmem_plugin.reports.gallery import Card, Gallery

        scores = results.memorability
        ranked = [int(row) for row in np.argsort(-scores, kind="stable")[: results.scored]]
        failed = sorted(results.errors)[: _GALLERY_SIZE // 2]
        title = "Memorability: the most memorable first"
        if len(ranked) > _GALLERY_SIZE:
            ranked = ranked[: _GALLERY_SIZE // 2] + ranked[-_GALLERY_SIZE // 2 :]
            title = f"Memorability: the {_GALLERY_SIZE // 2} most and the {_GALLERY_SIZE // 2} least memorable"
        cards = [Card(images[row], float(scores[row]), results.errors.get(row), row) for row in ranked + failed]
        try:
            Gallery(
                cards,
                title=title,
                total=len(images),
                provenance=provenance,
                storage_options=self.storage_options,
                max_pixels=self.max_pixels,
                base64=self.base64,
            ).save(path)
        except Exception as error:  # the table's problem must be reported, too
            return f"{path} could not be written ({error}): free some space, or name another file with --html"
        return None


def check_columns(table: Table, path_column: str, flaw_columns: Sequence[str] = (), output: str | None = None) -> None:
    """Check that the columns of results can be added to an input, and written to the output.

    Raises:
        OptionError: if it has one of their names already, repeats a name, which jsonl and parquet cannot, or has a
            column that parquet cannot hold.
    """
    names = (*RESULT_COLUMNS, *flaw_columns)
    if path_column in names:
        raise OptionError(f"--path-column {path_column} is the name of a column of results: choose another")
    check_not_taken(names, table.names)
    texts = list(map(str, table.names))
    repeated = [name for name in texts if texts.count(name) > 1]
    if repeated and output is not None and not output.lower().endswith((".csv", ".tsv")):
        raise OptionError(
            f"the table has several columns {repeated[0]!r}, of which {output} would keep one: rename them, or write "
            "csv or tsv"
        )
    if output is not None and output.lower().endswith((".parquet", ".pq")):
        check_storable(table.names, table.columns, output)


def check_not_taken(added: Iterable[Hashable], names: Sequence[Hashable]) -> None:
    """Check that columns can be added to a table with columns of these names.

    Raises:
        OptionError: if one is there already.
    """
    for name in added:
        if name in names:
            raise OptionError(f"the table has a column {name!r} already: rename it, so that its values are not lost")


def read_output(
    path: str, table: Table, path_column: str, results: Results, flaw_columns: Sequence[str] = ()
) -> str | None:
    """Read the results in the output of an earlier run over this table, to which rows may have been added since.

    Returns:
        The id of the provenance of its scores; None if there are no rows.

    Raises:
        OptionError: if the file is not such an output, or has other rows.
    """
    written = read_table(path, own=True)
    expected = [*map(str, table.names), *RESULT_COLUMNS, *flaw_columns]
    if list(map(str, written.names)) != expected:
        raise OptionError(
            f"{path} has other columns than this command writes, which end in "
            f"{', '.join(expected[len(table.names) :])}: give the same --columns, name another file, or --overwrite it"
        )
    number = table.names.index(path_column)
    prefix = table.formula_prefixes.get(number, "") if path.lower().endswith((".csv", ".tsv")) else ""
    cells = (
        table.columns[number]
        if path.lower().endswith((".parquet", ".pq"))
        else map(without_bytes, table.columns[number])
    )
    now = [escape_formula(_text(cell), prefix) for cell in cells]
    for row, cell in enumerate(written.columns[number]):
        require_same(path, row, _text(cell), now[row] if row < len(now) else None)
    memorability, errors, ids, *flaws = (
        [_text(cell) for cell in column] for column in written.columns[len(table.names) :]
    )
    try:
        for row, (score, error) in enumerate(zip(memorability, errors, strict=True)):
            if error != NOT_REACHED:
                flaw = [
                    FLAW_COLUMNS[name]
                    for name, cells in zip(flaw_columns, flaws, strict=True)
                    if cells[row].lower() == "true"
                ]
                results.add(row, float(score) if score else None, error or None, Flaw(sum(flaw)))
    except ValueError as error:
        raise OptionError(f"{path} has a memorability that is not a number ({error}): --overwrite it") from error
    if len(set(ids)) > 1:
        raise OptionError(f"{path} holds scores of several provenances ({', '.join(sorted(set(ids)))}): --overwrite it")
    return ids[0] if ids else None


def require_same(path: str, row: int, before: str | None, now: str | None) -> None:
    """Check that an image has not changed since a file was written.

    Raises:
        OptionError: naming both, if it has.
    """
    if before != now:
        then, there = ("missing" if name is None else repr(name) for name in (before, now))
        raise OptionError(
            f"image {row + 1} is {then} in {path} and {there} in the input: give the same images in the same order, or "
            "start again with --overwrite"
        )


def _add_results(table: Table, results: Results, provenance: Provenance, flaw_columns: Sequence[str]) -> Table:
    """The table with the columns of results appended."""
    count = len(results.memorability)
    errors: list[str | None] = [None] * count
    for row in results.not_reached:
        errors[row] = NOT_REACHED
    for row, error in results.errors.items():
        errors[row] = error
    columns: list[Any] = [results.memorability, errors, [provenance.id] * count]
    for name in flaw_columns:
        has_flaw = [FLAW_COLUMNS[name] in results.flaws.get(row, Flaw.NONE) for row in range(count)]
        columns.append(
            [has if math.isfinite(score) else None for has, score in zip(has_flaw, results.memorability, strict=True)]
        )
    names = [*table.names, *RESULT_COLUMNS, *flaw_columns]
    prefixes = {**table.formula_prefixes, names.index("error"): "'"}
    return Table(names, [*table.columns, *columns], prefixes, table.byte_order_mark, table.metadata)


def _text(cell: object) -> str:
    return "" if is_missing(cell) else str(cell)
