"""Scores of images in one call, and the warning for those that failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import FailedImagesWarning, warn
from resmem_plugin.core.images.reader import describe, iterable_of_images
from resmem_plugin.core.scores import Score
from resmem_plugin.core.scoring.scorer import Scorer


def score_images(images: Iterable[object], **scorer_options: Any) -> npt.NDArray[np.float32]:
    """Score images with a `Scorer` of these options.

    Args:
        images: paths, fsspec URLs, encoded bytes, PIL images or uint8 arrays.
        scorer_options: as for `Scorer`.

    Returns:
        Memorability in [0, 1], float32 array (N,), NaN where an image failed. A `FailedImagesWarning` has their number
        and the first error; `Scorer.score` returns the error of each.

    Examples:
        >>> from resmem_plugin import score_images
        >>> score_images(["coffee.png", "rocket.jpg"]).round(2)
        array([0.88, 0.64], dtype=float32)
    """
    listed = list(iterable_of_images(images))
    scores = Scorer(**scorer_options).score(listed, errors="coerce")
    warn_of_failures(scores, listed)
    return np.array([score.memorability for score in scores], dtype=np.float32)


def warn_of_failures(scores: Sequence[Score], images: Sequence[object]) -> None:
    """Emit one `FailedImagesWarning` for all images that have no score, if there are any."""
    failed = [score for score in scores if score.error is not None]
    if failed:
        warn(
            f"{len(failed)} of {len(scores)} images have no score; the first: "
            f"{describe(images[failed[0].index])}: {failed[0].error}",
            FailedImagesWarning,
        )
