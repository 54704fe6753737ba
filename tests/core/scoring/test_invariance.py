"""Batch size, order, neighbours and workers never change a score."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resmem_plugin import Scorer
from tests.conftest import flat
from tests.models import Red

NAMES = ("rocket.jpg", "coffee.png", "moon.png", "china.jpg", "chelsea.png")
BAD = (None, float("nan"), 3, b"", b"no image", "no/such/file.jpg")


@pytest.fixture(scope="module")
def alone(scorer: Scorer, photos: dict[str, Path]) -> dict[str, float]:
    """Each photograph's score when it is scored by itself."""
    return {name: scorer.score([photos[name]])[0].memorability for name in NAMES}


@pytest.mark.weights
@settings(max_examples=12, deadline=None)
@given(
    chosen=st.lists(st.sampled_from(NAMES + BAD[:3] + BAD[4:]), min_size=1, max_size=9),
    batch_size=st.integers(1, 10),
    num_workers=st.integers(1, 5),
)
def test_scores_of_the_network_do_not_depend_on_batch_order_and_workers(
    photos: dict[str, Path], alone: dict[str, float], chosen: list[object], batch_size: int, num_workers: int
) -> None:
    scorer = Scorer(device="cpu", batch_size=batch_size, num_workers=num_workers)
    scores = scorer.score([photos[item] if item in NAMES else item for item in chosen], errors="coerce")
    expected = [alone.get(item, math.nan) if isinstance(item, str) else math.nan for item in chosen]
    assert [score.memorability for score in scores] == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert [score.index for score in scores] == list(range(len(chosen)))
    assert [score.error is None for score in scores] == [item in alone for item in chosen]


@settings(max_examples=150, deadline=None)
@given(
    chosen=st.lists(st.one_of(st.integers(0, 255).map(flat), st.sampled_from(BAD)), max_size=40),
    batch_size=st.integers(1, 17),
    num_workers=st.integers(1, 6),
)
def test_scores_of_the_pipeline_do_not_depend_on_batch_order_and_workers(
    chosen: list[object], batch_size: int, num_workers: int
) -> None:
    scorer = Scorer(device="cpu", model=Red(), batch_size=batch_size, num_workers=num_workers)
    scores = list(scorer.iter_scores(iter(chosen)))
    assert [score.index for score in scores] == list(range(len(chosen)))
    for item, score in zip(chosen, scores, strict=True):
        if isinstance(item, np.ndarray):
            assert score.memorability == pytest.approx(item[0, 0, 0] / 255, abs=1e-6)
            assert score.error is None
        else:
            assert math.isnan(score.memorability)
            assert score.error
