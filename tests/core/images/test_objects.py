"""Images in memory: read without a change to the caller's objects, and in bounded memory."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.images.reader import ImageReader, describe
from tests.corpus.contents import animated, encoded, photo

_MEMORY = """
import sys
import psutil
from PIL import Image
from resmem_plugin import Scorer
from tests.models import Red

scorer = Scorer(device="cpu", model=Red(), batch_size=4, num_workers=2)
path, count = sys.argv[1], int(sys.argv[2])
open_files = [open(path, "rb") for _ in range(count)]
images = [Image.open(file) for file in open_files]
list(scorer.iter_scores(images[:16]))
before = psutil.Process().memory_info().rss
scores = list(scorer.iter_scores(images))
grown = psutil.Process().memory_info().rss - before
assert all(score.ok for score in scores)
assert all(image._im is None for image in images)
print(grown >> 20)
"""


def test_pixels_of_lazy_images_do_not_stay_in_memory(tmp_path: Path, record_property: object) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (4000, 3000), (10, 200, 30)).save(path)
    root = Path(__file__).parents[3]
    grown = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(path), "100"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    record_property("growth of memory with 100 lazy images of 12 megapixels, MiB", grown.strip())  # type: ignore[operator]
    assert int(grown) < 300  # 3,400 if each kept its pixels; most of it is the two that are being decoded


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP", "AVIF", "JPEG2000"])
def test_a_lazy_image_stays_lazy_and_can_be_used_afterwards(kind: str, red: Scorer) -> None:
    image = Image.open(io.BytesIO(encoded(kind)))
    expected = red.score([encoded(kind)])[0].memorability
    assert [score.memorability for score in red.score([image, image])] == pytest.approx([expected] * 2, abs=1e-6)
    assert image._im is None
    assert np.array_equal(
        np.asarray(image.convert("RGB")), np.asarray(Image.open(io.BytesIO(encoded(kind))).convert("RGB"))
    )
    assert red.score([image])[0].memorability == pytest.approx(expected, abs=1e-6)


def test_the_frame_that_an_image_is_at_is_scored() -> None:
    image = Image.open(io.BytesIO(animated("WEBP")))
    image.seek(1)
    found = ImageReader().read(image).image
    assert np.array_equal(np.asarray(found), np.asarray(image.convert("RGB")))
    assert image.tell() == 1


def test_the_draft_of_an_image_is_kept() -> None:
    image = Image.open(io.BytesIO(encoded("JPEG")))
    image.draft("RGB", (150, 100))
    assert image.size == (150, 100)
    assert ImageReader().read(image).image.size == (150, 100)


def test_the_size_chosen_of_an_icon_is_kept() -> None:
    buffer = io.BytesIO()
    photo().resize((64, 64)).save(buffer, "ICO", sizes=[(16, 16), (64, 64)])
    image = Image.open(buffer)
    vars(type(image))["size"].fset(image, (16, 16))
    assert ImageReader().read(image).image.size == (16, 16)


def test_an_open_file_stays_at_its_position(red: Scorer) -> None:
    file = io.BytesIO(encoded("JPEG"))
    file.seek(7)
    assert red.score([file])[0].memorability == red.score([encoded("JPEG")])[0].memorability
    assert file.tell() == 7


def test_a_frame_or_dict_instead_of_images_is_a_type_error(red: Scorer) -> None:
    for given in (pd.DataFrame({"path": ["a.jpg"]}), {"path": ["a.jpg"]}):
        with pytest.raises(TypeError, match=r"give one column, as in list\(frame\['path'\]\)"):
            red.score(given)
    with pytest.raises(TypeError, match="must be a list"):
        red.score(io.BytesIO(encoded("JPEG")))


def test_names_in_messages_are_short() -> None:
    assert len(describe("a" * 1_000_000)) < 210
    assert describe("") == "''"
