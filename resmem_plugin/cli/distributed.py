"""`resmem score --distributed`, and the command `resmem merge`."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from resmem_plugin.cli.terminal import echo_err
from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.signals import defer_signals, exit_on_signal

if TYPE_CHECKING:
    from resmem_plugin.core.scoring.options import ScorerOptions

_SHARD_SIZE = 1000


def add_distributed_options(score: argparse.ArgumentParser) -> None:
    """Add the options of a run on a cluster to the command `score`."""
    group = score.add_argument_group(
        "on a cluster",
        "-o names a folder, which gets a parquet file for each shard of the input; `resmem merge` makes them one "
        "table. The same command continues after a stop: shards that are done are skipped.",
    )
    group.add_argument("--distributed", choices=("ray", "dask"), help="score with the workers of Ray or Dask")
    group.add_argument(
        "--address", metavar="ADDRESS", help="the running cluster (default: one is started on this machine)"
    )
    group.add_argument(
        "--workers", type=_positive, metavar="N", help="number of workers (default: one per GPU, or one per machine)"
    )
    group.add_argument(
        "--shard-size", type=_positive, metavar="N", help=f"rows of a shard, at most (default: {_SHARD_SIZE})"
    )


def check_not_distributed(options: argparse.Namespace) -> None:
    """Check that no option of a run on a cluster was given.

    Raises:
        OptionError: naming one that was.
    """
    for name in ("address", "workers", "shard_size"):
        if getattr(options, name) is not None:
            raise OptionError(f"--{name.replace('_', '-')} needs --distributed ray or --distributed dask")


def score_distributed(options: argparse.Namespace, scorer_options: ScorerOptions) -> int:
    """Run `resmem score --distributed`, and return its exit code."""
    _check(options)
    with exit_on_signal():
        from resmem_plugin.distributed.job import DistributedJob
        from resmem_plugin.distributed.shard_folder import ShardFolder
        from resmem_plugin.distributed.shard_input import read_shards
        from resmem_plugin.distributed.workers import Cluster

        cluster = Cluster(options.distributed, options.address, options.workers)
        folder = ShardFolder(options.output)
        folder.create()
        shards = read_shards(
            options.inputs,
            options.shard_size or _SHARD_SIZE,
            path_column=options.path_column,
            root=options.root,
            base64=options.base64,
            recursive=options.recursive,
            null=options.null,
            exclude=options.exclude,
            storage_options=scorer_options.storage_options,
            sheet=options.sheet,
        )
    job = DistributedJob(folder, cluster, options.retry_failed)
    # A file that kills its decoder then costs its own row, not its worker.
    outcome = job.run(shards, replace(scorer_options, processes=True), False if options.quiet else None)
    for message in outcome.messages:
        echo_err(message)
    return outcome.exit_code


def _check(options: argparse.Namespace) -> None:
    if options.output is None:
        raise OptionError("--distributed writes a folder of shards: name it with -o")
    if os.path.splitext(options.output)[1].lower() in (".csv", ".tsv", ".jsonl"):
        raise OptionError(
            f"--distributed writes a folder of parquet files, not {options.output}: name a folder, and make its "
            "shards one table with resmem merge"
        )
    if options.overwrite:
        raise OptionError(f"--distributed never replaces shards: name another folder, or remove {options.output}")
    for name, is_given in {"--html": options.html, "--columns": options.columns}.items():
        if is_given:
            raise OptionError(f"{name} is not written by --distributed: leave it out")
    if options.errors == "raise":
        raise OptionError("--distributed records failures as rows: leave --errors raise out")


def add_merge_command(commands: Any) -> None:
    """Add the command `merge` to argparse's subparsers."""
    merge = commands.add_parser(
        "merge",
        help="make one table of the shards of a run on a cluster",
        description="Make one table of the shards that `resmem score --distributed` wrote, in the order of its input.",
    )
    merge.set_defaults(run=_merge)
    merge.add_argument("folder", metavar="FOLDER", help="the folder of shards")
    merge.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="the .parquet, .csv, .tsv or .jsonl file to write"
    )
    merge.add_argument("--overwrite", action="store_true", help="replace an existing file")


def _merge(options: argparse.Namespace) -> int:
    with exit_on_signal():
        from resmem_plugin.distributed.shard_folder import ShardFolder
    if os.path.lexists(options.output) and not options.overwrite:
        raise OptionError(f"{options.output} exists: name another file, or use --overwrite")
    with defer_signals():
        rows = ShardFolder(options.folder).merge(options.output)
    echo_err(f"{rows} rows written to {options.output}")
    return 0


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text!r}")
    return number
