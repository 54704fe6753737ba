"""A dataset with scores."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest

SCORES = [0.5, 0.9, None, 0.6, 0.8, 0.7]
CLASSES = ["cat", "cat", "cat", "dog", "dog", "cat"]


@pytest.fixture
def scored(dataset: Any) -> Any:
    for number, (score, name) in enumerate(zip(SCORES, CLASSES, strict=True)):
        boxes = [fo.Detection(label=label, bounding_box=[0, 0, 1, 1]) for label in (name, name, "any")]
        dataset.add_sample(
            fo.Sample(
                filepath=f"{number}.png", memorability=score, memorability_error=None if score else "why",
                kind=fo.Classification(label=name), things=fo.Detections(detections=boxes), split="train",
            )
        )  # fmt: skip
    return dataset
