"""The photographs to score, of two sizes, made from those that scikit-image and scikit-learn install."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from examples.demo import photographs

SMALL = (640, 480)
LARGE = ((4000, 3000), (3264, 2448))
_GRAIN = 4


def small(folder: Path) -> list[str]:
    """640x480 JPEGs."""
    return _save(folder, lambda image, _: ImageOps.fit(image, SMALL))


def large(folder: Path) -> list[str]:
    """JPEGs of 12 and 8 megapixels, with the grain of a sensor, without which they would be fast to decode."""
    grain = np.random.default_rng(0)

    def enlarge(image: Image.Image, number: int) -> Image.Image:
        values = np.asarray(ImageOps.fit(image, LARGE[number % 2]), np.float32)
        noise = grain.normal(0, _GRAIN, values.shape[:2]).astype(np.float32)
        return Image.fromarray((values + noise[..., None]).clip(0, 255).astype(np.uint8))

    return _save(folder, enlarge)


KINDS: dict[str, Callable[[Path], list[str]]] = {"640x480": small, "8-12 megapixels": large}


def _save(folder: Path, make: Callable[[Image.Image, int], Image.Image]) -> list[str]:
    folder.mkdir()
    paths = []
    for number, path in enumerate(photographs()):
        paths.append(str(folder / f"{path.stem}.jpg"))
        make(Image.open(path).convert("RGB"), number).save(paths[-1], quality=90)
    return paths
