"""Networks that stand in for ResMem: the one thing in these tests that is not real."""

from __future__ import annotations

import time

from torch import Tensor

from resmem_plugin.core.engines.pytorch.engine import PyTorchEngine
from resmem_plugin.core.engines.resolve import Choice
from resmem_plugin.core.network.weights import WeightsFile
from resmem_plugin.core.scoring import scorer
from tests.models import Red

SECONDS_AN_IMAGE = 0.15
BATCHES_BEFORE_FAILURE = 2
REASON = "the stand-in network broke"


class Counted(Red):
    """Leaves one byte in a file for each image that passes, so that another process can count them."""

    def __init__(self, forwarded: str) -> None:
        super().__init__()
        self.forwarded = forwarded
        self.batches = 0

    def forward(self, x: Tensor) -> Tensor:
        self.batches += 1
        with open(self.forwarded, "ab") as file:
            file.write(b"." * len(x))
        return super().forward(x)


class Slow(Counted):
    """Takes the time that a large network would."""

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(SECONDS_AN_IMAGE * len(x))
        return super().forward(x)


class FailingOnce(Counted):
    """Breaks in one batch and is well again afterwards, as after a passing fault of a device."""

    def forward(self, x: Tensor) -> Tensor:
        scores = super().forward(x)
        if self.batches == BATCHES_BEFORE_FAILURE + 1:
            raise RuntimeError(REASON)
        return scores


STAND_INS: dict[str, type[Counted]] = {"slow": Slow, "failing-once": FailingOnce}


def use(stand_in: type[Counted], forwarded: str) -> None:
    """Let every `Scorer` of this process run the stand-in when it loads ResMem; all else stays as it is."""
    network = stand_in(forwarded)
    engines: dict[str, PyTorchEngine] = {}

    def load(weights: WeightsFile, choice: Choice) -> PyTorchEngine:
        if choice.precision not in engines:
            engine = PyTorchEngine(
                network, weights=weights.sha256, device=choice.device, precision=choice.precision, own=True
            )
            engine.name = choice.engine  # scores go by what the form expects of them
            engines[choice.precision] = engine
        return engines[choice.precision]

    vars(scorer)["load_engine"] = load
