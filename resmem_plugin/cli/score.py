"""The command `resmem score`."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from resmem_plugin.cli.cache import add_option as add_cache_option
from resmem_plugin.cli.distributed import add_distributed_options, check_not_distributed, score_distributed
from resmem_plugin.cli.images import add_input_options, add_scorer_options, inputs_of, scorer_options_of
from resmem_plugin.cli.storage import storage_options
from resmem_plugin.cli.terminal import echo_err
from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.checkpoint import Checkpoint
from resmem_plugin.jobs.inputs import read_inputs
from resmem_plugin.jobs.job import Job
from resmem_plugin.jobs.outputs import FLAW_COLUMNS, Outputs, check_columns
from resmem_plugin.jobs.results import Results
from resmem_plugin.jobs.signals import exit_on_signal

if TYPE_CHECKING:
    from resmem_plugin.core.provenance import Provenance
    from resmem_plugin.core.scoring.options import ScorerOptions
    from resmem_plugin.core.scoring.scorer import Scorer


def add_command(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    score = commands.add_parser(
        "score",
        help="score images, folders or a table of paths",
        description="Score images. Prints csv (path, memorability, error, provenance), or writes what -o names. Until "
        "that is done, each score is kept in FILE.partial once it is computed, and --resume continues from it. In "
        "csv and tsv a relative path that a spreadsheet would take for a formula (it starts with =, +, -, @, tab or a "
        "line end) gets ./ in front; the cells of a table are written unchanged.",
        epilog="Exit code: 0 all scored, 1 some failed, 2 wrong usage, 130 interrupted (Ctrl-C), 143 terminated "
        "(SIGTERM).",
    )
    score.set_defaults(run=_score)
    add_input_options(score)
    score.add_argument(
        "-o", "--output", metavar="FILE", help="write a .csv, .tsv, .jsonl or .parquet file (default: csv on stdout)"
    )
    score.add_argument(
        "--columns",
        type=_flaw_columns,
        default=[],
        metavar="NAME[,NAME]",
        help="write these columns too: clipped (values outside 0-255 were clipped), thumbnail (of a raw file only the "
        "thumbnail was scored)",
    )
    score.add_argument("--html", metavar="FILE", help="write a gallery of the images, the most memorable first")
    existing = score.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace existing output files")
    existing.add_argument(
        "--resume",
        action="store_true",
        help="continue -o FILE where a run stopped, was killed or has finished; its scores, matched by path and "
        "row, are kept",
    )
    score.add_argument("--retry-failed", action="store_true", help="with --resume: score failed images again")
    score.add_argument(
        "--errors",
        choices=("raise", "coerce"),
        default="coerce",
        help="if an image fails: raise stops, coerce leaves its score empty and records the reason (default: coerce)",
    )
    add_scorer_options(score)
    score.add_argument(
        "--calibration",
        metavar="IMAGE|FOLDER|ID",
        nargs="+",
        help="for int8: images to calibrate on, or a calibration id from the provenance of earlier scores (default: a "
        "sample of the images)",
    )
    add_cache_option(score)
    add_distributed_options(score)
    score.add_argument("-q", "--quiet", action="store_true", help="hide the progress bar")


def _score(options: argparse.Namespace) -> int:
    if options.distributed is not None:
        storage = storage_options(options)
        calibration = _calibration(options, [], None, storage) if options.calibration else None
        return score_distributed(options, _scorer_options(options, calibration, storage))
    check_not_distributed(options)
    outputs = _outputs(options)
    with _checkpoint(options) as checkpoint:
        with exit_on_signal(checkpoint.close) if checkpoint is not None else exit_on_signal():
            table, images = inputs_of(options, outputs.storage_options)
            check_columns(table, options.path_column, options.columns, options.output)
            results = Results.empty(len(images))
            if checkpoint is not None and options.resume:
                checkpoint.load(results, images, table, options.path_column, options.columns)
            before = None if checkpoint is None else checkpoint.provenance
            scorer = _scorer(options, images, before, outputs.storage_options)
        job = Job(table, images, results, outputs, checkpoint, stop_at_failure=options.errors == "raise")
        rows = results.to_score(scorer.batch_size or scorer.engine.batch_size, retry_failed=options.retry_failed)
        if results.done:
            echo_err(f"{results.done} of {len(images)} images were done already, {len(rows)} left to score")
        scored = job.score(scorer, rows, progress=False if options.quiet else None)
        _report(scored.messages)
        if scored.exit_code and checkpoint is not None:
            return scored.exit_code
        finished = job.finish(scorer)
        _report(finished.messages)
        return scored.exit_code or finished.exit_code


def _flaw_columns(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FLAW_COLUMNS or names.count(name) > 1:
            raise argparse.ArgumentTypeError(f"choose from {', '.join(FLAW_COLUMNS)}, each once, not {text!r}")
    return names


def _report(messages: Sequence[str]) -> None:
    for message in messages:
        echo_err(message)


def _outputs(options: argparse.Namespace) -> Outputs:
    if options.resume and options.output is None:
        raise OptionError("--resume continues a file: name it with -o")
    if options.retry_failed and not options.resume:
        raise OptionError("--retry-failed needs --resume, which reads what failed")
    outputs = Outputs(
        options.output, options.html, storage_options(options), options.max_pixels, options.base64, options.columns
    )
    outputs.check(may_exist=options.overwrite or options.resume)
    return outputs


def _checkpoint(options: argparse.Namespace) -> contextlib.AbstractContextManager[Checkpoint | None]:
    if options.output is None:
        return contextlib.nullcontext()
    return Checkpoint(options.output, resume=options.resume, overwrite=options.overwrite)


def _scorer(
    options: argparse.Namespace,
    images: list[object],
    before: Provenance | None,
    storage_options: Mapping[str, Any] | None,
) -> Scorer:
    from resmem_plugin.core.images.reader import require_files
    from resmem_plugin.core.scoring.scorer import Scorer

    if options.errors == "raise" and not options.base64:
        require_files(images)
    calibration = _calibration(options, images, before, storage_options)
    return Scorer.of(_scorer_options(options, calibration, storage_options))


def _scorer_options(
    options: argparse.Namespace,
    calibration: Sequence[object] | str | None,
    storage_options: Mapping[str, Any] | None,
) -> ScorerOptions:
    return replace(scorer_options_of(options, storage_options), cache=options.cache, calibration=calibration)


def _calibration(
    options: argparse.Namespace,
    images: list[object],
    before: Provenance | None,
    storage_options: Mapping[str, Any] | None,
) -> Sequence[object] | str | None:
    """The images or calibration id named, else the calibration of the earlier run, else a sample of the images."""
    from resmem_plugin.core.engines.calibration import is_calibration_id, sample_of

    named = options.calibration
    if named is None:
        if options.precision != "int8":
            return None
        return before.calibration if before is not None and before.calibration else sample_of(images)[0]
    if len(named) == 1 and is_calibration_id(named[0]):
        return str(named[0])
    return read_inputs(
        named,
        path_column="path",
        root=None,
        recursive=options.recursive,
        null=False,
        exclude=options.exclude,
        storage_options=storage_options,
    )[1]
