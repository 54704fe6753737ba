"""A gallery of images under the maps of what raises and lowers their scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.explain import Explanation
from resmem_plugin.reports.gallery import Card, Gallery


def explanation_gallery(
    images: Sequence[object], explanations: Sequence[Explanation], scorer: Scorer, *, total: int | None = None
) -> Gallery:
    """Show images with their maps, in their order.

    Args:
        images: as they were explained.
        explanations: one for each image; those without a map show the reason.
        scorer: whose scores were explained; it reads the images.
        total: how many images these were chosen from; None: these are all.

    Examples:
        >>> from resmem_plugin import Scorer
        >>> from resmem_plugin.explain import explain
        >>> from resmem_plugin.reports.explanations import explanation_gallery
        >>> scorer = Scorer()
        >>> explanation_gallery(["chelsea.png"], explain(["chelsea.png"], scorer=scorer), scorer)
        <Gallery 'What raises and lowers the score: occlusion': 1 of 1 images; .save(path) writes it to an HTML file>
    """
    cards = [
        Card(image, each.score, each.error, row, _note(each), each if each.ok else None)
        for row, (image, each) in enumerate(zip(images, explanations, strict=True))
    ]
    methods = ", ".join(dict.fromkeys(each.method for each in explanations))
    options = scorer.options
    return Gallery(
        cards,
        title="What raises and lowers the score" + (f": {methods}" if methods else ""),
        total=total,
        provenance=scorer.provenance,
        storage_options=options.storage_options,
        max_pixels=options.max_pixels,
        base64=options.base64,
        exif_transpose=options.exif_transpose,
    )


def _note(explanation: Explanation) -> str:
    if math.isnan(explanation.baseline_score):
        return ""
    return f"{explanation.baseline}: {explanation.baseline_score:.3f}"
