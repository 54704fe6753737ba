"""Fixtures of more than one room of the core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def mixed_images(photos: dict[str, Path], tmp_path: Path) -> list[object]:
    """Photographs, paths and bytes of them, files of other kinds and things that are no image, repeated."""
    broken, deep = tmp_path / "broken.jpg", tmp_path / "deep.png"
    broken.write_bytes(photos["rocket.jpg"].read_bytes()[:5000])
    Image.fromarray(np.arange(0, 60_000, 10_000, dtype=np.uint16).reshape(2, 3)).save(deep)
    small = []
    for name in ("coffee.png", "rocket.jpg", "chelsea.png"):
        small.append(tmp_path / f"{name}.jpg")
        Image.open(photos[name]).resize((320, 240)).save(small[-1])
    image = Image.open(small[0])
    return [*small, small[1].read_bytes(), broken, tmp_path / "missing.jpg", deep, image, np.asarray(image), None] * 12
