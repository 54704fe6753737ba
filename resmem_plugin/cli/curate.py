"""The commands `resmem reference`, `percentiles` and `select`."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from typing import Any

from resmem_plugin.cli.images import add_input_options, add_scorer_options, inputs_of, scorer_options_of
from resmem_plugin.cli.scored_table import (
    add_image_options,
    add_table_options,
    attributes_of,
    check_output,
    column_of,
    exit_code,
    flags_of,
    images_of,
    provenance_of,
    rows_of,
    scorer_of,
    scores_of,
    with_columns,
)
from resmem_plugin.cli.storage import storage_options
from resmem_plugin.cli.terminal import echo_err
from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.signals import defer_signals, exit_on_signal
from resmem_plugin.jobs.tables import read_table, to_frame, write_table

_STRATEGIES = ("balanced", "k_centre", "top", "random")
_PERCENTILE = "percentile"


def add_commands(commands: Any) -> None:
    """Add the commands to argparse's subparsers."""
    _add_reference(commands)
    _add_percentiles(commands)
    _add_select(commands)


def _add_reference(commands: Any) -> None:
    reference = commands.add_parser(
        "reference",
        help="make a distribution of scores to compare others with",
        description="Make a reference: the distribution of the scores of some images, with what produced them.",
    )
    actions = reference.add_subparsers(required=True, metavar="ACTION")
    build = actions.add_parser(
        "build",
        help="score images and write their distribution",
        description="Score images and write the distribution of their scores, as JSON. Images that cannot be read are "
        "left out.",
        epilog="Exit code: 0 all scored, 1 some failed, 2 wrong usage.",
    )
    build.set_defaults(run=_build)
    add_input_options(build)
    build.add_argument("--name", help="what the images are (default: the first input's name)")
    build.add_argument("-o", "--output", metavar="FILE", required=True, help="a .json file")
    build.add_argument("--overwrite", action="store_true", help="replace an existing file")
    build.add_argument(
        "--cache",
        metavar="FILE",
        default=True,
        help="keep the scores there (default: scores.sqlite in the cache folder)",
    )
    add_scorer_options(build)
    build.add_argument("-q", "--quiet", action="store_true", help="hide the progress bar")


def _add_percentiles(commands: Any) -> None:
    percentiles = commands.add_parser(
        "percentiles",
        help="say what scores mean among others",
        description=f"Add to a table of scores the column {_PERCENTILE}: the share of scores below each, in %, "
        "among those of the table or of a reference.",
    )
    percentiles.set_defaults(run=_percentiles)
    add_table_options(percentiles)
    percentiles.add_argument("--reference", metavar="FILE", help="what `resmem reference build` wrote")


def _add_select(commands: Any) -> None:
    select = commands.add_parser(
        "select",
        help="select memorable and diverse images",
        description="Select rows of a table of scores, memorable and unlike each other. The columns distance (to the "
        "nearest one selected before) and near_duplicates (the rows left out for it, as JSON) are added.",
        epilog="Exit code: 0 done, 1 some images cannot be read, 2 wrong usage.",
    )
    select.set_defaults(run=_select)
    add_table_options(select)
    select.add_argument("-n", type=int, required=True, metavar="N", help="how many rows, or of each class with --per")
    select.add_argument("--per", metavar="COLUMN", help="a column of classes: select N rows of each")
    select.add_argument(
        "--strategy",
        choices=_STRATEGIES,
        default="balanced",
        help="balanced: memorability and diversity; k_centre: diversity alone; top: memorability alone; random "
        "(default: balanced)",
    )
    select.add_argument(
        "--strength", type=float, default=0.5, metavar="X", help="of diversity in balanced, 0 to 1 (default: 0.5)"
    )
    select.add_argument("--ascending", action="store_true", help="prefer the least memorable")
    select.add_argument(
        "--preselected", metavar="COLUMN", help="a column of true and false: rows that are taken already"
    )
    select.add_argument(
        "--near-duplicates",
        choices=("best", "keep"),
        default="best",
        help="take only the best of near-duplicates, or treat them as any other (default: best)",
    )
    select.add_argument(
        "--near-distance", type=float, metavar="X", help="between near-duplicates, 0 to 2 (default: 0.5)"
    )
    select.add_argument(
        "--embeddings",
        metavar="COLUMN",
        help="a column of vectors (default: the images are read, and the outputs of ResMem's ResNet taken)",
    )
    select.add_argument("--seed", type=int, default=0, metavar="N", help="of random (default: 0)")
    add_image_options(select)


def _build(options: argparse.Namespace) -> int:
    check_output(options, (".json",))
    with exit_on_signal():
        from resmem_plugin.core.scoring.scorer import Scorer
        from resmem_plugin.curation import build_reference

        storage = storage_options(options)
        _, images = inputs_of(options, storage)
        scorer = Scorer.of(replace(scorer_options_of(options, storage), cache=options.cache))
    name = options.name or os.path.basename(os.path.normpath(options.inputs[0]))
    if not name.strip():
        raise OptionError("--name must say what the images are")
    reference, failed = build_reference(images, name, progress=False if options.quiet else None, scorer=scorer)
    with defer_signals():
        reference.save(options.output)
    print(f"{reference.name}: {reference.count:,} images")
    return exit_code(failed, len(images))


def _percentiles(options: argparse.Namespace) -> int:
    check_output(options)
    from resmem_plugin.curation import Reference, percentiles

    table = read_table(options.input)
    frame = to_frame(table)
    scores = scores_of(frame, options)
    if options.reference is None:
        provenance_of(frame)
        values = percentiles(scores)
    else:
        reference = Reference.load(options.reference)
        values = reference.percentile(scores, provenance_of(frame, reference.provenance))
    with defer_signals():
        write_table(with_columns(table, {_PERCENTILE: values.round(2)}), options.output, attributes_of(frame))
    return 0


def _select(options: argparse.Namespace) -> int:
    check_output(options)
    with exit_on_signal():
        import numpy as np
        import pandas as pd

        from resmem_plugin.curation import image_features, select
        from resmem_plugin.curation.diversity import NEAR_DISTANCE
        from resmem_plugin.curation.selection import check_selection, needs_embeddings

    near_distance = NEAR_DISTANCE if options.near_distance is None else options.near_distance
    check_selection(options.n, options.strength, options.strategy, options.near_duplicates, near_distance)
    table = read_table(options.input)
    frame = to_frame(table)
    provenance_of(frame)
    working = pd.DataFrame({"score": scores_of(frame, options)})
    if options.per is not None:
        working["per"] = column_of(frame, options.per, "--per").to_numpy()
    taken = None if options.preselected is None else flags_of(frame, options.preselected, "--preselected")
    embeddings: Any = None
    failed = 0
    if options.embeddings is not None:
        working["embeddings"] = column_of(frame, options.embeddings, "--embeddings").to_numpy()
        embeddings = "embeddings"
    elif needs_embeddings(options.strength, options.strategy, options.near_duplicates):
        images, scorer = images_of(frame, options), scorer_of(options)
        embeddings = image_features(images, progress=False if options.quiet else None, scorer=scorer)
        failed = int(np.isnan(embeddings).any(axis=1).sum())
    selected = select(
        working,
        options.n,
        "score",
        embeddings,
        options.strength,
        None if options.per is None else "per",
        strategy=options.strategy,
        ascending=options.ascending,
        preselected=taken,
        near_duplicates=options.near_duplicates,
        near_distance=near_distance,
        seed=options.seed,
    )
    rows = selected.index.tolist()
    names = frame[options.path_column] if options.path_column in frame.columns else frame.index
    left_out = [
        json.dumps([str(names[row]) for row in near], ensure_ascii=False) for near in selected["near_duplicates"]
    ]
    added = {"distance": selected["distance"].to_numpy(), "near_duplicates": left_out}
    with defer_signals():
        write_table(with_columns(rows_of(table, rows), added), options.output, attributes_of(frame))
    echo_err(f"{len(rows):,} of {len(frame):,} rows selected")
    return exit_code(failed, len(frame))
