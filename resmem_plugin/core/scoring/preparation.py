"""Threads that read, decode and preprocess images, several at a time."""

from __future__ import annotations

import contextlib
import copy
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from resmem_plugin.core.cache.scores import CachedScore, CacheSession, content_key, pixels_key
from resmem_plugin.core.engines.base import DecodeJPEGs, Engine
from resmem_plugin.core.errors import ImageError, UnreadableImageError
from resmem_plugin.core.images.decoding import image_errors, plain_jpeg_pixels
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.images.reader import ImageReader
from resmem_plugin.core.images.sources import is_url
from resmem_plugin.core.images.worker_process import DecodeProcess
from resmem_plugin.core.scores import Flaw

MAX_FETCH_THREADS = 16
"""URLs fetched at once: enough to hide a network's latency, few enough for a server."""

_MAX_GIL_WORKERS = 2
"""Threads that can decode at once without waiting for Python's global lock."""

_PROCESS_AFTER_IMAGES = 32
"""Images per worker from which on starting a process, a third of a second, pays."""

_MAX_JPEGS, _MAX_JPEG_PIXELS = 64, 64_000_000
"""Limits of a batch of JPEGs for a CUDA device; a single JPEG may have more pixels."""


@dataclass(frozen=True)
class Prepared:
    """One image before the network: its pixels, its score in the cache, or why there is neither.

    Attributes:
        pixels: the network's input, uint8 (227, 227, 3).
        flaw: what is wrong with the image.
        error: why it cannot be scored.
        cached: its score, if it is in the cache.
        key: the key for its score in the cache, if there is one.
    """

    pixels: npt.NDArray[np.uint8] | None = None
    flaw: Flaw = Flaw.NONE
    error: ImageError | None = None
    cached: CachedScore | None = None
    key: bytes | None = None


_Work: TypeAlias = "tuple[Future[Prepared], object] | None"


class _JPEG(NamedTuple):
    """A JPEG to decode on the device; if that fails, its `content` is decoded on the CPU."""

    future: Future[Prepared]
    content: bytes
    key: bytes | None
    pixels: int


def processes_after(processes: bool | None, engine: Engine, num_workers: int) -> int | None:
    """Images that each worker decodes before it starts a process for the rest; None: all of them."""
    if processes is None:
        return _PROCESS_AFTER_IMAGES if engine.lookahead and num_workers > _MAX_GIL_WORKERS else None
    return 0 if processes else None


class Decoders:
    """Threads that prepare images: `num_workers` that decode, and, from the first URL on, others that fetch.

    They are daemons: unlike an executor's threads, a hung download cannot keep the process from ending. Each decoding
    thread uses a worker process after `processes_after` images. If a CUDA device decodes JPEGs, one more thread passes
    them on in batches.
    """

    def __init__(
        self,
        reader: ImageReader,
        num_workers: int,
        cache: CacheSession | None,
        processes_after: int | None,
        decode_jpegs: DecodeJPEGs | None,
    ) -> None:
        self._reader, self._cache, self._processes_after = reader, cache, processes_after
        self._to_fetch: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._to_decode: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._jpegs: queue.SimpleQueue[_JPEG | None] | None = None
        if decode_jpegs is not None:
            self._jpegs = queue.SimpleQueue()
            (thread,) = _start(1, partial(self._decode_jpegs, decode_jpegs, self._jpegs))
            # Python ends the process by force if it finds a daemon thread in torch's C++ code.
            self._stop_jpegs = weakref.finalize(self, _end, self._jpegs, thread)
        self._fetchers = 0
        self._decoders = num_workers
        self._closed = False
        _start(num_workers, self._decode)

    def submit(self, reference: object) -> Future[Prepared]:
        """Queue an image."""
        future: Future[Prepared] = Future()
        if is_url(reference):
            if not self._fetchers:
                self._fetchers = MAX_FETCH_THREADS
                _start(MAX_FETCH_THREADS, self._fetch)
            self._to_fetch.put((future, reference))
            return future
        try:
            self._to_decode.put((future, _snapshot(reference)))
        except ImageError as error:
            future.set_result(_failed(error))
        return future

    def close(self) -> None:
        """Stop the threads, each after its current image; the one that decodes on the device has ended on return."""
        self._closed = True
        for _ in range(self._fetchers):
            self._to_fetch.put(None)
        for _ in range(self._decoders):
            self._to_decode.put(None)
        if self._jpegs is not None:
            self._stop_jpegs()

    def _fetch(self) -> None:
        while (work := self._to_fetch.get()) is not None and not self._closed:
            future, reference = work
            try:
                self._to_decode.put((future, self._reader.fetch(reference)))
            except BaseException as error:  # any error: otherwise its future would never be done
                future.set_result(_failed(error))

    def _decode(self) -> None:
        decoded = 0
        with contextlib.closing(DecodeProcess(self._reader)) as process:
            while (work := self._to_decode.get()) is not None and not self._closed:
                future, reference = work
                decoded += 1
                after = self._processes_after
                worker = process if after is not None and decoded > after else None
                try:
                    self._prepare(future, reference, worker)
                except BaseException as error:  # a decoder's panic, say: otherwise its future would never be done
                    future.set_result(_failed(error))

    def _prepare(self, future: Future[Prepared], reference: object, worker: DecodeProcess | None) -> None:
        if isinstance(reference, _JPEG):  # which the device could not decode
            future.set_result(self._decoded(reference.content, reference.key, worker))
            return
        content = self._reader.fetch(reference)
        key = content_key(content) if self._cache and isinstance(content, bytes) else None
        cached = self._cache.find(key) if self._cache and key else None
        if cached is not None:
            future.set_result(Prepared(flaw=cached.flaw, cached=cached))
            return
        if self._jpegs is not None and isinstance(content, bytes):
            size = plain_jpeg_pixels(content, self._reader.max_pixels)
            if size:
                self._jpegs.put(_JPEG(future, content, key, size))
                return
        future.set_result(self._decoded(content, key, worker))

    def _decoded(
        self,
        content: bytes | Image.Image | npt.NDArray[np.uint8],
        key: bytes | None,
        worker: DecodeProcess | None,
    ) -> Prepared:
        if worker is not None and isinstance(content, bytes) and (decoded := worker.decode(content)) is not None:
            return Prepared(*decoded, key=key)
        opened = self._reader.open(content)
        seen = pixels(opened.image)
        cached = None
        if self._cache and key is None:
            key = pixels_key(seen)
            cached = self._cache.find(key)
        return Prepared(seen if cached is None else None, opened.flaw, cached=cached, key=key)

    def _decode_jpegs(self, decode: DecodeJPEGs, jpegs: queue.SimpleQueue[_JPEG | None]) -> None:
        for waiting in _batches(jpegs):
            if self._closed:
                return
            try:
                decoded = decode([jpeg.content for jpeg in waiting])
            except BaseException:
                decoded = [None] * len(waiting)
            for jpeg, seen in zip(waiting, decoded, strict=True):
                if seen is None:
                    self._to_decode.put((jpeg.future, jpeg))
                else:
                    jpeg.future.set_result(Prepared(seen, key=jpeg.key))


def _batches(jpegs: queue.SimpleQueue[_JPEG | None]) -> Iterator[list[_JPEG]]:
    """Batches of the JPEGs in the queue, within the limits, until a None in it."""
    following = jpegs.get()
    while following is not None:
        waiting, room = [following], _MAX_JPEG_PIXELS - following.pixels
        try:
            while (following := jpegs.get_nowait()) is not None:
                room -= following.pixels
                if room < 0 or len(waiting) == _MAX_JPEGS:
                    break
                waiting.append(following)
        except queue.Empty:
            yield waiting
            following = jpegs.get()
        else:
            yield waiting


def _snapshot(reference: object) -> object:
    """The reference, or a copy of a buffer, which the caller may overwrite before it is decoded."""
    with image_errors():
        if isinstance(reference, np.ndarray):
            return copy.copy(reference)
        return bytes(reference) if isinstance(reference, (bytearray, memoryview)) else reference


def _start(count: int, work: Callable[[], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, name="resmem-decode", daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def _end(jpegs: queue.SimpleQueue[_JPEG | None], thread: threading.Thread) -> None:
    jpegs.put(None)
    thread.join()


def _failed(error: BaseException) -> Prepared:
    if isinstance(error, ImageError):
        reason = error
    else:
        reason = UnreadableImageError(f"cannot be read as an image: {type(error).__name__}: {error}")
        reason.__cause__ = error  # of a caller's object, say: it costs this image only
    chained: BaseException | None = reason
    while chained is not None:  # the frames hold file, image and future: a reference cycle, collected late
        chained.__traceback__ = None
        chained = chained.__cause__ or chained.__context__
    return Prepared(error=reason)
