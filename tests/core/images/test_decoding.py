"""What a file may cost, whatever the warning filters are; and the formats that another package adds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.reader import ImageReader
from tests.conftest import ROOT
from tests.corpus.contents import encoded, gray_tiff, heif, photo, plain, with_many_scans


@pytest.mark.parametrize("action", ["error", "ignore"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_max_image_pixels_is_respected(kind: str, action: str, red: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    content = plain(photo().resize((600, 400)), kind)
    expected = red.score([content])[0]
    with warnings.catch_warnings():
        warnings.simplefilter(action, Image.DecompressionBombWarning)  # type: ignore[arg-type]
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 120_000)  # at which Pillow only warns of 240,000
        assert red.score([content])[0] == expected
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 119_999)
        reason = str(red.score([content], errors="coerce")[0].error)
        assert "too large" in reason
        assert "set RESMEM_MAX_PIXELS, max_pixels= or --max-pixels to more" in reason
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        assert red.score([content])[0] == expected


def test_pillow_warnings_are_suppressed_in_many_threads() -> None:
    content = gray_tiff(10, 10, (700, 1, 2**32 - 1, 8))  # which these tests make an error
    before = list(warnings.filters)
    scores = Scorer(device="cpu", model=lambda x: x.mean(dim=(1, 2, 3)), num_workers=8).score([content] * 200)
    assert all(score.ok for score in scores)
    assert list(warnings.filters) == before


def test_a_jpeg_of_a_thousand_scans_is_too_large(red: Scorer) -> None:
    assert red.score([with_many_scans(0)])[0].ok
    began = time.monotonic()
    assert "2000x2000 pixels in 1006 scans" in str(red.score([with_many_scans(1000)], errors="coerce")[0].error)
    assert time.monotonic() - began < 2  # they would take four


def test_jpeg_scans_are_not_counted_in_trailing_data() -> None:
    video = np.random.default_rng(0).bytes(40_000_000)  # as a telephone appends it to a image
    assert ImageReader().read(plain(Image.new("RGB", (4000, 3000)), "JPEG") + video).image.size == (4000, 3000)


def test_an_installed_pillow_plugin_is_registered(tmp_path: Path) -> None:
    (tmp_path / "pillow_heif.py").write_text(
        """
from PIL import Image, ImageFile

class Opened(ImageFile.ImageFile):
    format = "HEIF"

    def _open(self):
        self._size, self._mode = (7, 5), "RGB"

    def load(self):
        self._im = Image.core.fill("RGB", self.size, (255, 0, 0))

def register_heif_opener():
    Image.register_open("HEIF", Opened, lambda prefix: prefix[4:12] == b"ftypheic")
"""
    )
    code = f"""
from resmem_plugin.core.images.reader import ImageReader
for _ in range(2):
    assert ImageReader().read({heif(b"heic")!r}).image.size == (7, 5)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_the_limit_of_pixels_is_an_option_and_a_variable(red: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    image = encoded("PNG")  # 300 x 200
    model = red.engine.model  # type: ignore[attr-defined]
    assert Scorer(device="cpu", model=model, max_pixels=60_000).score([image])[0].ok
    small = Scorer(device="cpu", model=model, max_pixels=59_999).score([image], errors="coerce")[0]
    assert small.error is not None
    assert "60000 pixels of at most 59999" in small.error
    monkeypatch.setenv("RESMEM_MAX_PIXELS", "59999")
    assert not Scorer(device="cpu", model=model).score([image], errors="coerce")[0].ok
    assert Scorer(device="cpu", model=model, max_pixels=60_000, processes=True).score([image])[0].ok
    monkeypatch.setenv("RESMEM_MAX_PIXELS", "many")
    with pytest.raises(OptionError, match="RESMEM_MAX_PIXELS must be a whole number"):
        Scorer(device="cpu", model=model)
