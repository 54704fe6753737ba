"""The command `resmem weights`."""

from __future__ import annotations

import argparse
from typing import Any


def add_command(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser("weights", help="show the path, hash and licence of the weights")
    parser.set_defaults(run=_weights)


def _weights(options: argparse.Namespace) -> int:  # noqa: ARG001 (every command is called with its options)
    from resmem_plugin.core.network.weights import LICENCE, find_weights, verify

    weights = find_weights()
    verify(weights)
    print(f"path      {weights.path}")
    print(f"sha256    {weights.sha256} (verified)")
    print(f"converted {weights.cached}{'' if weights.cached.exists() else ' (created on first use)'}")
    print(f"licence   {LICENCE}")
    return 0
