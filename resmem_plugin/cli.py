"""The `resmem` command.

Results go to standard output, progress and warnings to standard error. Exit codes: 0 all scored, 1 some failed, 2 wrong
usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import numpy as np

from resmem_plugin.cli_fiftyone import add_commands
from resmem_plugin.core.errors import OptionError, ResMemError, ResMemWarning
from resmem_plugin.core.scores import package_version
from resmem_plugin.inputs import read_inputs
from resmem_plugin.tables import Table, check_file, check_writable, write_table
from resmem_plugin.terminal import Parser
from resmem_plugin.terminal import tell as _tell

if TYPE_CHECKING:
    from resmem_plugin.core.scorer import Scorer
    from resmem_plugin.core.scores import Provenance, Score

_SHOWN_IN_GALLERY = 200
_NOT_REACHED = "not scored: the run stopped before it came to this image"


def run() -> NoReturn:
    """What the console script calls: `main`, then out.

    Python would take half a second to take the loaded network and torch apart before it exits, for nothing.
    """
    if sys.stderr is None:  # closed, as by `2>&-`
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    try:
        code = main()
    except SystemExit as usage:  # argparse has said what is wrong
        code = usage.code if isinstance(usage.code, int) else 2
    with contextlib.suppress(OSError, ValueError, AttributeError):  # what matters is flushed already
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        warnings.simplefilter("always", ResMemWarning)
        try:
            return int(options.run(options))
        except OptionError as error:
            _tell(f"error: {error}")
            return 2
        except BrokenPipeError:  # `resmem score ... | head`: the reader has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except (ResMemError, OSError) as error:
            _tell(f"error: {error}")
            return 1
        except KeyboardInterrupt:
            _tell("interrupted")
            return 130


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="resmem", description="How memorable are these pictures? ResMem's answer, 0 to 1.")
    parser.add_argument("--version", action="version", version=f"resmem-plugin {package_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    score = commands.add_parser(
        "score",
        help="score images, folders or a table of paths",
        description="Score images. Prints csv (path, memorability, error, provenance), or writes what -o names.",
        epilog="Exit code: 0 all scored, 1 some failed, 2 wrong usage, 130 interrupted.",
    )
    score.set_defaults(run=_score)
    score.add_argument(
        "inputs",
        nargs="+",
        metavar="IMAGE|FOLDER|TABLE|-",
        help="image files or URLs, folders, one table (.csv .tsv .jsonl .parquet), or - for a list of paths on stdin",
    )
    score.add_argument(
        "-r",
        "--recursive",
        action="store_true",
        help="look into the folders' subfolders too (links to folders are not followed, hidden files left out)",
    )
    score.add_argument(
        "-0", "--null", action="store_true", help="the list on stdin is separated by NUL, as find -print0 does"
    )
    score.add_argument(
        "--path-column", metavar="COLUMN", default="path", help="the table's column of paths (default: path)"
    )
    score.add_argument("--root", metavar="FOLDER", help="where relative paths of a table or list start (default: here)")
    score.add_argument("-o", "--output", metavar="FILE", help="write .csv, .tsv, .jsonl or .parquet instead of stdout")
    score.add_argument("--html", metavar="FILE", help="write a gallery of the pictures, the most memorable first")
    score.add_argument("--overwrite", action="store_true", help="replace output files that exist")
    score.add_argument(
        "--errors",
        choices=("raise", "coerce"),
        default="coerce",
        help="an image that fails: stop there, or give it an empty score and the reason (default: coerce)",
    )
    score.add_argument(
        "--batch-size", type=int, metavar="N", help="images a forward pass (default: what suits the device)"
    )
    score.add_argument(
        "--num-workers", type=int, metavar="N", help="images decoded at once (default: one for each core)"
    )
    score.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    score.add_argument("--precision", default="auto", help="auto, fp32, bf16 or fp16 (default: auto)")
    score.add_argument("--engine", default="auto", help="auto, pytorch or openvino (default: auto)")
    score.add_argument(
        "--decode", choices=("exact", "fast"), default="exact", help="fast: large JPEGs quicker, within 0.003"
    )
    score.add_argument(
        "--weights", metavar="FILE", help="model.pt (default: $RESMEM_WEIGHTS, then the resmem distribution)"
    )
    score.add_argument(
        "--exif-transpose", action="store_true", help="turn images upright by their EXIF orientation first"
    )
    score.add_argument("-q", "--quiet", action="store_true", help="no progress bar")

    commands.add_parser("weights", help="where the weights are, their hash, their licence").set_defaults(run=_weights)
    add_commands(commands)
    return parser


def _score(options: argparse.Namespace) -> int:
    _check_outputs(options)
    table, images = read_inputs(
        options.inputs,
        path_column=options.path_column,
        root=options.root,
        recursive=options.recursive,
        null=options.null,
    )

    from resmem_plugin.core.scorer import Scorer, require_files

    if options.errors == "raise":
        require_files(images)
    scorer = Scorer(
        device=options.device,
        engine=options.engine,
        precision=options.precision,
        batch_size=options.batch_size,
        num_workers=options.num_workers,
        decode=options.decode,
        weights=options.weights,
        exif_transpose=options.exif_transpose,
    )
    scores, code = _scores(scorer, images, options)
    with _undisturbed():
        written = _write(table, scores, scorer.provenance, options)
    if options.html:
        written += _write_gallery(images, scores, scorer.provenance, options)
    failed = sum(score.error is not None for score in scores)
    _tell(
        f"{len(scores) - failed} of {len(images)} scored"
        f"{f', {failed} failed: see the error column' if failed else ''}"
        f"{'; written to ' if written else ''}{' and '.join(written)}"
    )
    complete = len(written) == bool(options.output) + bool(options.html)
    return code or int(failed > 0 or not complete)


def _scores(scorer: Scorer, images: list[object], options: argparse.Namespace) -> tuple[list[Score], int]:
    """Score to the end, an error that shall stop it, or an interrupt: the scores, and the exit code if stopped."""
    from resmem_plugin.core.images import describe
    from resmem_plugin.core.progress import reporting

    scores: list[Score] = []
    try:
        with reporting(False if options.quiet else None, len(images)) as report:
            for score in scorer.iter_scores(images):
                scores.append(score)
                report(score.error is not None)
                if score.error is not None and options.errors == "raise":
                    _tell(f"error: {describe(images[score.index])}: {score.error}")
                    return scores, 1
    except KeyboardInterrupt:
        _tell(f"interrupted after {len(scores)} of {len(images)} images, which are kept")
        return scores, 130
    except Exception as error:  # of the device, say: the scores must not go with it
        _tell(f"error: {type(error).__name__}: {error}; {len(scores)} of {len(images)} images are kept")
        return scores, 1
    return scores, 0


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait: what took hours to score is written in a moment."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread, which alone is interrupted
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _write(table: Table, scores: list[Score], provenance: Provenance, options: argparse.Namespace) -> list[str]:
    """Write the table with its scores, every row of it; returns the file's name, if there is one."""
    missing = len(table) - len(scores)
    results: dict[str, Any] = {
        "memorability": np.array([*(score.memorability for score in scores), *[math.nan] * missing], np.float32),
        "error": [*(score.error for score in scores), *[_NOT_REACHED] * missing],
        "provenance": [provenance.id] * len(table),
    }
    scored = Table([*table.names, *results], [*table.columns, *results.values()])
    attributes = {"resmem": {"provenance": provenance.id, **provenance.to_dict()}}
    if options.output is None:
        write_table(scored, None, attributes)
        return []
    try:
        write_table(scored, options.output, attributes)
    except Exception as error:  # a full disk, a name that parquet cannot hold: the scores must not go with it
        _tell(f"error: {options.output} could not be written ({error}); its rows follow as csv")
        write_table(scored, None, attributes)
        return []
    return [options.output]


def _write_gallery(
    images: list[object], scores: list[Score], provenance: Provenance, options: argparse.Namespace
) -> list[str]:
    from resmem_plugin.gallery import Card, Gallery

    ranked = sorted((score for score in scores if score.ok), key=lambda score: score.memorability, reverse=True)
    failed = [score for score in scores if not score.ok][: _SHOWN_IN_GALLERY // 2]
    title = "Memorability: the most memorable first"
    if len(ranked) > _SHOWN_IN_GALLERY:
        ranked = ranked[: _SHOWN_IN_GALLERY // 2] + ranked[-_SHOWN_IN_GALLERY // 2 :]
        title = f"Memorability: the {_SHOWN_IN_GALLERY // 2} most and the {_SHOWN_IN_GALLERY // 2} least memorable"
    cards = [Card(images[score.index], score.memorability, score.error) for score in ranked + failed]
    try:
        Gallery(cards, title=title, total=len(images), provenance=provenance).save(options.html)
    except OSError as error:
        _tell(f"error: {options.html} could not be written ({error})")
        return []
    return [options.html]


def _check_outputs(options: argparse.Namespace) -> None:
    if options.output:
        check_writable(options.output)
    elif sys.stdout is None:
        raise OptionError("standard output is closed: name a file with -o")
    if options.html:
        check_file(options.html)
    for path in filter(None, (options.output, options.html)):
        if os.path.lexists(path) and not options.overwrite:
            raise OptionError(f"{path} exists: name another file, or replace it with --overwrite")
    if options.output and options.html and os.path.realpath(options.output) == os.path.realpath(options.html):
        raise OptionError(f"-o and --html both name {options.html}: one would replace the other")


def _weights(options: argparse.Namespace) -> int:  # noqa: ARG001 (every command takes its options)
    from resmem_plugin.core.weights import LICENCE, find_weights, verify

    weights = find_weights()
    verify(weights)
    print(f"path      {weights.path}")
    print(f"sha256    {weights.sha256} (verified)")
    print(f"converted {weights.cached}{'' if weights.cached.exists() else ' (at the first use)'}")
    print(f"licence   {LICENCE}")
    return 0


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 (this and the others: the signature is Python's)
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    _tell(f"warning: {message}")


if __name__ == "__main__":
    run()
