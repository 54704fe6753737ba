"""The images to learn from: which rows of a frame can be used, and in which of the splits each is."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.reader import describe
from resmem_plugin.training.metrics import Values

MIN_IMAGES = 20
"""So many images with a measured value are needed to fit anything."""

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class RatedImages:
    """Images and their measured memorability.

    Attributes:
        images: (N,) paths, or whatever else can be scored.
        measured: (N,) 0 to 1, NaN where there is none.
        splits: (N,) "train", "validation", "test" or None; None: no splits are known.
    """

    images: Sequence[object]
    measured: Values
    splits: npt.NDArray[np.object_] | None = None

    @property
    def digest(self) -> str:
        """A hash of all three, to tell the data of one run from those of another."""
        digest = hashlib.sha256(self.measured.tobytes())
        for image in self.images:
            digest.update(image.tobytes() if isinstance(image, np.ndarray) else describe(image).encode())
        digest.update(repr(None if self.splits is None else self.splits.tolist()).encode())
        return digest.hexdigest()


def check_rated(frame: pd.DataFrame, target: Hashable, images: Hashable, split: Hashable | None = None) -> RatedImages:
    """The images of a frame.

    Raises:
        OptionError: for a column that is missing, or holds other values.
    """
    for name in (target, images, *([] if split is None else [split])):
        if (frame.columns == name).sum() != 1:
            raise OptionError(
                f"the frame has no unique column {name!r}: choose from {', '.join(map(str, frame.columns))}"
            )
    try:
        measured = pd.to_numeric(frame[target])
    except (TypeError, ValueError) as error:
        raise OptionError(f"the column {target!r} does not hold numbers ({error}): choose another") from error
    if measured.min() < 0 or measured.max() > 1:
        raise OptionError(
            f"{target!r} holds values from {measured.min():g} to {measured.max():g}, and memorability is 0 to 1: scale "
            "them"
        )
    splits = None if split is None else np.array([_split(name) for name in frame[split]], object)
    return RatedImages(frame[images].tolist(), measured.to_numpy(np.float64, na_value=np.nan), splits)


def require_enough(usable: int, total: int, target: Hashable) -> None:
    """Check that there are enough images.

    Raises:
        OptionError: if there are fewer than 20.
    """
    if usable < MIN_IMAGES:
        raise OptionError(
            f"{usable} of {total} images can be read and have a value in {target!r}, and {MIN_IMAGES} are needed at "
            "least"
        )


def split_rows(
    rated: RatedImages, readable: npt.NDArray[np.bool_], *, validation: float, seed: int
) -> dict[str, npt.NDArray[np.intp]]:
    """The rows in "train", "validation" and "test" that have a value and can be read.

    Args:
        rated: the images; without splits, none is for the test.
        readable: (N,) whether an image can be read.
        validation: share of the training images that is drawn for validation where no row is named for it.
        seed: of the draw.

    Raises:
        OptionError: if fewer than two images are left to train or to validate on.
    """
    usable = readable & np.isfinite(rated.measured)
    rows = np.arange(len(usable))
    named = np.full(len(rows), "train", object) if rated.splits is None else rated.splits
    splits = {name: rows[usable & (named == name)] for name in ("train", "validation", "test")}
    if not len(splits["validation"]):
        order = np.random.default_rng(seed).permutation(splits["train"])
        count = max(2, round(validation * len(order)))
        splits["validation"], splits["train"] = np.sort(order[:count]), np.sort(order[count:])
    for name in ("train", "validation"):
        if len(splits[name]) < 2:
            raise OptionError(f"{len(splits[name])} images are left for {name}: rate more, or split them otherwise")
    return splits


def _split(name: object) -> str | None:
    if name is None or pd.isna(name):  # type: ignore[call-overload]
        return None
    found = _SPLITS.get(str(name).strip().lower())
    if found is None:
        raise OptionError(f"{name!r} is no split: name them train, validation and test")
    return found
