"""The command `resmem report`."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from resmem_plugin.cli.scored_table import (
    DEFAULT_PATH_COLUMN,
    ERROR,
    add_image_options,
    add_table_options,
    check_output,
    column_of,
    exit_code,
    images_of,
    provenance_of,
    scorer_of,
    scores_of,
)
from resmem_plugin.cli.storage import storage_options
from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.signals import defer_signals, exit_on_signal
from resmem_plugin.jobs.tables import is_table, read_table, to_frame

if TYPE_CHECKING:
    import pandas as pd


def add_command(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    report = commands.add_parser(
        "report",
        help="write a report of scored images as an HTML page",
        description="Write a report of scored images as one HTML page: distribution, extremes, classes, failures, and "
        "on request what is no photograph, and near-duplicates. TABLE is what `resmem score` wrote; or the name of a "
        "FiftyOne dataset.",
        epilog="Exit code: 0 done, 1 some images cannot be read, 2 wrong usage.",
    )
    report.set_defaults(run=_report)
    add_table_options(report, "TABLE|DATASET")
    report.add_argument("--by", metavar="COLUMN", help="a column of classes, splits or tags to compare")
    report.add_argument("--reference", metavar="FILE", help="what `resmem reference build` wrote")
    report.add_argument(
        "--kinds", action="store_true", help="find what is no photograph: all images are read, the network is not run"
    )
    report.add_argument(
        "--near-duplicates", action="store_true", help="find near-duplicates: this takes as long as scoring the images"
    )
    report.add_argument("--title", help="the heading (default: the input's name)")
    add_image_options(report)


def _report(options: argparse.Namespace) -> int:
    check_output(options, (".html", ".htm"))
    with exit_on_signal():
        import numpy as np
        import pandas as pd

        from resmem_plugin.curation import Reference, image_features, image_kinds
        from resmem_plugin.reports.curation import curation_report

    frame = _frame(options)
    frame[options.score_column] = scores_of(frame, options)
    reference = None if options.reference is None else Reference.load(options.reference)
    provenance = provenance_of(frame, None if reference is None else reference.provenance)
    progress = False if options.quiet else None
    kinds, features, failed = None, None, 0
    if options.kinds:
        kinds = image_kinds(images_of(frame, options), progress=progress, scorer=scorer_of(options))
        failed = kinds.count(None)
    if options.near_duplicates:
        features = image_features(images_of(frame, options), progress=progress, scorer=scorer_of(options))
        failed = int(np.isnan(features).any(axis=1).sum())
    has_images = options.path_column in frame.columns
    if not has_images and options.path_column != DEFAULT_PATH_COLUMN:
        column_of(frame, options.path_column, "--path-column")
    if has_images:
        frame[options.path_column] = pd.Series(images_of(frame, options), index=frame.index, dtype=object)
    report = curation_report(
        frame,
        options.score_column,
        images=options.path_column if has_images else None,
        errors=ERROR if ERROR in frame.columns else None,
        by=options.by,
        reference=reference,
        kinds=kinds,
        features=features,
        provenance=provenance,
        title=options.title or _title(options.input),
        storage_options=storage_options(options),
        base64=options.base64,
    )
    with defer_signals():
        report.save(options.output)
    return exit_code(failed, len(frame))


def _title(given: str) -> str:
    return os.path.basename(os.path.normpath(given)) if os.path.lexists(given) else given


def _frame(options: argparse.Namespace) -> pd.DataFrame:
    """The table; or the scores of the FiftyOne dataset of this name."""
    if os.path.lexists(options.input) or is_table(options.input):
        return to_frame(read_table(options.input))
    try:
        import fiftyone as fo

        from resmem_plugin.fiftyone.dataset.table import scores_to_frame
    except ModuleNotFoundError as error:
        raise OptionError(f"there is no file {options.input}") from error
    if not fo.dataset_exists(options.input):
        raise OptionError(f"there is neither a file nor a FiftyOne dataset {options.input!r}")
    field = None if options.score_column == "memorability" else options.score_column
    frame = scores_to_frame(fo.load_dataset(options.input), field, options.by)
    return frame.rename(columns={"memorability": options.score_column})
