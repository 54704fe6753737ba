"""The command `resmem cache`: show or clear the cached scores of earlier runs."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    cache = commands.add_parser(
        "cache",
        help="show or clear the cache of scores",
        description="Show or clear the cache of scores, which `resmem score --cache` and Scorer(cache=True) use.",
    )
    cache.set_defaults(run=_cache)
    cache.add_argument("action", choices=("info", "clear"), help="show what is in it, or remove all scores from it")
    cache.add_argument(
        "--cache", metavar="FILE", default=True, help="the cache file (default: scores.sqlite in the cache folder)"
    )


def add_option(parser: Any) -> None:
    """Add `--cache` to a command that scores."""
    parser.add_argument(
        "--cache",
        nargs="?",
        const=True,
        metavar="FILE",
        help="reuse the scores of earlier runs and keep new ones (default: scores.sqlite in the cache folder)",
    )


def _size(file_bytes: int) -> str:
    return f"{file_bytes / 2**20:.1f} MB" if file_bytes >= 1 << 20 else f"{file_bytes / 1024:.0f} kB"


def _cache(options: argparse.Namespace) -> int:
    from resmem_plugin.core.cache.scores import ScoreCache

    cache = ScoreCache.of(options.cache)
    if options.action == "clear":
        count = cache.clear()
        print(f"resmem: removed {count:,} scores from {cache.path}", file=sys.stderr)
        return 0
    info = cache.info()
    print(f"path       {cache.path}{'' if cache.path.exists() else ' (created on first use)'}")
    print(f"scores     {sum(info.scores.values()):,}")
    print(f"size       {_size(info.file_bytes)} of at most {cache.max_bytes >> 20:,} MB")
    for provenance, count in info.scores.items():
        print(f"provenance {provenance} ({count:,} scores)")
    return 0
