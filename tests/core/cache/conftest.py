"""Scorers with one cache and a stand-in that counts the images it scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from resmem_plugin import Scorer
from tests.models import Counted


class CountingScorers:
    """Makes scorers with one cache and one stand-in model, and counts the images that it scores."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "scores.sqlite"
        self._counter = folder / "forwarded"
        self._counter.touch()

    def scorer(self, **options: Any) -> Scorer:
        return Scorer(
            **{"device": "cpu", "model": Counted(str(self._counter)), "batch_size": 4, "cache": self.cache, **options}
        )

    def forwarded(self) -> int:
        """How many images have been scored since the last call."""
        passed = self._counter.stat().st_size
        self._counter.write_bytes(b"")
        return passed


@pytest.fixture
def counting(tmp_path: Path) -> CountingScorers:
    return CountingScorers(tmp_path)


@pytest.fixture
def image_files(tmp_path: Path) -> list[str]:
    """Thirty files, all different."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(30):
        Image.new("RGB", (8, 8), (number * 8, 0, 0)).save(folder / f"{number:02}.png")
    return [str(path) for path in sorted(folder.iterdir())]


def scores_of(scorer: Scorer, images: Any) -> list[float]:
    return [score.memorability for score in scorer.score(images, errors="coerce")]
