"""Decode, batch, forward: in order, in bounded memory, and with decoding overlapping the forward pass.

With a cache, an image whose score is kept is neither decoded nor waits for a batch.
"""

from __future__ import annotations

import contextlib
import copy
import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from resmem_plugin.core.cache import KeptScore, KeptScores, content_key, pixels_key
from resmem_plugin.core.decode_process import DecodeProcess
from resmem_plugin.core.decoding import explained, plain_jpeg_pixels
from resmem_plugin.core.engines.base import Engine
from resmem_plugin.core.errors import ImageError, UnreadableImageError
from resmem_plugin.core.images import ImageReader
from resmem_plugin.core.preprocess import pixels
from resmem_plugin.core.sources import is_url

FETCH_THREADS = 16
"""Images fetched at once: enough to hide a network's latency, few enough not to offend a server."""

_JPEGS_AT_ONCE, _PIXELS_AT_ONCE = 64, 64_000_000
"""What a card decodes at once, if as many wait: JPEGs, and their pixels, of which one alone may have more."""

_SPARSE = 4
"""With a cache, a batch goes forward before it is full when it has this many times its size of images in all."""


@dataclass(frozen=True)
class Prepared:
    """What became of one image before the network: its input, a score that was kept, or the reason for neither.

    Attributes:
        key: what to keep the score by, if it is to be kept.
    """

    pixels: npt.NDArray[np.uint8] | None = None
    clipped: bool = False
    error: ImageError | None = None
    kept: KeptScore | None = None
    key: bytes | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one image."""

    memorability: float
    clipped: bool
    error: ImageError | None


_Work: TypeAlias = "tuple[Future[Prepared], object] | None"
_DecodeJPEGs: TypeAlias = "Callable[[Sequence[bytes]], list[npt.NDArray[np.uint8] | None]]"
_Scores: TypeAlias = "Callable[[], npt.NDArray[np.float32]]"


class _JPEG(NamedTuple):
    """A JPEG for the card to decode; its `content` is for a CPU if the card could not."""

    future: Future[Prepared]
    content: bytes
    key: bytes | None
    pixels: int


class _Decoders:
    """Threads that prepare images: `num_workers` that decode, and, once there is a URL, more that fetch for them.

    They are daemons: unlike an executor's, a hung download cannot keep the process from ending. Each that decodes has a
    process do it once it has decoded `processes_after` images. Where a card decodes JPEGs, one more thread gives it
    those that wait.
    """

    def __init__(
        self,
        reader: ImageReader,
        num_workers: int,
        kept: KeptScores | None,
        processes_after: int | None,
        decode_jpegs: _DecodeJPEGs | None,
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
        future: Future[Prepared] = Future()
        if is_url(reference):
            if not self._fetchers:
                self._fetchers = FETCH_THREADS
                _start(FETCH_THREADS, self._fetch)
            self._to_fetch.put((future, reference))
            return future
        try:
            self._to_decode.put((future, _kept_still(reference)))
        except ImageError as error:
            future.set_result(_failed(error))
        return future

    def close(self) -> None:
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
            except Exception as error:
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

    def _decode_jpegs(self, decode: _DecodeJPEGs, jpegs: queue.SimpleQueue[_JPEG | None]) -> None:
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


def _kept_still(reference: object) -> object:
    """The reference, or a copy of what it refers to: the caller may fill a buffer anew before its turn comes."""
    with explained():
        if isinstance(reference, np.ndarray):
            return copy.copy(reference)
        return bytes(reference) if isinstance(reference, (bytearray, memoryview)) else reference


def _start(count: int, work: Callable[[], None]) -> None:
    for _ in range(count):
        threading.Thread(target=work, name="resmem-decode", daemon=True).start()


def _failed(error: BaseException) -> Prepared:
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
    kept: KeptScores | None = None,
    processes_after: int | None = None,
) -> Iterator[Outcome]:
    """Score images lazily: one outcome for each, in order, holding no more than about three batches in memory.

    Args:
        images: references to images; a generator is read about two batches ahead, and no more than six.
        reader: turns a reference into an image.
        engine: runs the network.
        batch_size: images a forward pass.
        num_workers: images decoded at once.
        kept: scores of earlier runs; those that this one makes are added, a batch at a time and before they are given.
        processes_after: images that each worker decodes itself before it has a process of its own do it; None: all.

    Closing the iterator, or an interrupt within it, ends the work at once.
    """
    failures: list[Exception] = []
    upcoming = _until_failure(images, failures)
    pending: deque[Future[Prepared]] = deque()
    decoders = _Decoders(reader, num_workers, kept, processes_after, jpeg_decoder(engine, reader))
    prepared: list[Prepared] = []
    waiting = 0  # of these, for the network
    begun: deque[tuple[list[Prepared], _Scores]] = deque()
    try:
        while True:
            room = 2 * batch_size + FETCH_THREADS - len(pending)
            pending.extend(decoders.submit(image) for image in islice(upcoming, room))
            if not pending:
                break
            prepared.append(pending.popleft().result())
            waiting += prepared[-1].pixels is not None
            if _is_due(len(prepared), waiting, batch_size, kept):
                begun.append((prepared, _begin(prepared, engine)))
                prepared, waiting = [], 0
                if len(begun) > engine.ahead:
                    yield from _finish(*begun.popleft(), kept)
        begun.append((prepared, _begin(prepared, engine)))
        while begun:
            yield from _finish(*begun.popleft(), kept)
    finally:
        decoders.close()
        reader.close()
    if failures:
        raise failures[0]


def jpeg_decoder(engine: Engine, reader: ImageReader) -> _DecodeJPEGs | None:
    """What decodes JPEGs where the network runs, if they may be decoded otherwise than Pillow does."""
    return engine.decode_jpegs if reader.decode == "fast" and not reader.exif_transpose else None


def _until_failure(images: Iterable[object], failures: list[Exception]) -> Iterator[object]:
    """Keep an error of the caller's iterable for later: the images before it are scored first."""
    try:
        yield from images
    except Exception as error:
        failures.append(error)


def _is_due(prepared: int, waiting: int, batch_size: int, kept: KeptScores | None) -> bool:
    """Whether so many images make a batch.

    Without a cache those in the same places do, whatever fails among them, so that a resumed run makes the same ones.
    With one they are as many as wait for the network, and images at the head that do not wait go at once.
    """
    if kept is None:
        return prepared == batch_size
    return waiting in (0, batch_size) or prepared == _SPARSE * batch_size


def _begin(prepared: list[Prepared], engine: Engine) -> _Scores:
    batch = [item.pixels for item in prepared if item.pixels is not None]
    return engine.begin(np.stack(batch)) if batch else _no_scores


def _no_scores() -> npt.NDArray[np.float32]:
    return np.empty(0, np.float32)


def _finish(prepared: list[Prepared], scores_of_batch: _Scores, kept: KeptScores | None) -> list[Outcome]:
    fresh = iter(scores_of_batch().tolist())
    scores = [next(fresh) if item.pixels is not None else math.nan for item in prepared]
    if kept is not None:
        scored = zip(prepared, scores, strict=True)
        kept.add([(item.key, KeptScore(s, item.clipped)) for item, s in scored if item.key and math.isfinite(s)])
    return list(map(_outcome, prepared, scores))


def _outcome(item: Prepared, score: float) -> Outcome:
    if item.error is not None:
        return Outcome(math.nan, item.clipped, item.error)
    if item.kept is not None:
        return Outcome(item.kept.memorability, item.clipped, None)
    if not math.isfinite(score):
        reason = f"the network returned {score}: look at its weights, or use precision='fp32'"
        return Outcome(math.nan, item.clipped, UnreadableImageError(reason))
    return Outcome(score, item.clipped, None)
