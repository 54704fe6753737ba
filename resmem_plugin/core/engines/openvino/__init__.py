"""OpenVINO on a CPU."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


def _needs_other_home() -> bool:
    """Whether this user has no home folder, or one that cannot be written."""
    home = os.path.expanduser("~")
    return home == "~" or (os.path.isdir(home) and not os.access(home, os.W_OK | os.X_OK))


@contextlib.contextmanager
def _telemetry_off() -> Iterator[None]:
    """Where OpenVINO's telemetry could not write to the home folder, which is an error or three warnings, disable it.

    It is off if the home folder does not exist when OpenVINO is imported.
    """
    if os.name != "posix" or not _needs_other_home():
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


with _telemetry_off():
    import openvino  # noqa: F401 (before the modules of this package import it)
