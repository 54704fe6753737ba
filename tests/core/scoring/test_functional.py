"""`score_images`."""

from __future__ import annotations

import math

import numpy as np
import pytest

from resmem_plugin import score_images
from resmem_plugin.core.errors import FailedImagesWarning
from tests.conftest import flat
from tests.models import Red


def test_score_images_returns_an_array() -> None:
    with pytest.warns(FailedImagesWarning, match=r"1 of 3 images have no score.*<3 bytes>") as caught:
        scores = score_images([flat(51), b"bad", flat(255)], model=Red(), device="cpu")
    assert caught[0].filename == __file__
    assert scores.dtype == np.float32
    assert scores == pytest.approx([0.2, math.nan, 1.0], nan_ok=True)
