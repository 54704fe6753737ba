"""The oracle: the published `resmem` 1.1.6 package, called as its README shows."""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from PIL import Image

from tests.session import session_folder, session_lock

quiet = pytest.mark.filterwarnings(
    r"ignore:(The parameter 'pretrained'|Arguments other than a weight enum):UserWarning"
)
"""For tests that may be the first to build the network, with an argument that torchvision has renamed."""


@functools.cache
def model() -> Any:
    import resmem

    network = resmem.ResMem(pretrained=True)
    network.eval()
    return network


def score(content: bytes) -> float:
    """Upstream's recipe: open, convert("RGB"), transformer, model; one image at a time."""
    return score_image(Image.open(io.BytesIO(content)).convert("RGB"))


def score_image(image: Image.Image) -> float:
    """The rest of the recipe."""
    import resmem

    with torch.no_grad():
        return float(model()(resmem.transformer(image).unsqueeze(0)))


def scores(contents: Mapping[str, bytes]) -> dict[str, float]:
    return {name: score(content) for name, content in contents.items()}


def session_scores(contents: Mapping[str, bytes]) -> dict[str, float]:
    """The same, computed once per test session: a file keeps each score by the hash of the content for all workers."""
    with session_lock("upstream"):
        path = session_folder() / "upstream.json"
        known: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
        keys = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        new = {keys[name]: score(content) for name, content in contents.items() if keys[name] not in known}
        path.write_text(json.dumps(known | new))
    return {name: (known | new)[key] for name, key in keys.items()}
