"""Stand-ins for the network: cheap models and engines whose scores can be computed by hand.

Everything else in the tests is real. Importing torch here does not delay the processes of `tests.command`: they are
forked from a server that has imported it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from resmem_plugin.core.engines.pytorch.engine import PyTorchEngine
from resmem_plugin.core.engines.resolve import Choice
from resmem_plugin.core.network.weights import WeightsFile
from resmem_plugin.core.scoring import scorer

SECONDS_PER_IMAGE = 0.15
"""What `Slow` takes per image."""
BATCHES_BEFORE_FAILURE = 2
FAILURE = "the stand-in network broke"
"""The message of `FailingOnce`."""


class Red(nn.Module):
    """The mean of the red channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0].mean(dim=(1, 2)).unsqueeze(1)


class Quadrant(nn.Module):
    """How red the lower right quarter is; what looks there is in `features.layer4`, as ResMem's last stage is."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Module()
        self.features.layer4 = nn.AvgPool2d(28)  # 8 by 8 cells

    def forward(self, x: Tensor) -> Tensor:
        cells: Tensor = self.features.get_submodule("layer4")(x)
        return cells[:, 0, 4:, 4:].mean(dim=(1, 2)).unsqueeze(1)


class OtherRed(Red):
    """The same scores as `Red`, from a model of another provenance."""


class MemoryLimited(Red):
    """Runs out of memory on more than `largest` images at once."""

    def __init__(self, largest: int) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, x: Tensor) -> Tensor:
        self._check(x)
        return super().forward(x)

    def _check(self, x: Tensor) -> None:
        if len(x) > self.largest:
            raise torch.OutOfMemoryError("pretend that the card is full")


class WithEmbeddings(Red):
    """Has embeddings: the means of the three channels."""

    def embed(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class MemoryLimitedWithEmbeddings(MemoryLimited):
    """Both: embeddings too run out of memory on more than `largest` images."""

    def embed(self, x: Tensor) -> Tensor:
        self._check(x)
        return x.mean(dim=(2, 3))


class WithWrongEmbeddings(Red):
    """Returns its input for embeddings, which is of a wrong shape."""

    def embed(self, x: Tensor) -> Tensor:
        return x


class Failing(Red):
    """Scores so many batches, and fails in each one that follows."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches = batches

    def forward(self, x: Tensor) -> Tensor:
        if self.batches == 0:
            raise RuntimeError("the card fell out")
        self.batches -= 1
        return super().forward(x)


class Counting(Red):
    """Counts the images that all models of this class in this process have scored, in `Counting.seen`."""

    seen = 0

    def forward(self, x: Tensor) -> Tensor:
        type(self).seen += len(x)
        return super().forward(x)


class Counted(Red):
    """Writes one byte to a file per image that it scores, so that another process can count them."""

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
        time.sleep(SECONDS_PER_IMAGE * len(x))
        return super().forward(x)


class FailingOnce(Counted):
    """Fails in one batch and works again afterwards, as after a transient fault of a device."""

    def forward(self, x: Tensor) -> Tensor:
        scores = super().forward(x)
        if self.batches == BATCHES_BEFORE_FAILURE + 1:
            raise RuntimeError(FAILURE)
        return scores


STAND_INS: dict[str, type[Counted]] = {"slow": Slow, "failing-once": FailingOnce}
"""Those that the App's server can be started with, by name."""


def use_stand_in(stand_in: type[Counted], forwarded: str) -> None:
    """Let every `Scorer` of this process run the stand-in instead of ResMem, in whatever precision it asks for."""
    network = stand_in(forwarded)
    engines: dict[str, PyTorchEngine] = {}

    def load(weights: WeightsFile, choice: Choice) -> PyTorchEngine:
        if choice.precision not in engines:
            engine = PyTorchEngine(
                network, weights=weights.sha256, device=choice.device, precision=choice.precision, own=True
            )
            engine.name = choice.engine  # scores have the provenance that the form expects
            engines[choice.precision] = engine
        return engines[choice.precision]

    vars(scorer)["load_engine"] = load


class RedEngine:
    """An engine that computes the mean of the red channel without a network.

    Args:
        forward_s: the least time that a batch takes.
        fails_at: the image at which it fails, counted from 0; None: it never does.
        batch_dependent: a score depends on the other images of its batch, as PyTorch's do in their last digit.
    """

    name, device_type, precision, weights, batch_size, can_embed = "red", "cpu", "fp32", "0" * 64, 4, False
    calibration: str | None = None
    lookahead = 0
    decode_jpegs = None

    def __init__(self, forward_s: float = 0, fails_at: int | None = None, batch_dependent: bool = True) -> None:
        self.forward_s, self.fails_at, self.batch_dependent, self.scored = forward_s, fails_at, batch_dependent, 0

    def forward(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        time.sleep(self.forward_s)
        self.scored += len(batch)
        if self.fails_at is not None and self.scored > self.fails_at:
            raise RuntimeError("pretend that the card is lost")
        reds: npt.NDArray[np.float32] = batch[..., 0].mean(axis=(1, 2), dtype=np.float32) / np.float32(255)
        if self.batch_dependent:
            reds *= 1 + reds.mean() / 1000
        return reds

    def submit(self, batch: npt.NDArray[np.uint8]) -> Callable[[], npt.NDArray[np.float32]]:
        return partial(self.forward, batch)

    def embed(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        raise NotImplementedError

    features = embed


class AsynchronousEngine(PyTorchEngine):
    """Works asynchronously, as a GPU does: a thread scores the batches. `events` lists submissions and waits."""

    lookahead = 1

    def __init__(self) -> None:
        super().__init__(Red(), device="cpu")
        self.events: list[str] = []
        self._thread = ThreadPoolExecutor(1)

    def submit(self, batch: npt.NDArray[np.uint8]) -> Callable[[], npt.NDArray[np.float32]]:
        self.events.append(f"submit {len(batch)}")
        future = self._thread.submit(self.forward, batch)

        def finish() -> npt.NDArray[np.float32]:
            self.events.append("finish")
            return future.result()

        return finish
