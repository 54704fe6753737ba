"""The golden table: upstream's scores of the installed photographs and of the generated images.

`python -m tests.core.golden` writes it again; look at what changed before you commit it.
"""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

from examples.demo import photographs
from tests.sample_images import ENCODED
from tests.upstream import scores

TABLE = Path(__file__).with_name("golden.csv")


def contents() -> dict[str, bytes]:
    """Every image of the table: name -> encoded bytes."""
    found = {path.name: path.read_bytes() for path in photographs()}
    return found | {name: make() for name, make in ENCODED.items()}


def read() -> dict[str, float]:
    with TABLE.open(newline="") as file:
        return {row["image"]: float(row["memorability"]) for row in csv.DictReader(file)}


def write() -> None:
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "memorability"])
        writer.writerows((name, f"{score:.7f}") for name, score in scores(contents()).items())


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # Pillow on palettes, torch on upstream's habits
    write()
