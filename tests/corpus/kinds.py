"""What one kind of the corpus is, and all of them: `KINDS`, by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Kind:
    """One kind of input, and what must become of it through every front end.

    Attributes:
        make: creates it in an empty folder, and returns what a front end is given.
        reason: what the reason why it has no score must match; None: it has one.
        after_listing: what happens to the file after the front end has listed it and before it is read.
    """

    make: Callable[[Path], object]
    reason: str | None = None
    after_listing: Callable[[str], None] | None = None


def file(content: bytes | Callable[[], bytes], reason: str | None = None, name: str = "image.jpg") -> Kind:
    """A file of this content."""

    def make(folder: Path) -> str:
        path = os.path.join(folder, name)
        with open(path, "wb") as opened:
            opened.write(content if isinstance(content, bytes) else content())
        return path

    return Kind(make, reason)
