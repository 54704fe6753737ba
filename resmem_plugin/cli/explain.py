"""The commands `resmem explain`, `layers`, `activations` and `features`."""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resmem_plugin.cli.images import add_input_options, add_scorer_options, inputs_of, scorer_options_of
from resmem_plugin.cli.storage import storage_options
from resmem_plugin.cli.terminal import echo_err
from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.reader import describe
from resmem_plugin.core.scoring.progress import reporting
from resmem_plugin.jobs.signals import defer_signals, exit_on_signal
from resmem_plugin.jobs.tables import check_file

if TYPE_CHECKING:
    from resmem_plugin.core.scoring.scorer import Scorer
    from resmem_plugin.explain.folder import Existing

_METHODS = ("occlusion", "integrated_gradients", "gradient_x_input", "smoothgrad", "layer_cam")
_BASELINES = ("blurred", "mean", "blank")
_TABLE = "explanations.csv"


def add_commands(commands: Any) -> None:
    """Add the commands to argparse's subparsers."""
    explain = commands.add_parser(
        "explain",
        help="show what in images raises and lowers their scores",
        description="Show what in images raises their scores and what lowers them. The folder gets for each image the "
        f"map (.npz, for resmem_plugin.explain.Explanation.load) and a picture (.png), and {_TABLE}, a table of them.",
        epilog="Exit code: 0 all explained, 1 some failed, 2 wrong usage.",
    )
    explain.set_defaults(run=_explain)
    add_input_options(explain)
    explain.add_argument("-o", "--output", metavar="FOLDER", required=True, help="write the files there")
    explain.add_argument("--html", metavar="FILE", help="write a gallery of the images under their maps")
    explain.add_argument("--method", choices=_METHODS, default="occlusion", help="(default: occlusion)")
    explain.add_argument(
        "--baseline", choices=_BASELINES, default="blurred", help="what hides a part of an image (default: blurred)"
    )
    explain.add_argument(
        "--passes",
        type=int,
        metavar="N",
        help="through the network for each image: of occlusion 49 to 169 (default: 80), of integrated_gradients 9 to "
        "500 (64), of smoothgrad 1 to 500 (16)",
    )
    explain.add_argument("--seed", type=int, default=0, metavar="N", help="of smoothgrad's noise (default: 0)")
    existing = explain.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace existing files")
    existing.add_argument("--resume", action="store_true", help="keep what is explained already, and explain the rest")
    add_scorer_options(explain)
    explain.add_argument("-q", "--quiet", action="store_true", help="hide the progress bar")

    layers = commands.add_parser("layers", help="list the network's layers", description="List the network's layers.")
    layers.set_defaults(run=_layers)

    activations = commands.add_parser(
        "activations",
        help="write what the filters of a layer answer to images",
        description="Write what the filters of a layer answer to images, as parquet: the columns image, error, and one "
        "for each filter.",
        epilog="Exit code: 0 all read, 1 some failed, 2 wrong usage.",
    )
    activations.set_defaults(run=_activations)
    add_input_options(activations)
    activations.add_argument(
        "--layer", required=True, help="its name, address or number, as `resmem layers` lists them"
    )
    activations.add_argument(
        "--over", choices=("mean", "max"), default="mean", help="of a filter's output over the image (default: mean)"
    )
    activations.add_argument("-o", "--output", metavar="FILE", required=True, help="a .parquet file")
    activations.add_argument("--overwrite", action="store_true", help="replace an existing file")
    add_scorer_options(activations)
    activations.add_argument("-q", "--quiet", action="store_true", help="hide the progress bar")

    features = commands.add_parser(
        "features",
        help="draw what filters of a layer look for",
        description="Draw what filters of a layer look for, by gradient ascent, on one sheet; with images, each "
        "followed by those that excite the filter most.",
    )
    features.set_defaults(run=_features)
    add_input_options(features, nargs="*")
    features.add_argument("--layer", required=True, help="its name, address or number, as `resmem layers` lists them")
    features.add_argument(
        "--filters", required=True, type=_numbers, metavar="N[,N]", help="their numbers, from 0, as in 0,7,12"
    )
    features.add_argument("--top", type=int, default=9, metavar="N", help="images of each filter (default: 9)")
    features.add_argument("--steps", type=int, default=128, metavar="N", help="of the ascent (default: 128)")
    features.add_argument("--size", type=int, default=227, metavar="PIXELS", help="of a picture (default: 227)")
    features.add_argument("--seed", type=int, default=0, metavar="N", help="of the ascent (default: 0)")
    features.add_argument("-o", "--output", metavar="FILE", required=True, help="a .png or .jpg file")
    features.add_argument("--overwrite", action="store_true", help="replace an existing file")
    add_scorer_options(features)
    features.add_argument("-q", "--quiet", action="store_true", help="hide the progress bar")


def _explain(options: argparse.Namespace) -> int:
    table_path = Path(options.output, _TABLE)
    if options.html is not None:
        _check_file(options.html, (".html", ".htm"), overwrite=options.overwrite or options.resume)
    if os.path.lexists(options.output) and not os.path.isdir(options.output):
        raise OptionError(f"{options.output} is no folder: name one with -o")
    if table_path.exists() and not (options.overwrite or options.resume):
        raise OptionError(f"{table_path} exists: name another folder, or use --resume or --overwrite")
    with exit_on_signal():
        from resmem_plugin.explain import explain_into

        images, scorer = _images_and_scorer(options)
    existing: Existing = "overwrite" if options.overwrite else "resume" if options.resume else "refuse"
    made = explain_into(
        options.output,
        images,
        options.method,
        baseline=options.baseline,
        passes=options.passes,
        seed=options.seed,
        existing=existing,
        scorer=scorer,
    )
    rows, shown, failed = [], [], 0
    with reporting(False if options.quiet else None, len(images)) as report:
        for image, (name, found) in zip(images, made, strict=True):
            failed += not found.ok
            figures = (found.score, found.baseline_score, found.completeness_error)
            rows.append([describe(image), name, *(_figure(each) for each in figures), found.error or ""])
            if options.html is not None:
                shown.append(found)
            report(not found.ok)
    with defer_signals():
        with replacing(table_path) as unfinished, open(unfinished, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "file", "memorability", "baseline_memorability", "completeness_error", "error"])
            writer.writerows(rows)
        if options.html is not None:
            from resmem_plugin.reports.explanations import explanation_gallery

            explanation_gallery(images, shown, scorer).save(options.html)
    return _tell_failures(failed, len(images), f"{table_path} has the reasons")


def _layers(_: argparse.Namespace) -> int:
    with exit_on_signal():
        from resmem_plugin.explain import layers
    print(layers().to_csv(index=False), end="")
    return 0


def _activations(options: argparse.Namespace) -> int:
    _check_file(options.output, (".parquet",), overwrite=options.overwrite)
    with exit_on_signal():
        from resmem_plugin.explain import activations_to_parquet

        images, scorer = _images_and_scorer(options)
    count, failed = activations_to_parquet(
        images,
        options.layer,
        options.output,
        over=options.over,
        progress=False if options.quiet else None,
        total=len(images),
        scorer=scorer,
    )
    return _tell_failures(failed, count, f"the column error of {options.output} has the reasons")


def _features(options: argparse.Namespace) -> int:
    _check_file(options.output, (".png", ".jpg", ".jpeg"), overwrite=options.overwrite)
    with exit_on_signal():
        from PIL import Image

        from resmem_plugin.explain import contact_sheet, top_images, visualize_feature

        images, scorer = _images_and_scorer(options)
    pictures = []
    progress = False if options.quiet else None
    with reporting(progress, len(options.filters)) as report:
        for number in options.filters:
            drawn = visualize_feature(
                options.layer, number, steps=options.steps, size=options.size, seed=options.seed, scorer=scorer
            )
            pictures.append(drawn)
            if images:
                best = top_images(options.layer, number, images, options.top, progress=progress, scorer=scorer)
                found = [scorer.reader.read(image).image for image in best["image"]]
                pictures += found + [Image.new("RGB", (1, 1), "white")] * (options.top - len(found))
            report(False)
    sheet = contact_sheet(pictures, options.top + 1 if images else None)
    with defer_signals(), replacing(options.output) as unfinished:
        sheet.save(unfinished, "PNG" if options.output.lower().endswith(".png") else "JPEG")
    return 0


def _images_and_scorer(options: argparse.Namespace) -> tuple[list[object], Scorer]:
    from resmem_plugin.core.scoring.scorer import Scorer

    storage = storage_options(options)
    images = inputs_of(options, storage)[1] if options.inputs else []
    return images, Scorer.of(scorer_options_of(options, storage))


def _check_file(path: str, suffixes: tuple[str, ...], *, overwrite: bool) -> None:
    if not path.lower().endswith(suffixes):
        raise OptionError(f"{path} must end in {', '.join(suffixes)}")
    check_file(path)
    if os.path.lexists(path) and not overwrite:
        raise OptionError(f"{path} exists: name another file, or use --overwrite")


def _tell_failures(failed: int, count: int, where: str) -> int:
    if failed:
        echo_err(f"{failed} of {count} images failed: {where}")
    return int(failed > 0)


def _figure(value: float) -> str:
    return "" if value != value else f"{value:.6f}"


def _numbers(text: str) -> list[int]:
    with contextlib.suppress(ValueError):
        return [int(number) for number in text.split(",")]
    raise argparse.ArgumentTypeError(f"give numbers separated by commas, as in 0,7,12, not {text!r}")
