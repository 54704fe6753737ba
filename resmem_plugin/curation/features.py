"""What tells images apart: the outputs of ResMem's ResNet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.images.reader import listed_images
from resmem_plugin.core.scoring.progress import ProgressOption, reporting
from resmem_plugin.core.scoring.reading import network_outputs
from resmem_plugin.core.scoring.scorer import Scorer


def image_features(
    images: Iterable[object], *, progress: ProgressOption = None, scorer: Scorer | None = None
) -> npt.NDArray[np.float32]:
    """The outputs of the ResNet within ResMem for each image, as embeddings for `select` and `near_duplicate_groups`.

    Those of unlike photographs are more than 0.6 apart, scaled to length 1; those of a photograph and its copies,
    compressed, scaled, lightened or mirrored, mostly less than 0.5. (The network's last hidden layer is of no use for
    that: there all photographs are within 0.1.)

    Args:
        images: as for `Scorer`.
        progress: a bar (True), none (False), one on a terminal (None), or a function called with a `Progress`.
        scorer: whose network is asked; None: `Scorer()`. A network of your own gives its embeddings.

    Returns:
        (N, 1000) float32, one row for each image; NaN for one that cannot be read.

    Raises:
        OptionError: if a network of your own has no embeddings.

    Examples:
        >>> from resmem_plugin.curation import image_features, near_duplicate_groups
        >>> features = image_features(["coffee.png", "rocket.jpg", "coffee.png"])
        >>> features.shape, near_duplicate_groups(features).tolist()
        ((3, 1000), [0, -1, 0])
    """
    scorer = Scorer() if scorer is None else scorer
    listed = listed_images(images, "coerce", base64=scorer.options.base64)
    rows = []
    made = network_outputs(listed, scorer, scorer.engine.features)
    with reporting(progress, len(listed)) as report, contextlib.closing(made):
        for _, row in made:
            rows.append(row)
            report(row is None)
    size = next((len(row) for row in rows if row is not None), 1)
    return np.array([np.full(size, np.nan) if row is None else row for row in rows], np.float32).reshape(
        len(rows), size
    )
