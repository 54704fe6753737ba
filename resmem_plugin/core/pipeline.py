"""Decode, batch, forward: in order, in bounded memory, and with decoding overlapping the forward pass."""

from __future__ import annotations

import copy
import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.engines.base import Engine
from resmem_plugin.core.errors import ImageError, UnreadableImageError
from resmem_plugin.core.images import ImageReader
from resmem_plugin.core.preprocess import pixels
from resmem_plugin.core.sources import is_url

FETCH_THREADS = 16
"""Images fetched at once: enough to hide a network's latency, few enough not to offend a server."""


@dataclass(frozen=True)
class Prepared:
    """What decoding made of one image: the network's input, or the reason why there is none."""

    pixels: npt.NDArray[np.uint8] | None = None
    clipped: bool = False
    error: ImageError | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one image."""

    memorability: float
    clipped: bool
    error: ImageError | None


_Work: TypeAlias = "tuple[Future[Prepared], object] | None"


class _Decoders:
    """Threads that prepare images: `num_workers` that decode, and, once there is a URL, more that fetch for them.

    They are daemons: unlike an executor's, a hung download cannot keep the process from ending.
    """

    def __init__(self, reader: ImageReader, num_workers: int) -> None:
        self._reader = reader
        self._to_fetch: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._to_decode: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._fetchers = 0
        self._decoders = num_workers
        self._closed = False
        _start(num_workers, self._decode)

    def submit(self, reference: object) -> Future[Prepared]:
        future: Future[Prepared] = Future()
        if is_url(reference):
            if not self._fetchers:
                self._fetchers = FETCH_THREADS
                _start(FETCH_THREADS, self._fetch)
            self._to_fetch.put((future, reference))
            return future
        if isinstance(reference, (np.ndarray, bytearray, memoryview)):
            reference = copy.copy(reference) if isinstance(reference, np.ndarray) else bytes(reference)
        self._to_decode.put((future, reference))  # copied: the caller may fill its buffer anew before its turn comes
        return future

    def close(self) -> None:
        self._closed = True
        for _ in range(self._fetchers):
            self._to_fetch.put(None)
        for _ in range(self._decoders):
            self._to_decode.put(None)

    def _fetch(self) -> None:
        while (work := self._to_fetch.get()) is not None and not self._closed:
            future, reference = work
            try:
                self._to_decode.put((future, self._reader.fetch(reference)))
            except Exception as error:
                future.set_result(_failed(error))

    def _decode(self) -> None:
        while (work := self._to_decode.get()) is not None and not self._closed:
            future, reference = work
            try:
                opened = self._reader.read(reference)
                future.set_result(Prepared(pixels(opened.image), opened.clipped))
            except Exception as error:
                future.set_result(_failed(error))


def _start(count: int, work: Callable[[], None]) -> None:
    for _ in range(count):
        threading.Thread(target=work, name="resmem-decode", daemon=True).start()


def _failed(error: Exception) -> Prepared:
    if isinstance(error, ImageError):
        return Prepared(error=error)
    reason = UnreadableImageError(f"cannot be read as an image: {type(error).__name__}: {error}")
    reason.__cause__ = error  # of an object of the caller's, say: it costs this image only
    return Prepared(error=reason)


def run(
    images: Iterable[object],
    *,
    reader: ImageReader,
    engine: Engine,
    batch_size: int,
    num_workers: int,
) -> Iterator[Outcome]:
    """Score images lazily: one outcome for each, in order, holding no more than about three batches in memory.

    Args:
        images: references to images; a generator is read about two batches ahead.
        reader: turns a reference into an image.
        engine: runs the network.
        batch_size: images a forward pass.
        num_workers: images decoded at once.

    Closing the iterator, or an interrupt within it, ends the work at once.
    """
    failures: list[Exception] = []
    upcoming = _until_failure(images, failures)
    pending: deque[Future[Prepared]] = deque()
    decoders = _Decoders(reader, num_workers)
    try:
        while True:
            prepared: list[Prepared] = []
            while len(prepared) < batch_size:
                room = 2 * batch_size + FETCH_THREADS - len(pending)
                pending.extend(decoders.submit(image) for image in islice(upcoming, room))
                if not pending:
                    break
                prepared.append(pending.popleft().result())
            if not prepared:
                break
            yield from _forward(prepared, engine.forward)
    finally:
        decoders.close()
        reader.close()
    if failures:
        raise failures[0]


def _until_failure(images: Iterable[object], failures: list[Exception]) -> Iterator[object]:
    """Keep an error of the caller's iterable for later: the images before it are scored first."""
    try:
        yield from images
    except Exception as error:
        failures.append(error)


def _forward(
    prepared: list[Prepared], forward: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
) -> Iterator[Outcome]:
    batch = [item.pixels for item in prepared if item.pixels is not None]
    scores = iter(forward(np.stack(batch)).tolist() if batch else [])
    for item in prepared:
        memorability, error = (math.nan, item.error) if item.error else (next(scores), None)
        if error is None and not math.isfinite(memorability):
            memorability, error = (
                math.nan,
                UnreadableImageError(
                    f"the network returned {memorability}: look at its weights, or use precision='fp32'"
                ),
            )
        yield Outcome(memorability, item.clipped, error)
