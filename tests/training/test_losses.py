"""Losses against what they are defined as."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from resmem_plugin.training.losses import loss_of, plcc_loss, rank_loss

RANDOM = np.random.default_rng(0)
SCORES, MEASURED = RANDOM.random(20), RANDOM.random(20)


def test_correlation() -> None:
    loss = plcc_loss(torch.tensor(SCORES), torch.tensor(MEASURED))
    assert float(loss) == pytest.approx((1 - np.corrcoef(SCORES, MEASURED)[0, 1]) / 2)
    assert float(plcc_loss(torch.tensor(SCORES), torch.tensor(SCORES))) == pytest.approx(0, abs=1e-9)


def test_ranks() -> None:
    pairs = [(i, j) for i in range(20) for j in range(20) if MEASURED[i] > MEASURED[j]]
    expected = np.mean([np.log1p(np.exp(-(SCORES[i] - SCORES[j]) / 0.1)) for i, j in pairs])
    assert float(rank_loss(torch.tensor(SCORES), torch.tensor(MEASURED))) == pytest.approx(expected)


def test_losses_are_added() -> None:
    x, y = torch.tensor(SCORES), torch.tensor(MEASURED)
    parts = sum(float(loss_of(name, x, y)) for name in ("mse", "plcc", "rank"))
    assert float(loss_of("mse+plcc+rank", x, y)) == pytest.approx(parts)


@pytest.mark.parametrize("name", ["mse", "plcc", "rank"])
@pytest.mark.parametrize("measured", [[0.5, 0.5], [0.5]])
def test_gradients_are_finite_where_nothing_can_be_ranked(name: str, measured: list[float]) -> None:
    scores = torch.full((len(measured),), 0.5, requires_grad=True)
    loss_of(name, scores, torch.tensor(measured)).backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
