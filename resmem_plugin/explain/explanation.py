"""`Explanation`: a map of what in one image raises and lowers its score."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.preprocess import CENTER_CROP, INPUT_SIZE, RESIZED
from resmem_plugin.core.provenance import Provenance

Map = npt.NDArray[np.float32]

_RED, _BLUE = (214, 40, 40), (30, 90, 220)  # raises, lowers: told apart by colour-blind people
_UNSEEN = 0.35  # brightness of what the network does not see
_ALPHA = 0.75  # of the strongest colour


@dataclass(frozen=True)
class Explanation:
    """A map of what in one image raises its score (above 0) and what lowers it (below 0).

    Attributes:
        index: position of the image in the input, from 0.
        method: how the map was made; see `explain`.
        baseline: what it was compared with: "blurred", "mean" or "blank"; "" where the method compares with nothing.
        score: the image's memorability, 0 to 1; NaN if it cannot be read.
        baseline_score: that of the whole baseline image; NaN without one.
        values: the map on the network's input, float32 (227, 227), in units of the score. Of occlusion: by how much the
            score falls when a window around this pixel is hidden. Of the other methods: the pixel's own part, where
            those of "integrated_gradients" add up to `score - baseline_score`.
        size: width and height of the image itself, in pixels.
        passes: through the network that the map took.
        seed: of SmoothGrad's noise.
        provenance: what produced the scores.
        error: why there is no map, or None.

    Examples:
        >>> from resmem_plugin.explain import explain
        >>> (explanation,) = explain(["coffee.png"])
        >>> explanation.map.shape, round(explanation.score, 2)
        ((400, 600), 0.88)
    """

    index: int
    method: str
    baseline: str
    score: float
    baseline_score: float
    values: Map = field(repr=False)
    size: tuple[int, int]
    passes: int = 1
    seed: int = 0
    provenance: Provenance | None = field(default=None, repr=False)
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a map."""
        return self.error is None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom, in pixels of the image, of what the network sees: its central 227/256."""
        return _box(self.size)

    @cached_property
    def map(self) -> Map:
        """The map on the image's own pixels: float32 (H, W), NaN where the network does not see the image."""
        return self.resized(self.size)

    def resized(self, size: tuple[int, int]) -> Map:
        """The map on the image scaled to this width and height.

        Examples:
            >>> from resmem_plugin.explain import explain
            >>> explain("coffee.png").resized((60, 40)).shape
            (40, 60)
        """
        width, height = size
        found = np.full((height, width), np.nan, np.float32)
        if not (width and height):
            return found
        left, top, right, bottom = (
            min(max(round(edge), 0), limit) for edge, limit in zip(_box(size), (width, height) * 2, strict=True)
        )
        inner = max(right - left, 1), max(bottom - top, 1)
        resized = Image.fromarray(self.values).resize(inner, Image.Resampling.BILINEAR)
        found[top : top + inner[1], left : left + inner[0]] = np.asarray(resized)[: height - top, : width - left]
        return found

    @property
    def completeness_error(self) -> float:
        """By how much the sum of the map misses `score - baseline_score`; NaN for methods that do not add up."""
        if self.method not in ("integrated_gradients", "gradient_x_input"):
            return math.nan
        return float(abs(self.values.sum(dtype=np.float64) - (self.score - self.baseline_score)))

    @property
    def limit(self) -> float:
        """The largest absolute value of the map: a colour scale from `-limit` to `limit` shows all of it."""
        return float(np.abs(self.values).max()) if self.ok else 0.0

    def overlay(self, image: Image.Image, limit: float | None = None) -> Image.Image:
        """The image in gray under the map: red raises the score, blue lowers it; what the network does not see is dark.

        Args:
            image: the image that was explained, at any size.
            limit: the value that is drawn in full colour; None: that of this map.

        Raises:
            OptionError: if there is no map, or the limit is not above 0.

        Examples:
            >>> from PIL import Image
            >>> from resmem_plugin.explain import explain
            >>> (explanation,) = explain(["coffee.png"])
            >>> explanation.overlay(Image.open("coffee.png")).size
            (600, 400)
        """
        if not self.ok:
            raise OptionError(f"there is no map: {self.error}")
        if limit is not None and not limit > 0:
            raise OptionError(f"limit must be above 0, not {limit!r}")
        values = self.resized(image.size)
        strength = np.clip(np.nan_to_num(values) / (limit or self.limit or 1), -1, 1)[..., None]
        gray = np.asarray(image.convert("L"), np.float32)[..., None].repeat(3, axis=2)
        colour = np.where(strength > 0, _RED, _BLUE)
        alpha = np.abs(strength) * _ALPHA
        drawn = np.where(np.isnan(values)[..., None], gray * _UNSEEN, gray * (1 - alpha) + colour * alpha)
        return Image.fromarray(drawn.round().astype(np.uint8))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the explanation to a file (.npz), whole or not at all; `load` reads it.

        Examples:
            >>> from resmem_plugin.explain import Explanation, explain
            >>> (explanation,) = explain(["coffee.png"])
            >>> explanation.save("coffee.npz")
            >>> Explanation.load("coffee.npz").score == explanation.score
            True
        """
        described = {name: getattr(self, name) for name in _DESCRIPTION}
        described["provenance"] = None if self.provenance is None else self.provenance.to_record()
        with replacing(path) as unfinished, open(unfinished, "wb") as file:
            np.savez_compressed(file, values=self.values, explanation=np.array(json.dumps(described)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Explanation:
        """Read a file that `save` wrote.

        Raises:
            OptionError: if it is another file, or damaged.
        """
        try:
            with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                values, described = file["values"], json.loads(str(file["explanation"]))
            if values.shape != (INPUT_SIZE, INPUT_SIZE):
                raise ValueError(f"a map of {values.shape}")
            described["size"] = tuple(described["size"])
            described["provenance"] = Provenance.from_record(described["provenance"])
            return cls(values=values, **described)
        except FileNotFoundError:
            raise
        except Exception as error:  # a damaged zip, another file's arrays
            raise OptionError(
                f"{os.fspath(path)} holds no explanation ({type(error).__name__}): explain the image again"
            ) from error


_DESCRIPTION = ("index", "method", "baseline", "score", "baseline_score", "size", "passes", "seed", "error")


def failed(index: int, method: str, error: str) -> Explanation:
    """The explanation of an image that cannot be read."""
    values = np.full((INPUT_SIZE, INPUT_SIZE), np.nan, np.float32)
    return Explanation(index, method, "", math.nan, math.nan, values, (0, 0), error=error)


def _box(size: tuple[int, int]) -> tuple[float, float, float, float]:
    width, height = size[0] / RESIZED[0], size[1] / RESIZED[1]
    left, top, right, bottom = CENTER_CROP
    return left * width, top * height, right * width, bottom * height
