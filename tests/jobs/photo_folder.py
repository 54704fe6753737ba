"""A folder of photographs that tests of `resmem score` run on with the real weights, and how to read its output."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
from PIL import Image

from resmem_plugin import Scorer


def make_photo_folder(folder: Path, photos: dict[str, Path]) -> None:
    """Make images/{a.png,b.jpg,sub/c.png,notes.txt} in a folder, and a hidden file that is not an image."""
    images = folder / "images"
    (images / "sub").mkdir(parents=True)
    Image.open(photos["coffee.png"]).save(images / "a.png")
    Image.open(photos["rocket.jpg"]).save(images / "b.jpg")
    Image.open(photos["moon.png"]).save(images / "sub/c.png")
    (images / "notes.txt").write_text("not an image")
    (images / ".hidden.png").write_text("not an image")


def score_photos(scorer: Scorer) -> dict[str, float]:
    """Path -> score of the photographs in the current folder."""
    paths = ["images/a.png", "images/b.jpg", "images/sub/c.png"]
    return {path: score.memorability for path, score in zip(paths, scorer.score(paths), strict=True)}


def read_scores(text: str) -> dict[str, float]:
    """Path -> score of the csv that the command prints."""
    table = pd.read_csv(io.StringIO(text))
    assert list(table.columns) == ["path", "memorability", "error", "provenance"]
    return dict(zip(table["path"], table["memorability"], strict=True))


class Stdin(io.TextIOWrapper):
    """Standard input that holds these bytes."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
