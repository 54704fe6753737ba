"""The oracle: the published `resmem` 1.1.6 package, called as its README and any script over a folder would."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image


@functools.cache
def model() -> Any:
    import resmem

    network = resmem.ResMem(pretrained=True)
    network.eval()
    return network


def score(content: bytes) -> float:
    """Upstream's recipe: open, convert("RGB"), transformer, model."""
    return score_image(Image.open(io.BytesIO(content)).convert("RGB"))


def score_image(image: Image.Image) -> float:
    """The rest of the recipe."""
    import resmem

    with torch.no_grad():
        return float(model()(resmem.transformer(image).unsqueeze(0)))


def scores(contents: Mapping[str, bytes]) -> dict[str, float]:
    return {name: score(content) for name, content in contents.items()}
