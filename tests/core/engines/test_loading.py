"""Loading an engine: scorers of the same options share one network."""

from __future__ import annotations

import pytest

from resmem_plugin import Scorer


@pytest.mark.weights
def test_scorers_share_one_network() -> None:
    one, other = Scorer(device="cpu"), Scorer(device="cpu", batch_size=2, precision="fp32")
    assert one.engine is other.engine
