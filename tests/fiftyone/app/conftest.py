"""Fixtures for the tests of operators."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.scoring import scorer as scorer_module


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, red: Scorer) -> Scorer:
    """Replaces ResMem by the mean of the red channel, as if it had the published weights."""
    monkeypatch.setattr(scorer_module, "load_engine", lambda *_: red.engine)
    return red


@pytest.fixture
def ten(dataset: Any, reds: list[str]) -> Any:
    """Ten images that `red` scores as 0, .1, ... .9, of two classes."""
    dataset.add_samples(
        [fo.Sample(filepath=path, kind=fo.Classification(label="ab"[n % 2])) for n, path in enumerate(reds)]
    )
    return dataset
