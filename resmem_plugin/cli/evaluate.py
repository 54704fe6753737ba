"""The command `resmem evaluate`."""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING, Any

from resmem_plugin.cli.terminal import echo_err
from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.engines.base import DEVICES_TEXT
from resmem_plugin.core.engines.resolve import ENGINES, PRECISIONS
from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.outputs import RESULT_COLUMNS
from resmem_plugin.jobs.signals import defer_signals, exit_on_signal
from resmem_plugin.jobs.tables import check_file, read_table, to_frame

if TYPE_CHECKING:
    import pandas as pd

    from resmem_plugin.training import Evaluation

_DATASETS = ("lamem", "memcat", "figrim", "things")
_OUTPUTS = (".json", ".csv", ".html")
_MEMORABILITY = RESULT_COLUMNS[0]
_SCORE = "score"


def add_command(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    evaluate = commands.add_parser(
        "evaluate",
        help="compare scores with what people remembered",
        description="Compare scores with what people remembered: correlations and errors with 95 % intervals, also for "
        "each group. TABLE holds both, as what `resmem score` made of a table of ratings; with --dataset, FOLDER is a "
        "published data set, whose images are scored first. Scores are kept in the cache, so that a run that was "
        "stopped continues.",
        epilog="Exit code: 0 all evaluated, 1 some images failed, 2 wrong usage.",
    )
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument("input", metavar="TABLE|FOLDER", help="a table of scores and ratings, or a data set's folder")
    evaluate.add_argument("--target", metavar="COLUMN", help="the table's column of what people remembered")
    evaluate.add_argument(
        "--prediction", metavar="COLUMN", default=_MEMORABILITY, help=f"its column of scores (default: {_MEMORABILITY})"
    )
    evaluate.add_argument(
        "--path-column", metavar="COLUMN", default="path", help="its column of images, for the report (default: path)"
    )
    evaluate.add_argument("--group", metavar="COLUMN", help="a column of groups, such as categories, to compare too")
    evaluate.add_argument(
        "--resamples", type=int, default=1000, metavar="N", help="of the bootstrap, for the intervals (default: 1000)"
    )
    evaluate.add_argument(
        "-o", "--output", metavar="FILE", help="write a .json or .csv file of the figures, or a report as .html"
    )
    evaluate.add_argument("--overwrite", action="store_true", help="replace an existing file")
    published = evaluate.add_argument_group("of a published data set")
    published.add_argument("--dataset", choices=_DATASETS, help="which data set the folder holds")
    published.add_argument(
        "--split",
        metavar="NAME",
        help="its split, such as test (default: all; of LaMem, whose first fold is taken, test)",
    )
    published.add_argument("--device", default="auto", help=f"{DEVICES_TEXT} (default: auto)")
    published.add_argument("--precision", default="auto", help=f"{', '.join(PRECISIONS)} (default: auto)")
    published.add_argument("--engine", default="auto", help=f"{', '.join(ENGINES)} (default: auto)")
    published.add_argument("--weights", metavar="FILE", help="path of the weights (default: the published ones)")
    published.add_argument(
        "--cache",
        metavar="FILE",
        default=True,
        help="keep the scores there (default: scores.sqlite in the cache folder)",
    )
    published.add_argument("-q", "--quiet", action="store_true", help="hide the progress bar")


def _evaluate(options: argparse.Namespace) -> int:
    _check(options)
    with exit_on_signal():
        from resmem_plugin.training import evaluate
    failed = 0
    if options.dataset is None:
        frame = to_frame(read_table(options.input))
        prediction, target, group = options.prediction, options.target, options.group
    else:
        frame, failed = _scored_dataset(options)
        prediction, target, group = _SCORE, _MEMORABILITY, "group" if frame["group"].notna().any() else None
    evaluation = evaluate(frame, prediction, target, group, options.resamples)
    print(evaluation)
    if options.output is not None:
        with defer_signals():
            if options.output.lower().endswith(".html"):
                from resmem_plugin.reports.evaluation import save_evaluation

                images = options.path_column if options.path_column in frame.columns else None
                title = f"{options.dataset or os.path.basename(options.input)}: {target} and {prediction}"
                save_evaluation(options.output, evaluation, frame, prediction, target, images=images, title=title)
            else:
                _write(evaluation, options.output)
    return int(failed > 0)


def _check(options: argparse.Namespace) -> None:
    if options.dataset is None and options.target is None:
        raise OptionError(
            "name the column of what people remembered with --target, or a published data set with --dataset"
        )
    if options.dataset is not None and (options.target or options.group or options.prediction != _MEMORABILITY):
        raise OptionError("--dataset knows its columns: leave --target, --prediction and --group out")
    if options.dataset is None and options.split is not None:
        raise OptionError("--split is for --dataset: cut the table to the rows instead")
    if options.resamples < 0:
        raise OptionError(f"--resamples must be 0 or more, not {options.resamples}")
    if options.output is not None:
        if os.path.splitext(options.output)[1].lower() not in _OUTPUTS:
            raise OptionError(f"{options.output} must end in {', '.join(_OUTPUTS)}")
        check_file(options.output)
        if os.path.lexists(options.output) and not options.overwrite:
            raise OptionError(f"{options.output} exists: name another file, or use --overwrite")


def _scored_dataset(options: argparse.Namespace) -> tuple[pd.DataFrame, int]:
    """A published data set with its scores, and how many images failed."""
    from resmem_plugin import Scorer, ScorerOptions, datasets

    frame: pd.DataFrame = getattr(datasets, options.dataset)(options.input)
    split = options.split or ("test" if options.dataset == "lamem" else None)
    if split is not None:
        if split not in set(frame["split"]):
            known = ", ".join(sorted(filter(None, set(frame["split"])))) or "none"
            raise OptionError(f"{options.dataset} has no split {split!r}; its splits: {known}")
        attributes = frame.attrs
        frame = frame[frame["split"] == split].reset_index(drop=True)
        frame.attrs = attributes
    scorer = Scorer.of(
        ScorerOptions(
            device=options.device,
            precision=options.precision,
            engine=options.engine,
            weights=options.weights,
            cache=options.cache,
        )
    )
    scores = scorer.score(frame["path"], errors="coerce", progress=False if options.quiet else None)
    frame[_SCORE] = [score.memorability for score in scores]
    frame.attrs["resmem"] = scorer.provenance.to_record()
    failures = [score for score in scores if not score.ok]
    if failures:
        first, of = failures[0], f"{len(failures)} of {len(scores)}"
        echo_err(f"warning: {of} images failed; the first is {frame['path'][first.index]}: {first.error}")
    return frame, len(failures)


def _write(evaluation: Evaluation, path: str) -> None:
    with replacing(path) as unfinished:
        if path.lower().endswith(".json"):
            unfinished.write_text(json.dumps(evaluation.to_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        else:
            evaluation.to_frame().to_csv(unfinished, index=False)
