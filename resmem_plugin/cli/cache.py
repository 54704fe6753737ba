"""The command `resmem cache`: what is kept of earlier runs, and how to be rid of it."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    cache = commands.add_parser(
        "cache",
        help="the cache of scores: what is in it, or empty it",
        description="The scores that `resmem score --cache` and Scorer(cache=True) keep.",
    )
    cache.set_defaults(run=_cache)
    cache.add_argument("action", choices=("info", "clear"), help="say what is in it, or remove all scores from it")
    cache.add_argument("--cache", metavar="FILE", default=True, help="another file than the user's own")


def add_option(parser: Any) -> None:
    """Add `--cache` to a command that scores."""
    parser.add_argument(
        "--cache",
        nargs="?",
        const=True,
        metavar="FILE",
        help="keep scores, and take those that were kept, in a .sqlite file (default: one in the user's cache folder)",
    )


def _cache(options: argparse.Namespace) -> int:
    from resmem_plugin.core.cache.scores import ScoreCache

    cache = ScoreCache.of(options.cache)
    if options.action == "clear":
        count = cache.clear()
        print(f"resmem: removed {count:,} scores from {cache.path}", file=sys.stderr)
        return 0
    info = cache.info()
    print(f"path       {cache.path}{'' if cache.path.exists() else ' (at the first use)'}")
    print(f"scores     {sum(info.scores.values()):,}")
    print(f"size       {info.file_bytes / 2**20:.1f} of at most {cache.max_bytes >> 20:,} MB")
    for provenance, count in info.scores.items():
        print(f"provenance {provenance} ({count:,} scores)")
    return 0
