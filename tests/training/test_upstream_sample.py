"""The steps of upstream's published sample, by an outside client: the same figures from this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch.utils.data import DataLoader, Dataset, random_split

import resmem_plugin
from resmem_plugin import Scorer
from resmem_plugin.datasets import lamem
from resmem_plugin.training import evaluate
from tests import upstream
from tests.datasets import folders

pytestmark = [
    pytest.mark.weights,
    upstream.quiet,
]


class Pairs(Dataset):  # type: ignore[type-arg]
    """Images with their memorability, as upstream's loaders give them."""

    def __init__(self, paths: list[str], targets: list[float], transformer: Any) -> None:
        self.paths, self.targets, self.transformer = paths, targets, transformer

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, float]:
        return self.transformer(Image.open(self.paths[index]).convert("RGB")), self.targets[index]


def sample(model: Any, transformer: Any, paths: list[str], targets: list[float]) -> tuple[float, float]:
    """Split, score the held-out part in batches, compare: Spearman's rho, and the mean squared error."""
    pairs = Pairs(paths, targets, transformer)
    _, held_out = random_split(pairs, [4, len(pairs) - 4], generator=torch.Generator().manual_seed(0))
    predicted, truth = [], []
    model.eval()
    with torch.no_grad():
        for images, batch in DataLoader(held_out, batch_size=5):
            predicted += model(images.view(-1, 3, 227, 227)).view(-1).tolist()
            truth += batch.tolist()
    return float(stats.spearmanr(predicted, truth).statistic), float(np.mean((np.array(predicted) - truth) ** 2))


def test_upstreams_sample_gives_the_same_figures(photos: dict[str, Path], tmp_path: Path) -> None:
    import resmem

    root = folders.lamem(tmp_path)
    names, targets = list(photos)[:14], np.random.default_rng(0).uniform(0.4, 0.95, 14).round(6)
    for name in names:
        (root / "images" / name).symlink_to(photos[name])
    lines = [f"{name} {target}" for name, target in zip(names, targets, strict=True)]
    (root / "splits" / "full.txt").write_text("\n".join(lines))
    frame = lamem(root, fold=None)
    data = frame["path"].tolist(), frame["memorability"].tolist()

    theirs = sample(upstream.model(), resmem.transformer, *data)
    ours = sample(resmem_plugin.ResMem(pretrained=True), resmem_plugin.transformer, *data)
    assert ours == pytest.approx(theirs, abs=1e-5)

    frame["score"] = [score.memorability for score in Scorer(device="cpu").score(frame["path"])]
    generator = torch.Generator().manual_seed(0)
    held_out = frame.iloc[list(random_split(frame.index, [4, 10], generator=generator)[1].indices)]  # type: ignore[arg-type]
    found = evaluate(held_out, "score", "memorability", resamples=0)
    assert (found.spearman.value, found.mse.value) == pytest.approx(theirs, abs=1e-5)
