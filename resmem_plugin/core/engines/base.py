"""The interface of an engine: what runs the network forward over a batch of preprocessed images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import ForkError

DEVICES_TEXT = "auto, cpu, cuda, cuda:N or mps"
"""For help texts and messages."""

FLOPS_PER_IMAGE = 27.16e9
"""Floating-point operations of a forward pass per image, a multiplication and an addition counting as two."""

DecodeJPEGs: TypeAlias = Callable[[Sequence[bytes]], "list[npt.NDArray[np.uint8] | None]"]
"""JPEG files -> preprocessed images, uint8 (227, 227, 3) each; None for one that cannot be decoded this way."""


class EngineInfo(Protocol):
    """What a provenance records of an engine."""

    @property
    def name(self) -> str:
        """The engine's name, such as "pytorch"."""

    @property
    def device_type(self) -> str:
        """Where it runs: "cpu", "cuda" or "mps"."""

    @property
    def precision(self) -> str:
        """The arithmetic of the forward pass: "fp32", "bf16", "fp16" or "int8"."""

    @property
    def calibration(self) -> str | None:
        """The id of the images that int8 was calibrated on; None in other precisions."""

    @property
    def weights(self) -> str:
        """SHA-256 of the weights file, or an identity of the caller's own model."""

    @property
    def decode_jpegs(self) -> DecodeJPEGs | None:
        """What decodes JPEGs on the device, or None if it cannot."""


class ExpectedEngine(NamedTuple):
    """What is known of an engine before it is loaded; see `EngineInfo`."""

    name: str
    device_type: str
    precision: str
    calibration: str | None
    weights: str
    decode_jpegs: DecodeJPEGs | None = None


class Engine(EngineInfo, Protocol):
    """One way to run the network forward. Engines are thread-safe and never change once built."""

    @property
    def batch_size(self) -> int:
        """The number of images per batch at which this engine is fastest on its device."""

    @property
    def lookahead(self) -> int:
        """Batches to submit before the first one's scores are collected: 1 for an asynchronous device, else 0."""

    def forward(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB images (B, 227, 227, 3) -> memorability (B,); a score depends on its own image alone.

        Raises:
            EvalModeError: if the model was switched to training mode.
        """

    def submit(self, batch: npt.NDArray[np.uint8]) -> Callable[[], npt.NDArray[np.float32]]:
        """Start `forward` on an asynchronous device; the function returned waits for the scores (B,)."""

    @property
    def can_embed(self) -> bool:
        """Whether the network has embeddings: the published one has, a caller's own may not."""

    def embed(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB images (B, 227, 227, 3) -> activations of the head's last hidden layer (B, 256).

        Raises:
            EvalModeError: if the model was switched to training mode.
            OptionError: if the network has no embeddings.
        """

    def features(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB images (B, 227, 227, 3) -> what tells images apart: the ResNet's outputs (B, 1000).

        Embeddings lie close together whatever the images show; these do not. Of a caller's own network: its embeddings.

        Raises:
            EvalModeError: if the model was switched to training mode.
            OptionError: if the network has neither.
        """


def jpeg_decoder(engine: EngineInfo, decode: str, *, exif_transpose: bool) -> DecodeJPEGs | None:
    """What decodes JPEGs on the engine's device, if these options allow other pixels than Pillow's."""
    return engine.decode_jpegs if decode == "fast" and not exif_transpose else None


def check_not_forked(loader: int) -> None:
    """Check that a network runs in the process that loaded it, whose id this is.

    Raises:
        ForkError: if it does not.
    """
    if os.getpid() != loader:
        raise ForkError(
            "this network was loaded before the process was forked, and its threads do not survive that: start workers "
            "with multiprocessing.get_context('spawn')"
        )
