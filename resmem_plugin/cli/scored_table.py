"""What the commands on tables of scores share: their options, reading the table, its scores and its images."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from resmem_plugin.cli.images import add_scorer_options, scorer_options_of
from resmem_plugin.cli.storage import add_options as add_storage_options
from resmem_plugin.cli.storage import storage_options
from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.outputs import RESULT_COLUMNS
from resmem_plugin.jobs.tables import Table, check_file, check_writable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from resmem_plugin.core.provenance import Provenance
    from resmem_plugin.core.scoring.scorer import Scorer

SCORE, ERROR, PROVENANCE = RESULT_COLUMNS
DEFAULT_PATH_COLUMN = "path"


def add_table_options(command: argparse.ArgumentParser, metavar: str = "TABLE") -> None:
    """Add the table of scores, and where the result is written."""
    command.add_argument("input", metavar=metavar, help="a table of scores, as `resmem score` writes")
    command.add_argument("-o", "--output", metavar="FILE", required=True, help="write the result there")
    command.add_argument("--overwrite", action="store_true", help="replace an existing file")
    command.add_argument(
        "--score-column", metavar="COLUMN", default=SCORE, help=f"its column of scores (default: {SCORE})"
    )


def add_image_options(command: argparse.ArgumentParser) -> None:
    """Add where the table's images are, and how they are read."""
    command.add_argument(
        "--path-column",
        metavar="COLUMN",
        default=DEFAULT_PATH_COLUMN,
        help="the table's column of paths (default: path)",
    )
    command.add_argument("--root", metavar="FOLDER", help="base of relative paths (default: current folder)")
    command.add_argument("--base64", action="store_true", help="the column holds images in base64, not paths")
    add_storage_options(command)
    add_scorer_options(command)
    command.add_argument("-q", "--quiet", action="store_true", help="hide the progress bar")


def check_output(options: argparse.Namespace, suffixes: Sequence[str] = ()) -> None:
    """Check that the output can be written: a file with one of these suffixes, or a table.

    Raises:
        OptionError: if it cannot, or exists and is not to be replaced.
    """
    path = options.output
    if suffixes and not path.lower().endswith(tuple(suffixes)):
        raise OptionError(f"{path} must end in {' or '.join(suffixes)}")
    if suffixes:
        check_file(path)
    else:
        check_writable(path)
    if os.path.lexists(path) and not options.overwrite:
        raise OptionError(f"{path} exists: name another file, or use --overwrite")


def column_of(frame: pd.DataFrame, name: str, option: str) -> pd.Series[Any]:
    """The one column of this name.

    Raises:
        OptionError: if there is none, or several.
    """
    found = [number for number, each in enumerate(frame.columns) if each == name]
    if len(found) != 1:
        many = "no column" if not found else f"{len(found)} columns"
        raise OptionError(f"there is {many} {name!r} ({option}); the columns are {', '.join(map(str, frame.columns))}")
    column: pd.Series[Any] = frame.iloc[:, found[0]]
    return column


def scores_of(frame: pd.DataFrame, options: argparse.Namespace) -> npt.NDArray[np.float64]:
    """The scores of the table, NaN where there is none; cells of csv files are text.

    Raises:
        OptionError: if a cell is no number.
    """
    import pandas as pd

    column = column_of(frame, options.score_column, "--score-column")
    try:
        return pd.to_numeric(column).to_numpy(dtype="float64", na_value=float("nan"))
    except (TypeError, ValueError) as error:
        raise OptionError(f"the column {options.score_column!r} is not numeric: {error}") from error


def flags_of(frame: pd.DataFrame, name: str, option: str) -> list[bool]:
    """A column of true and false, or of 1 and 0, as a mask; empty cells are false.

    Raises:
        OptionError: for other cells.
    """
    known = {
        "true": True,
        "1": True,
        "yes": True,
        "false": False,
        "0": False,
        "no": False,
        "none": False,
        "nan": False,
        "<na>": False,
    }
    flags = [known.get(str(cell).strip().lower().removesuffix(".0")) for cell in column_of(frame, name, option)]
    if None in flags:
        raise OptionError(f"the column {name!r} ({option}) must hold true and false")
    return [bool(flag) for flag in flags]


def images_of(frame: pd.DataFrame, options: argparse.Namespace) -> list[object]:
    """The images of the table, relative paths joined to `--root`."""
    from resmem_plugin.core.images.sources import join_root

    images = list(column_of(frame, options.path_column, "--path-column"))
    return images if options.root is None else [join_root(options.root, image) for image in images]


def scorer_of(options: argparse.Namespace) -> Scorer:
    """The scorer that the options configure."""
    from resmem_plugin.core.scoring.scorer import Scorer

    return Scorer.of(scorer_options_of(options, storage_options(options)))


def provenance_of(frame: pd.DataFrame, known: Provenance | None = None) -> Provenance | None:
    """What produced the scores: as the parquet file's attributes tell, or the column of ids, if `known` has that id.

    Raises:
        OptionError: if the column names several, or another one than `known`.
    """
    from resmem_plugin.core.provenance import Provenance

    ids = set() if PROVENANCE not in frame.columns else {each for each in frame[PROVENANCE] if isinstance(each, str)}
    if len(ids) > 1:
        raise OptionError(f"the scores are of several provenances, {', '.join(sorted(ids))}: they do not compare")
    recorded = Provenance.from_record(frame.attrs.get("resmem"))
    if recorded is not None or known is None or not ids:
        return recorded
    if known.id not in ids:
        raise OptionError(
            f"the scores have the provenance {ids.pop()}, the reference {known.id}: score and build with the same "
            "options"
        )
    return known


def attributes_of(frame: pd.DataFrame) -> dict[str, Any]:
    """The attributes of a table that was read, to be written again."""
    return {str(key): value for key, value in frame.attrs.items()}


def rows_of(table: Table, rows: Sequence[int]) -> Table:
    """These rows of a table, in this order."""
    columns = [
        column.iloc[list(rows)] if hasattr(column, "iloc") else [column[row] for row in rows]
        for column in table.columns
    ]
    return Table(table.names, columns, table.formula_prefixes, table.byte_order_mark, table.metadata)


def with_columns(table: Table, added: Mapping[str, Any]) -> Table:
    """The table with these columns at its end, instead of those that it has of these names."""
    kept = [number for number, name in enumerate(table.names) if name not in added]
    return Table(
        [*(table.names[number] for number in kept), *added],
        [*(table.columns[number] for number in kept), *added.values()],
        {kept.index(number): prefix for number, prefix in table.formula_prefixes.items() if number in kept},
        table.byte_order_mark,
        table.metadata,
    )


def exit_code(failed: int, count: int) -> int:
    """1 with a warning if some images cannot be read, else 0."""
    from resmem_plugin.cli.terminal import echo_err

    if failed:
        echo_err(f"warning: {failed:,} of {count:,} images cannot be read")
    return int(failed > 0)
