from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from resmem_plugin import Scorer
from resmem_plugin.curation import image_features
from tests.conftest import flat
from tests.models import MemoryLimitedWithEmbeddings


def features(images: list[object]) -> npt.NDArray[np.float32]:
    return image_features(images, scorer=Scorer(device="cpu", model=MemoryLimitedWithEmbeddings(largest=9)))


def test_a_row_for_each_image() -> None:
    found = features([flat(51), b"no image", None, flat(102)])
    assert found[[0, 3], 0] == pytest.approx([0.2, 0.4], abs=1e-6)
    assert np.isnan(found[1:3]).all()


def test_no_images_and_none_that_can_be_read() -> None:
    assert len(features([])) == 0
    unreadable = features([b"no image", "/none.jpg"])
    assert len(unreadable) == 2
    assert np.isnan(unreadable).any(axis=1).all()
