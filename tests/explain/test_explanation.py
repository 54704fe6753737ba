"""What an explanation shows: its map on the image's own pixels, its picture and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.explain import Explanation, explain
from tests.models import Red

RED = Image.new("RGB", (512, 300), (200, 10, 10))
SCORER = Scorer(model=Red())


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    return explain(RED, baseline="blank", passes=49, scorer=SCORER)


@pytest.mark.parametrize("size", [(512, 300), (256, 256), (227, 1000), (1, 1), (3, 2000), (31, 7)])
def test_the_map_lies_on_the_images_own_pixels(size: tuple[int, int]) -> None:
    explanation = explain(RED.resize(size), "gradient_x_input", baseline="blank", scorer=SCORER)
    assert explanation.size == size
    assert explanation.map.shape == size[::-1]
    assert explanation.map.dtype == np.float32
    left, top, right, bottom = explanation.box
    assert (right - left) / size[0] == pytest.approx(227 / 256)
    assert (bottom - top) / size[1] == pytest.approx(227 / 256)
    seen = ~np.isnan(explanation.map)
    assert seen.any()
    assert seen.mean() == pytest.approx((227 / 256) ** 2, abs=0.1) or min(size) < 20
    if min(size) > 100:
        rows, columns = np.where(seen)
        assert abs(rows.min() - top) <= 0.5
        assert abs(columns.max() + 1 - right) <= 0.5


def test_what_the_crop_hides_is_dark(explanation: Explanation) -> None:
    picture = np.asarray(explanation.overlay(RED))
    assert picture.shape == (300, 512, 3)
    assert picture[0, 0].tolist() == [round(0.35 * RED.convert("L").getpixel((0, 0)))] * 3  # type: ignore[operator]
    assert picture[150, 256, 0] > picture[150, 256, 2]  # the red that raises the score is red


def test_a_limit_makes_pictures_comparable(explanation: Explanation) -> None:
    weak = np.asarray(explanation.overlay(RED, limit=1000)).astype(int)
    assert np.ptp(weak[150, 256]) < 5
    thumbnail = explanation.overlay(RED.resize((51, 30)))
    assert thumbnail.size == (51, 30)
    with pytest.raises(OptionError, match="limit must be above 0"):
        explanation.overlay(RED, limit=0)


def test_an_explanation_is_saved_and_loaded(explanation: Explanation, tmp_path: Path) -> None:
    path = tmp_path / "red.npz"
    explanation.save(path)
    loaded = Explanation.load(path)
    np.testing.assert_array_equal(loaded.values, explanation.values)
    for name in (
        "index",
        "method",
        "baseline",
        "score",
        "baseline_score",
        "size",
        "passes",
        "seed",
        "provenance",
        "error",
    ):
        assert getattr(loaded, name) == getattr(explanation, name)
    assert loaded.provenance == SCORER.provenance
    assert [each.name for each in tmp_path.iterdir()] == ["red.npz"]


def test_one_without_a_map_is_saved_too(tmp_path: Path) -> None:
    (failed,) = explain([b"no image"], errors="coerce", scorer=SCORER)
    failed.save(tmp_path / "failed.npz")
    loaded = Explanation.load(tmp_path / "failed.npz")
    assert loaded.error == failed.error
    assert np.isnan(loaded.score)
    assert loaded.map.shape == (0, 0)
    with pytest.raises(OptionError, match="there is no map: "):
        failed.overlay(RED)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"no zip"])
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(OptionError, match="explain the image again"):
        Explanation.load(path)
    np.savez(path, values=np.zeros((3, 3)))
    with pytest.raises(OptionError, match="holds no explanation"):
        Explanation.load(path)
    with pytest.raises(FileNotFoundError):
        Explanation.load(tmp_path / "none.npz")
