"""How far a score can be trusted: how it varies with the crop, and intervals that hold what people remember."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from resmem_plugin.core.errors import ImageError, OptionError
from resmem_plugin.core.images.reader import listed_images
from resmem_plugin.core.scoring.progress import ProgressOption, reporting
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.curation.numbers import as_numbers

VARIANTS = 10
"""Of an image: itself, four crops of 90 % of its sides, and the mirror images of these."""

_CROP = 0.9
_MIN_CALIBRATION = 20
_FLOOR = 0.01  # added to the variation, so that an image which hardly varies has an interval all the same

Values = npt.NDArray[np.float64]


def score_variation(
    images: Iterable[object],
    variants: int = VARIANTS,
    *,
    progress: ProgressOption = None,
    scorer: Scorer | None = None,
) -> pd.DataFrame:
    """Score variants of each image: its mirror image, and crops towards its corners.

    This costs as many passes through the network as there are variants: ten times a score, by default.

    Args:
        images: as for `Scorer`.
        variants: how many, from 2 to 10, in the order of `VARIANTS`.
        progress: a bar (True), none (False), one on a terminal (None), or a function called with a `Progress`.
        scorer: None: `Scorer()`.

    Returns:
        One row for each image, in the order given: `memorability`, the score of the image itself; `mean` and
        `variation`, the mean and the standard deviation over its variants, 0 to 1; NaN for one that cannot be read.

    Raises:
        OptionError: for another number of variants.

    Examples:
        >>> from resmem_plugin.curation import score_variation
        >>> found = score_variation(["coffee.png", "none.jpg"], 3)
        >>> found.shape, bool(0 < found["variation"][0] < 0.1), bool(found["mean"].isna()[1])
        ((2, 3), True, True)
    """
    if isinstance(variants, bool) or not isinstance(variants, int) or not 2 <= variants <= VARIANTS:
        raise OptionError(f"variants must be a whole number from 2 to {VARIANTS}, not {variants!r}")
    scorer = Scorer() if scorer is None else scorer
    listed = listed_images(images, "coerce", base64=scorer.options.base64)
    found = np.full((len(listed), variants), np.nan)
    made = scorer.iter_scores(_variants(listed, variants, scorer))
    with reporting(progress, len(listed)) as report, contextlib.closing(made):
        for number, score in enumerate(made):
            row, variant = divmod(number, variants)
            found[row, variant] = score.memorability
            if variant == variants - 1:
                report(bool(np.isnan(found[row]).any()))
    return pd.DataFrame(
        {"memorability": found[:, 0], "mean": found.mean(axis=1), "variation": found.std(axis=1, ddof=1)}
    )


def _variants(images: Iterable[object], count: int, scorer: Scorer) -> Iterator[Image.Image | None]:
    for image in images:
        try:
            opened = scorer.reader.read(image).image
        except ImageError:
            yield from [None] * count
            continue
        width, height = opened.size
        right, bottom = width - round(width * _CROP), height - round(height * _CROP)
        boxes = [(0, 0, width, height)]
        boxes += [
            (left, top, left + width - right, top + height - bottom) for left in (0, right) for top in (0, bottom)
        ]
        made = 0
        for box in boxes:
            cropped = opened.crop(box)
            for variant in (cropped, cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT))[: count - made]:
                yield variant
                made += 1


@dataclass(frozen=True, eq=False)
class ConformalIntervals:
    """Intervals that hold a new rating with a given probability, calibrated on images that people have rated.

    Split conformal prediction (Papadopoulos et al. 2002; Lei et al. 2018): it assumes only that the new images are
    drawn as the rated ones were. Not for images of another kind, and not for those that the weights were trained on.

    Attributes:
        residuals: the distances between score and rating, each divided by its image's variation, in ascending order.

    Examples:
        >>> import numpy as np
        >>> from resmem_plugin.curation import ConformalIntervals
        >>> random = np.random.default_rng(0)
        >>> scores = random.uniform(0.5, 0.9, 500)
        >>> intervals = ConformalIntervals.fit(scores, scores + random.normal(0, 0.05, 500))
        >>> low, high = intervals.of([0.7])
        >>> round(float(low[0]), 1), round(float(high[0]), 1)
        (0.6, 0.8)
    """

    residuals: Values = field(repr=False)
    scaled: bool

    @classmethod
    def fit(
        cls, scores: npt.ArrayLike, ratings: npt.ArrayLike, variation: npt.ArrayLike | None = None
    ) -> ConformalIntervals:
        """Calibrate on scores and ratings of the same images; rows with NaN are left out.

        Args:
            scores: (N,) 0 to 1.
            ratings: (N,) what people remembered, such as hit rates.
            variation: (N,) as of `score_variation`; then intervals are wider where it is larger. None: all are as wide.

        Raises:
            OptionError: if there are fewer than 20, or values that are not as many.
        """
        given = {"scores": scores, "ratings": ratings} | ({} if variation is None else {"variation": variation})
        columns = [as_numbers(values, what) for what, values in given.items()]
        if len({len(values) for values in columns}) != 1:
            raise OptionError("scores, ratings and variation must be as many: one of each for an image")
        rows = np.isfinite(columns).all(axis=0)
        if rows.sum() < _MIN_CALIBRATION:
            raise OptionError(f"{_MIN_CALIBRATION} rated images at least are needed, not {rows.sum()}")
        residuals = np.abs(columns[0] - columns[1])
        if variation is not None:
            residuals = residuals / _scale(columns[2])
        return cls(np.sort(residuals[rows]), variation is not None)

    def of(
        self, scores: npt.ArrayLike, variation: npt.ArrayLike | None = None, coverage: float = 0.9
    ) -> tuple[Values, Values]:
        """The lower and upper ends of the intervals, (N,) each, within 0 to 1; NaN where there is no score.

        Args:
            scores: (N,).
            variation: (N,), if there was one to calibrate on.
            coverage: the probability that an interval holds the rating, above 0 and below 1.

        Raises:
            OptionError: for another coverage, one that needs more rated images, or a variation that is missing.
        """
        if isinstance(coverage, bool) or not isinstance(coverage, (int, float)) or not 0 < coverage < 1:
            raise OptionError(f"coverage must be above 0 and below 1, not {coverage!r}")
        if self.scaled != (variation is not None):
            raise OptionError("give the variation here too" if self.scaled else "these have no variation: leave it out")
        number = int(np.ceil(coverage * (len(self.residuals) + 1)))
        if number > len(self.residuals):
            raise OptionError(
                f"a coverage of {coverage:g} needs {int(np.ceil(coverage / (1 - coverage)))} rated images at least, "
                f"not {len(self.residuals)}"
            )
        middle = as_numbers(scores, "scores")
        scale = np.ones(len(middle)) if variation is None else _scale(as_numbers(variation, "variation"))
        if len(scale) != len(middle):
            raise OptionError("scores and variation must be as many: one of each for an image")
        margin = self.residuals[number - 1] * scale
        return np.clip(middle - margin, 0, 1), np.clip(middle + margin, 0, 1)


def _scale(variation: Values) -> Values:
    return variation + _FLOOR
