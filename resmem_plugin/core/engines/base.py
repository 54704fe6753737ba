"""What every engine is: something that runs the network forward over a batch of preprocessed images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import ForkError

OPERATIONS_AN_IMAGE = 27.16e9
"""Operations of a forward pass over one image, a multiplication and an addition being two."""


DecodeJPEGs: TypeAlias = Callable[[Sequence[bytes]], "list[npt.NDArray[np.uint8] | None]"]
"""JPEG files -> what the network sees of them, uint8 (227, 227, 3) each, None for one that cannot be decoded so."""


class Engine(Protocol):
    """One way to run the network forward. Engines are safe to share between threads and never change once built."""

    @property
    def name(self) -> str:
        """The engine's name in a provenance, such as "pytorch"."""

    @property
    def precision(self) -> str:
        """The arithmetic of the forward pass: "fp32", "bf16", "fp16" or "int8"."""

    @property
    def calibration(self) -> str | None:
        """What names the images that int8 was calibrated on; None in other precisions."""

    @property
    def weights(self) -> str:
        """SHA-256 of the weights file, or an identity of the caller's own model."""

    @property
    def batch_size(self) -> int:
        """The number of images a batch at which this engine on its device is as quick as it gets."""

    def forward(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB images (B, 227, 227, 3) -> memorability (B,); a score depends on its own image alone.

        Raises:
            EvalModeError: if the model was switched to training mode.
        """

    @property
    def ahead(self) -> int:
        """Batches to begin before the first one's scores are asked for: 1 for a device that works by itself, else 0."""

    @property
    def decode_jpegs(self) -> DecodeJPEGs | None:
        """What decodes JPEGs where the network runs, on a device that can."""

    def begin(self, batch: npt.NDArray[np.uint8]) -> Callable[[], npt.NDArray[np.float32]]:
        """Begin `forward` on a device that works by itself; what is returned gives the scores (B,)."""

    @property
    def can_embed(self) -> bool:
        """Whether the network has embeddings: the published one has, a caller's own may not."""

    def embed(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB images (B, 227, 227, 3) -> activations of the head's last hidden layer (B, 256).

        Raises:
            EvalModeError: if the model was switched to training mode.
            OptionError: if the network has no embeddings.
        """


def require_process(loader: int) -> None:
    """See that a network runs in the process that loaded it, whose id this is.

    Raises:
        ForkError: if it does not.
    """
    if os.getpid() != loader:
        raise ForkError(
            "this network was loaded before the process was forked, and its threads do not survive that: start workers "
            "with multiprocessing.get_context('spawn')"
        )
