"""The options of commands that read images and run the network, and what they give."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from resmem_plugin.cli.storage import add_options as add_storage_options
from resmem_plugin.core.engines.base import DEVICES_TEXT
from resmem_plugin.core.engines.resolve import ENGINES, PRECISIONS
from resmem_plugin.jobs.inputs import read_inputs

if TYPE_CHECKING:
    from resmem_plugin.core.scoring.options import ScorerOptions
    from resmem_plugin.jobs.tables import Table


def add_input_options(command: argparse.ArgumentParser, nargs: str = "+") -> None:
    """Add the images, and how to find them."""
    command.add_argument(
        "inputs",
        nargs=nargs,
        metavar="IMAGE|FOLDER|ARCHIVE|TABLE|-",
        help="image files or URLs, folders, archives (.zip .tar .tar.gz .tar.bz2 .tar.xz, shard-{000..009}.tar), URLs "
        "of folders (s3://bucket/folder/), quoted patterns of them, one table (.csv .tsv .json .jsonl, each also .gz "
        ".bz2 .xz; .parquet, a folder of them; .feather .arrow .orc .xlsx), a list of paths (.txt .lst), or - for one "
        "on stdin",
    )
    command.add_argument(
        "-r",
        "--recursive",
        action="store_true",
        help="include subfolders (links to folders are not followed, hidden files are skipped); those of archives "
        "always are",
    )
    add_exclude_option(command)
    command.add_argument(
        "-0", "--null", action="store_true", help="paths of the list are separated by NUL, as in find -print0"
    )
    command.add_argument(
        "--path-column", metavar="COLUMN", default="path", help="the table's column of paths (default: path)"
    )
    command.add_argument("--sheet", metavar="NAME", help="the workbook's sheet (default: the first that is not hidden)")
    command.add_argument(
        "--base64", action="store_true", help="the table's column or the list holds images in base64, not paths"
    )
    command.add_argument(
        "--root", metavar="FOLDER", help="base of relative paths in a table or list (default: current folder)"
    )
    add_storage_options(command)


def add_exclude_option(command: argparse.ArgumentParser) -> None:
    """Add the option --exclude to a command that takes folders."""
    command.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out the files and subfolders of a folder whose name, or path in the folder, matches, as in "
        "--exclude 'thumbs*'; repeat it for more",
    )


def inputs_of(options: argparse.Namespace, storage_options: Mapping[str, Any] | None) -> tuple[Table, list[object]]:
    """The table of images that the options name, and its images; see `read_inputs`."""
    return read_inputs(
        options.inputs,
        path_column=options.path_column,
        root=options.root,
        recursive=options.recursive,
        null=options.null,
        exclude=options.exclude,
        base64=options.base64,
        storage_options=storage_options,
        sheet=options.sheet,
    )


def add_scorer_options(command: argparse.ArgumentParser) -> None:
    """Add how images are decoded and the network is run."""
    command.add_argument(
        "--batch-size", type=int, metavar="N", help="images per forward pass (default: what is fastest on the device)"
    )
    command.add_argument("--num-workers", type=int, metavar="N", help="images decoded at once (default: one per core)")
    command.add_argument("--device", default="auto", help=f"{DEVICES_TEXT} (default: auto)")
    command.add_argument("--precision", default="auto", help=f"{', '.join(PRECISIONS)} (default: auto)")
    command.add_argument("--engine", default="auto", help=f"{', '.join(ENGINES)} (default: auto)")
    command.add_argument(
        "--decode",
        choices=("exact", "fast"),
        default="exact",
        help="fast: scale large JPEGs down while decoding; moves scores by up to 0.006 (default: exact)",
    )
    command.add_argument(
        "--weights", metavar="FILE", help="path of model.pt (default: $RESMEM_WEIGHTS, then the resmem distribution)"
    )
    command.add_argument(
        "--max-pixels",
        type=int,
        metavar="N",
        help="the most pixels of one image; larger ones fail (default: $RESMEM_MAX_PIXELS, then 179 million)",
    )
    command.add_argument("--exif-transpose", action="store_true", help="rotate images by their EXIF orientation first")


def scorer_options_of(options: argparse.Namespace, storage_options: Mapping[str, Any] | None) -> ScorerOptions:
    """The options of a scorer that these options give."""
    from resmem_plugin.core.scoring.options import ScorerOptions

    return ScorerOptions(
        device=options.device,
        engine=options.engine,
        precision=options.precision,
        batch_size=options.batch_size,
        num_workers=options.num_workers,
        decode=options.decode,
        weights=options.weights,
        exif_transpose=options.exif_transpose,
        max_pixels=options.max_pixels,
        base64=options.base64,
        storage_options=storage_options,
    )
