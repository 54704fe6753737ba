"""PyTorch on a CUDA device: pinned transfers on a separate stream, and the network as CUDA graphs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from resmem_plugin.core.engines.base import check_not_forked
from resmem_plugin.core.engines.pytorch.engine import Model, PyTorchEngine
from resmem_plugin.core.engines.pytorch.nvjpeg import JPEGDecoder
from resmem_plugin.core.images.preprocess import INPUT_SHAPE
from resmem_plugin.core.network.resmem import ResMemNetwork

_WARM_UP = 3
"""Forward passes before a graph is captured, in which cuDNN chooses its kernels."""

_logger = logging.getLogger(__name__)


class _Graph(NamedTuple):
    """A captured forward pass: `graph.replay()` turns what lies in `images` into `scores`."""

    graph: torch.cuda.CUDAGraph
    images: Tensor
    scores: Tensor


class CUDAEngine(PyTorchEngine):
    """Runs a network on a CUDA device asynchronously: `submit` returns before the device is done.

    ResMem runs as CUDA graphs, captured for batches of 1, 2, 4, ... images, of which a batch uses the next larger; a
    caller's own network runs without graphs. For arguments and errors see `PyTorchEngine`.
    """

    lookahead = 1

    def __init__(
        self,
        model: Model,
        *,
        weights: str | None = None,
        device: str = "cuda",
        precision: str = "auto",
        own: bool = False,
    ) -> None:
        super().__init__(model, weights=weights, device=device, precision=precision, own=own)
        self._copies = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        self._work = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        self._work.wait_stream(torch.cuda.current_stream(self.device))  # which transferred the parameters
        self._graphs: dict[int, _Graph] = {}
        self._pool = torch.cuda.graph_pool_handle()
        self._captures = isinstance(self.model, ResMemNetwork)
        self._launch_lock = threading.Lock()
        self.decode_jpegs = JPEGDecoder(self.device)

    def forward(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB images (B, 227, 227, 3) -> memorability (B,); see `PyTorchEngine.forward`."""
        return self.submit(batch)()

    def submit(self, batch: npt.NDArray[np.uint8]) -> Callable[[], npt.NDArray[np.float32]]:
        """Launch `forward`; the function returned waits for the scores.

        Raises:
            EvalModeError, ForkError, OptionError: as by `forward`.
        """
        check_not_forked(self._process)
        self.check_eval_mode()
        try:
            with self._launch_lock, torch.cuda.device(self.device), torch.no_grad(), self._arithmetic():
                scores, done = self._launch(torch.from_numpy(batch))
        except torch.OutOfMemoryError:
            self._drop_graphs()
            return lambda: super(CUDAEngine, self).forward(batch)  # which splits it

        def finish() -> npt.NDArray[np.float32]:
            done.synchronize()
            return scores.numpy()

        return finish

    def _launch(self, batch: Tensor) -> tuple[Tensor, torch.cuda.Event]:
        """Queue the transfers and the forward pass; returns the scores' buffer, and the event that they are there."""
        with torch.cuda.stream(self._copies):
            images = batch.pin_memory().to(self.device, non_blocking=True)
        self._work.wait_stream(self._copies)
        with torch.cuda.stream(self._work):
            images.record_stream(self._work)
            scores = self._replay(images) if self._captures else self._scores(self._scaled(images))
            back = torch.empty(len(batch), dtype=torch.float32, pin_memory=True)
            back.copy_(scores, non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record()
        return back, done

    def _replay(self, images: Tensor) -> Tensor:
        size = 1 << (len(images) - 1).bit_length()
        if size not in self._graphs:
            try:
                self._graphs[size] = self._capture(size)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # a kernel that cannot be captured: slower, but not an error
                _logger.warning("the network runs without CUDA graphs, more slowly: %s", error)
                self._captures = False
                return self._scores(self._scaled(images))
        captured = self._graphs[size]
        captured.images[: len(images)].copy_(images)
        captured.graph.replay()
        return captured.scores[: len(images)]

    def _capture(self, size: int) -> _Graph:
        images = torch.zeros((size, *INPUT_SHAPE), dtype=torch.uint8, device=self.device)
        for _ in range(_WARM_UP):
            self._scores(self._scaled(images))
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._work, capture_error_mode="thread_local"):
            scores = self._scores(self._scaled(images)).to(torch.float32)
        return _Graph(graph, images, scores)

    def _drop_graphs(self) -> None:
        """Free the memory of the graphs: the device has too little."""
        torch.cuda.synchronize(self.device)
        self._graphs.clear()
        self._captures = False
