"""Threads that turn references to images into what the network sees, several at a time."""

from __future__ import annotations

import contextlib
import copy
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from resmem_plugin.core.cache.scores import CachedScore, CacheSession, content_key, pixels_key
from resmem_plugin.core.engines.base import DecodeJPEGs
from resmem_plugin.core.errors import ImageError, UnreadableImageError
from resmem_plugin.core.images.decoding import image_errors, plain_jpeg_pixels
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.images.reader import ImageReader
from resmem_plugin.core.images.sources import is_url
from resmem_plugin.core.images.worker_process import DecodeProcess

FETCH_THREADS = 16
"""Images fetched at once: enough to hide a network's latency, few enough not to offend a server."""

_JPEGS_AT_ONCE, _PIXELS_AT_ONCE = 64, 64_000_000
"""What a card decodes at once, if as many wait: JPEGs, and their pixels, of which one alone may have more."""


@dataclass(frozen=True)
class Prepared:
    """What became of one image before the network: its input, a score that was kept, or the reason for neither.

    Attributes:
        key: what to keep the score by, if it is to be kept.
    """

    pixels: npt.NDArray[np.uint8] | None = None
    clipped: bool = False
    error: ImageError | None = None
    kept: CachedScore | None = None
    key: bytes | None = None


_Work: TypeAlias = "tuple[Future[Prepared], object] | None"


class _JPEG(NamedTuple):
    """A JPEG for the card to decode; its `content` is for a CPU if the card could not."""

    future: Future[Prepared]
    content: bytes
    key: bytes | None
    pixels: int


class Decoders:
    """Threads that prepare images: `num_workers` that decode, and, once there is a URL, more that fetch for them.

    They are daemons: unlike an executor's, a hung download cannot keep the process from ending. Each that decodes has a
    process do it once it has decoded `processes_after` images. Where a card decodes JPEGs, one more thread gives it
    those that wait.
    """

    def __init__(
        self,
        reader: ImageReader,
        num_workers: int,
        kept: CacheSession | None,
        processes_after: int | None,
        decode_jpegs: DecodeJPEGs | None,
    ) -> None:
        self._reader, self._kept, self._processes_after = reader, kept, processes_after
        self._to_fetch: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._to_decode: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._jpegs: queue.SimpleQueue[_JPEG | None] | None = None
        if decode_jpegs is not None:
            self._jpegs = queue.SimpleQueue()
            _start(1, partial(self._decode_jpegs, decode_jpegs, self._jpegs))
        self._fetchers = 0
        self._decoders = num_workers
        self._closed = False
        _start(num_workers, self._decode)

    def submit(self, reference: object) -> Future[Prepared]:
        """Have an image prepared."""
        future: Future[Prepared] = Future()
        if is_url(reference):
            if not self._fetchers:
                self._fetchers = FETCH_THREADS
                _start(FETCH_THREADS, self._fetch)
            self._to_fetch.put((future, reference))
            return future
        try:
            self._to_decode.put((future, _snapshot(reference)))
        except ImageError as error:
            future.set_result(_failed(error))
        return future

    def close(self) -> None:
        """Let the threads end, each when it is done with the image in hand."""
        self._closed = True
        for _ in range(self._fetchers):
            self._to_fetch.put(None)
        for _ in range(self._decoders):
            self._to_decode.put(None)
        if self._jpegs is not None:
            self._jpegs.put(None)

    def _fetch(self) -> None:
        while (work := self._to_fetch.get()) is not None and not self._closed:
            future, reference = work
            try:
                self._to_decode.put((future, self._reader.fetch(reference)))
            except BaseException as error:  # a panic of its own, say: else its future would never be done
                future.set_result(_failed(error))

    def _decode(self) -> None:
        decoded = 0
        with contextlib.closing(DecodeProcess(self._reader)) as process:
            while (work := self._to_decode.get()) is not None and not self._closed:
                future, reference = work
                decoded += 1
                after = self._processes_after
                helper = process if after is not None and decoded > after else None
                try:
                    self._prepare(future, reference, helper)
                except BaseException as error:  # a decoder's panic, say: else its future would never be done
                    future.set_result(_failed(error))

    def _prepare(self, future: Future[Prepared], reference: object, helper: DecodeProcess | None) -> None:
        if isinstance(reference, _JPEG):  # which the card has given back
            future.set_result(self._decoded(reference.content, reference.key, helper))
            return
        content = self._reader.fetch(reference)
        key = content_key(content) if self._kept and isinstance(content, bytes) else None
        kept = self._kept.find(key) if self._kept and key else None
        if kept is not None:
            future.set_result(Prepared(clipped=kept.clipped, kept=kept))
        elif self._jpegs is not None and isinstance(content, bytes) and (size := plain_jpeg_pixels(content)):
            self._jpegs.put(_JPEG(future, content, key, size))
        else:
            future.set_result(self._decoded(content, key, helper))

    def _decoded(
        self,
        content: bytes | Image.Image | npt.NDArray[np.uint8],
        key: bytes | None,
        helper: DecodeProcess | None,
    ) -> Prepared:
        if helper is not None and isinstance(content, bytes) and (decoded := helper.decode(content)) is not None:
            return Prepared(*decoded, key=key)
        opened = self._reader.open(content)
        seen = pixels(opened.image)
        kept = None
        if self._kept and key is None:
            key = pixels_key(seen)
            kept = self._kept.find(key)
        return Prepared(seen if kept is None else None, opened.clipped, kept=kept, key=key)

    def _decode_jpegs(self, decode: DecodeJPEGs, jpegs: queue.SimpleQueue[_JPEG | None]) -> None:
        for waiting in _batches(jpegs):
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
    """What waits in the queue, as much at a time as may be decoded at once, until None comes out of it."""
    following = jpegs.get()
    while following is not None:
        waiting, room = [following], _PIXELS_AT_ONCE - following.pixels
        try:
            while (following := jpegs.get_nowait()) is not None:
                room -= following.pixels
                if room < 0 or len(waiting) == _JPEGS_AT_ONCE:
                    break
                waiting.append(following)
        except queue.Empty:
            yield waiting
            following = jpegs.get()
        else:
            yield waiting


def _snapshot(reference: object) -> object:
    """The reference, or a copy of what it refers to: the caller may fill a buffer anew before its turn comes."""
    with image_errors():
        if isinstance(reference, np.ndarray):
            return copy.copy(reference)
        return bytes(reference) if isinstance(reference, (bytearray, memoryview)) else reference


def _start(count: int, work: Callable[[], None]) -> None:
    for _ in range(count):
        threading.Thread(target=work, name="resmem-decode", daemon=True).start()


def _failed(error: BaseException) -> Prepared:
    if isinstance(error, ImageError):
        reason = error
    else:
        reason = UnreadableImageError(f"cannot be read as an image: {type(error).__name__}: {error}")
        reason.__cause__ = error  # of an object of the caller's, say: it costs this image only
    told: BaseException | None = reason
    while told is not None:  # the frames hold file, picture and future: a circle, which Python is slow to find
        told.__traceback__ = None
        told = told.__cause__ or told.__context__
    return Prepared(error=reason)
