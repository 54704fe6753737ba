"""What `resmem score` leaves: the table with its scores, and the gallery."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from resmem_plugin.core.errors import OptionError
from resmem_plugin.results import NOT_REACHED
from resmem_plugin.tables import Table, check_file, check_writable, write_table
from resmem_plugin.terminal import tell

if TYPE_CHECKING:
    from resmem_plugin.core.scores import Provenance
    from resmem_plugin.record import Record
    from resmem_plugin.results import Results

_SHOWN_IN_GALLERY = 200


@dataclass(frozen=True)
class Outputs:
    """Where results go.

    Attributes:
        table: the file of scores, by its suffix csv, tsv, jsonl or parquet; None is csv on standard output.
        gallery: the HTML file of pictures, or None.
    """

    table: str | None
    gallery: str | None

    @property
    def files(self) -> list[str]:
        """The files that are to be written."""
        return [file for file in (self.table, self.gallery) if file is not None]

    def check(self, *, may_exist: bool) -> None:
        """Find out now what would go wrong when the scores are there.

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
        for path in self.files:
            if os.path.lexists(path) and not may_exist:
                raise OptionError(
                    f"{path} exists: name another file, replace it with --overwrite, or go on with --resume"
                )

    def write(
        self, table: Table, images: Sequence[object], results: Results, provenance: Provenance, record: Record | None
    ) -> list[str]:
        """Write all that was asked for, and say what could not be written; gives the files that are there."""
        unchanged = record is not None and record.untouched
        written = [
            (self.table, unchanged or self._write_table(table, results, provenance, record)),
            (self.gallery, self.gallery is not None and _write_gallery(self.gallery, images, results, provenance)),
        ]
        return [file for file, there in written if file is not None and there]

    def _write_table(self, table: Table, results: Results, provenance: Provenance, record: Record | None) -> bool:
        """The table with its scores, every row of it."""
        scored = _scored(table, results, provenance)
        attributes = {"resmem": {"provenance": provenance.id, **provenance.to_dict()}}
        if record is None:  # nor a file
            write_table(scored, None, attributes)
            return True
        try:
            write_table(scored, self.table, attributes)
        except OSError as error:
            reason = error.strerror or error
            tell(
                f"error: {self.table} could not be written ({reason}): free some space, and go on with --resume; the "
                f"scores are kept in {record.path}"
            )
            return False
        except Exception as error:  # a name that parquet cannot hold, say: no space would help
            tell(f"error: {self.table} could not be written ({error}); its rows follow as csv")
            write_table(scored, None, attributes)
            return False
        return True


def _scored(table: Table, results: Results, provenance: Provenance) -> Table:
    """The table with the columns of results after its own."""
    count = len(results.memorability)
    errors: list[str | None] = [None] * count
    for row in results.not_reached:
        errors[row] = NOT_REACHED
    for row, error in results.errors.items():
        errors[row] = error
    added: dict[str, Any] = {
        "memorability": results.memorability,
        "error": errors,
        "provenance": [provenance.id] * count,
    }
    names = [*table.names, *added]
    guards = {**table.guards, names.index("error"): "'"}
    return Table(names, [*table.columns, *added.values()], guards)


def _write_gallery(path: str, images: Sequence[object], results: Results, provenance: Provenance) -> bool:
    from resmem_plugin.gallery import Card, Gallery

    scores = results.memorability
    ranked = [int(row) for row in np.argsort(-scores, kind="stable")[: results.scored]]
    failed = sorted(results.errors)[: _SHOWN_IN_GALLERY // 2]
    title = "Memorability: the most memorable first"
    if len(ranked) > _SHOWN_IN_GALLERY:
        ranked = ranked[: _SHOWN_IN_GALLERY // 2] + ranked[-_SHOWN_IN_GALLERY // 2 :]
        title = f"Memorability: the {_SHOWN_IN_GALLERY // 2} most and the {_SHOWN_IN_GALLERY // 2} least memorable"
    cards = [Card(images[row], float(scores[row]), results.errors.get(row)) for row in ranked + failed]
    try:
        Gallery(cards, title=title, total=len(images), provenance=provenance).save(path)
    except OSError as error:
        tell(f"error: {path} could not be written ({error})")
        return False
    return True
