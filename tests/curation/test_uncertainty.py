from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.curation import ConformalIntervals, score_variation


def test_nine_of_ten_intervals_hold_held_out_ratings() -> None:
    coverage, uneven = [], []
    for seed in range(40):
        random = np.random.default_rng(seed)
        scores, variation = random.beta(8, 2, 3000), random.gamma(2, 0.01, 3000)
        noise = random.standard_t(3, 3000) * (0.01 + 2 * variation)
        ratings = np.clip(0.3 + 0.6 * scores + noise, 0, 1)  # biased, heavy-tailed
        for spread in (None, variation):
            given: Any = (None, None) if spread is None else (spread[:1000], spread[1000:])
            intervals = ConformalIntervals.fit(scores[:1000], ratings[:1000], given[0])
            low, high = intervals.of(scores[1000:], given[1])
            holds = (low <= ratings[1000:]) & (ratings[1000:] <= high)
            coverage.append(holds.mean())
            uneven.append(holds[variation[1000:] > 0.04].mean())
    print(f"coverage {np.mean(coverage):.3f} (from {min(coverage):.3f} to {max(coverage):.3f})")
    assert np.mean(coverage[::2]) == pytest.approx(0.9, abs=0.02)
    assert np.mean(coverage[1::2]) == pytest.approx(0.9, abs=0.02)
    assert np.mean(uneven[::2]) < 0.75  # of uncertain images
    assert np.mean(uneven[1::2]) > 0.85


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_other_coverages(coverage: float) -> None:
    random = np.random.default_rng(0)
    scores = random.random(5000)
    ratings = np.clip(scores + random.normal(0, 0.1, 5000), 0, 1)
    low, high = ConformalIntervals.fit(scores[:2000], ratings[:2000]).of(scores[2000:], coverage=coverage)
    assert ((low <= ratings[2000:]) & (ratings[2000:] <= high)).mean() == pytest.approx(coverage, abs=0.03)


def test_missing_values() -> None:
    scores = np.append(np.linspace(0.4, 0.8, 30), [np.nan, 0.5])
    ratings = np.append(scores[:30] + 0.1, [0.5, np.nan])
    intervals = ConformalIntervals.fit(scores, ratings)
    assert len(intervals.residuals) == 30
    low, high = intervals.of([np.nan, 0.5])
    assert np.isnan([low[0], high[0]]).all()
    assert (low[1], high[1]) == pytest.approx((0.4, 0.6))


def test_unusable_calibrations_are_errors() -> None:
    numbers = np.linspace(0, 1, 25)
    with pytest.raises(OptionError, match="20 rated images at least are needed, not 3"):
        ConformalIntervals.fit([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    with pytest.raises(OptionError, match="must be as many"):
        ConformalIntervals.fit(numbers, numbers[1:])
    with pytest.raises(OptionError, match="scores must be numbers"):
        ConformalIntervals.fit(["a"] * 25, numbers)
    intervals = ConformalIntervals.fit(numbers, numbers)
    with pytest.raises(OptionError, match="needs 99 rated images at least, not 25"):
        intervals.of([0.5], coverage=0.99)
    with pytest.raises(OptionError, match="coverage must be"):
        intervals.of([0.5], coverage=1)
    with pytest.raises(OptionError, match="leave it out"):
        intervals.of([0.5], [0.1])
    with pytest.raises(OptionError, match="give the variation here too"):
        ConformalIntervals.fit(numbers, numbers, numbers).of([0.5])


def test_variation_over_crops_and_mirror_images(red: Scorer) -> None:
    gradient = np.zeros((100, 200, 3), np.uint8)
    gradient[..., 0] = np.linspace(0, 200, 200)
    even = np.full((40, 60, 3), 51, np.uint8)
    found = score_variation([gradient, even, b"no image", None], scorer=red)
    assert found["memorability"][:2].tolist() == pytest.approx([100 / 255, 0.2], abs=0.01)
    assert found["variation"][1] == pytest.approx(0, abs=1e-6)
    assert 0.005 < found["variation"][0] < 0.05
    assert found.isna().all(axis=1).tolist() == [False, False, True, True]
    two = score_variation([gradient], 2, scorer=red)  # itself and its mirror image
    assert two["variation"][0] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("variants", [1, 11, 2.0, True])
def test_unusable_numbers_of_variants_are_errors(variants: int) -> None:
    with pytest.raises(OptionError, match="from 2 to 10"):
        score_variation([], variants)


@pytest.mark.weights
def test_photographs_vary_less_than_they_differ(scorer: Scorer, photos: dict[str, Path]) -> None:
    found = score_variation([photos[name] for name in ("coffee.png", "rocket.jpg", "moon.png")], 4, scorer=scorer)
    with Image.open(photos["coffee.png"]) as image:
        assert found["memorability"][0] == pytest.approx(scorer.score([image])[0].memorability, abs=1e-6)
    assert found["variation"].max() < 0.1
