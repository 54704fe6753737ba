"""Images that get a score for no reason: blank ones, noise, text pages and drawings, and those unlike a reference."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.reader import listed_images
from resmem_plugin.core.scoring.progress import ProgressOption, reporting
from resmem_plugin.core.scoring.reading import network_inputs
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.curation.diversity import unit_vectors

KINDS = ("photograph", "blank", "noise", "flat", "text")
"""What `image_kind` tells apart."""

_BLANK_SPREAD = 6.0  # standard deviation of every channel, of 255
_NOISE_CORRELATION = 0.5  # of neighbouring pixels: photographs have .7 or more
_FLAT_STEP, _FLAT_SHARE = 2, 0.87  # of 255; pixels that are no further from their neighbours
_PAPER_LEVEL, _PAPER_RANGE, _PAPER_SHARE = 205, 25, 0.5  # of 255; gray of the paper, and how much of a page it is
_PAPER_COLOUR = 25  # of 255: mean difference of the channels
_INK_CONTRAST, _INK_SHARE = 40, (0.08, 0.45)  # how much darker than the paper ink is, and its share
_STROKE_STEP, _STROKE_SHARE = 20, 0.08  # between neighbours at the edge of a stroke
_MAX_ROWS = 2000  # of a reference that are kept
_BLOCK = 1024


def image_kind(pixels: npt.NDArray[np.uint8]) -> str:
    """What an image looks like, by its pixels alone.

    Args:
        pixels: uint8 (227, 227, 3), as the network sees it.

    Returns:
        "blank"; "noise", whose neighbouring pixels have little in common; "flat", of even colours or gradations, as
        many drawings and charts are; "text", dark strokes on paper; or "photograph", which is everything else.

    Examples:
        >>> import numpy as np
        >>> from resmem_plugin.curation.domain import image_kind
        >>> image_kind(np.full((227, 227, 3), 200, np.uint8))
        'blank'
    """
    values = pixels.astype(np.float32)
    if values.std(axis=(0, 1)).max() < _BLANK_SPREAD:
        return "blank"
    gray = values.mean(axis=2)
    centred = gray - gray.mean()
    if (centred[:, 1:] * centred[:, :-1]).mean() < _NOISE_CORRELATION * centred.var():
        return "text" if _is_text(values, gray) else "noise"
    across, down = np.abs(np.diff(values, axis=1))[:-1], np.abs(np.diff(values, axis=0))[:, :-1]
    if (np.maximum(across, down).max(axis=2) <= _FLAT_STEP).mean() > _FLAT_SHARE:
        return "flat"
    return "text" if _is_text(values, gray) else "photograph"


def _is_text(values: npt.NDArray[np.float32], gray: npt.NDArray[np.float32]) -> bool:
    paper = np.quantile(gray, 0.8)
    ink = (gray < paper - _INK_CONTRAST).mean()
    return bool(
        paper > _PAPER_LEVEL
        and (values.max(axis=2) - values.min(axis=2)).mean() < _PAPER_COLOUR
        and (np.abs(gray - paper) < _PAPER_RANGE).mean() > _PAPER_SHARE
        and _INK_SHARE[0] < ink < _INK_SHARE[1]
        and (np.abs(np.diff(gray, axis=1)) > _STROKE_STEP).mean() > _STROKE_SHARE
    )


def image_kinds(
    images: Iterable[object], *, progress: ProgressOption = None, scorer: Scorer | None = None
) -> list[str | None]:
    """`image_kind` of each image; None for one that cannot be read. The network is not run: this costs the decoding.

    Args:
        images: as for `Scorer`.
        progress: a bar (True), none (False), one on a terminal (None), or a function called with a `Progress`.
        scorer: that reads them; None: `Scorer()`.

    Examples:
        >>> from PIL import Image
        >>> from resmem_plugin.curation import image_kinds
        >>> image_kinds(["coffee.png", Image.new("RGB", (640, 480), "white"), "none.jpg"])
        ['photograph', 'blank', None]
    """
    scorer = Scorer() if scorer is None else scorer
    listed = listed_images(images, "coerce", base64=scorer.options.base64)
    kinds: list[str | None] = []
    with reporting(progress, len(listed)) as report, contextlib.closing(network_inputs(listed, scorer)) as read:
        for image in read:
            kinds.append(None if image.pixels is None else image_kind(image.pixels))
            report(image.pixels is None)
    return kinds


@dataclass(frozen=True, eq=False)
class Domain:
    """Which images are like those of a reference: by the distance to the nearest of them, in `image_features`.

    Attributes:
        vectors: of at most 2,000 reference images, float32 (M, D), of length 1.
        distances: of each to the nearest other, in ascending order.

    Examples:
        >>> import numpy as np
        >>> from resmem_plugin.curation import Domain
        >>> features = np.random.default_rng(0).normal([5, 0, 0], 0.5, (100, 3))
        >>> Domain.of(features).is_outside([[5, 0, 0.1], [0, -5, 0]]).tolist()
        [False, True]
    """

    vectors: npt.NDArray[np.float32] = field(repr=False)
    distances: npt.NDArray[np.float64] = field(repr=False)

    @classmethod
    def of(cls, features: npt.ArrayLike, seed: int = 0) -> Domain:
        """The domain of images with these features (N, D), of which rows with NaN are left out.

        Raises:
            OptionError: if there are fewer than 20.
        """
        found = np.asarray(features, np.float32)
        found = found[np.isfinite(found).all(axis=1)] if found.ndim == 2 else found
        vectors = unit_vectors(found)
        if len(vectors) < 20:
            raise OptionError(f"a domain needs 20 images at least, not {len(vectors)}")
        vectors = vectors[np.sort(np.random.default_rng(seed).permutation(len(vectors))[:_MAX_ROWS])]
        distances = np.sort(_nearest(vectors, vectors, skip_self=True))
        return cls(vectors, distances)

    def distance(self, features: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The distance of each image to the nearest of the reference, (N,), 0 to 2; NaN for rows with NaN."""
        found = np.asarray(features, np.float32)
        if found.ndim != 2 or found.shape[1] != self.vectors.shape[1]:
            raise OptionError(f"features must be an array (N, {self.vectors.shape[1]}), not {found.shape}")
        known = np.isfinite(found).all(axis=1)
        distances = np.full(len(found), np.nan)
        if known.any():
            vectors = unit_vectors(found[known])
            distances[known] = _nearest(vectors, self.vectors)
        return distances

    def is_outside(self, features: npt.ArrayLike, false_positives: float = 0.05) -> npt.NDArray[np.bool_]:
        """Whether each image is further from the reference than all but this share of the reference's own images.

        Args:
            features: (N, D); rows with NaN are not outside.
            false_positives: the share of images like the reference's that are reported all the same, 0 to 1.

        Raises:
            OptionError: for features of another size, or another share.
        """
        if not 0 <= false_positives <= 1:
            raise OptionError(f"false_positives must be from 0 to 1, not {false_positives!r}")
        # as in conformal prediction: a new image of the same kind is further with this probability at most
        number = int(np.ceil((1 - false_positives) * (len(self.distances) + 1)))
        limit = np.inf if number > len(self.distances) else self.distances[max(number, 1) - 1]
        return np.asarray(self.distance(features) > limit)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to an .npz file, whole or not at all, replacing one that exists."""
        with replacing(path) as unfinished, open(unfinished, "wb") as file:
            np.savez_compressed(file, vectors=self.vectors.astype(np.float16), distances=self.distances)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Domain:
        """Read what `save` wrote; nothing in the file is run.

        Raises:
            OptionError: if it is another file.
        """
        name = os.fsdecode(path)
        try:
            with np.load(name, allow_pickle=False) as file:
                vectors = unit_vectors(file["vectors"].astype(np.float32))
                return cls(vectors, np.sort(file["distances"].astype(np.float64)))
        except FileNotFoundError as error:
            raise OptionError(f"{name} cannot be read: {error.strerror or error}") from error
        except Exception as error:  # numpy and zipfile raise many kinds
            raise OptionError(f"{name} is no domain, as Domain.save writes: {error}") from error


def _nearest(
    vectors: npt.NDArray[np.float32], among: npt.NDArray[np.float32], *, skip_self: bool = False
) -> npt.NDArray[np.float64]:
    found = []
    for start in range(0, len(vectors), _BLOCK):
        products = vectors[start : start + _BLOCK] @ among.T
        if skip_self:
            rows = np.arange(len(products))
            products[rows, start + rows] = -1
        found.append(np.sqrt(np.maximum(2 - 2 * products.max(axis=1), 0)))
    return np.asarray(np.concatenate(found), np.float64)
