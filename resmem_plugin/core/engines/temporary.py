"""Lets torch be imported where there is no temporary folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def temporary_folder_named() -> Iterator[None]:
    """Name some folder as the temporary one if this machine has none: torch imports dill, which only asks for a name.

    Nothing is written there.
    """
    try:
        tempfile.gettempdir()
    except OSError:
        tempfile.tempdir = os.path.abspath(os.sep)
        try:
            yield
        finally:
            tempfile.tempdir = None
    else:
        yield
