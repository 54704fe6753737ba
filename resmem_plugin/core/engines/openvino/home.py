"""Lets OpenVINO and NNCF be imported by a user without a usable home folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def usable_home() -> Iterator[None]:
    """Have a `HOME` that does not exist, where the user's is unknown or cannot be written; it is put back.

    An unknown one is an error in OpenVINO's telemetry and in NNCF, and one that cannot be written three warnings of the
    telemetry, which is off if the home folder does not exist.
    """
    if os.name != "posix" or _is_usable(os.path.expanduser("~")):
        yield
        return
    before = os.environ.get("HOME")
    os.environ["HOME"] = os.devnull
    try:
        yield
    finally:
        if before is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = before


def _is_usable(home: str) -> bool:
    return home != "~" and (not os.path.isdir(home) or os.access(home, os.W_OK | os.X_OK))
