"""Decode, batch, forward: in order, in bounded memory, with decoding and the forward pass overlapping.

With a cache, an image whose score is in it is neither decoded nor part of a batch.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.cache.scores import CachedScore, CacheSession
from resmem_plugin.core.engines.base import Engine, jpeg_decoder
from resmem_plugin.core.errors import (
    ClippedImagesWarning,
    ImageError,
    ThumbnailsWarning,
    UnreadableImageError,
    warn,
)
from resmem_plugin.core.images.reader import ImageReader, describe
from resmem_plugin.core.scores import Flaw
from resmem_plugin.core.scoring.preparation import MAX_FETCH_THREADS, Decoders, Prepared

_MAX_WAIT_BATCHES = 4
"""With a cache, a batch is submitted before it is full once this many times its size of images have been prepared."""

_MAX_LISTED = 10
_WARNINGS = {
    Flaw.CLIPPED: (
        "hold values outside 0-255 (16-bit or float): they were clipped, as upstream's recipe does, and their scores "
        "mean little. Convert them to 8 bits first",
        ClippedImagesWarning,
    ),
    Flaw.THUMBNAIL: (
        "begin with a thumbnail, as raw files of cameras do, and only that was scored. Develop them to JPEG or TIFF "
        "first",
        ThumbnailsWarning,
    ),
}


@dataclass(frozen=True)
class Outcome:
    """The result of one image."""

    memorability: float
    flaw: Flaw
    error: ImageError | None


_Scores: TypeAlias = "Callable[[], npt.NDArray[np.float32]]"


def run(
    images: Iterable[object],
    *,
    reader: ImageReader,
    engine: Engine,
    batch_size: int,
    num_workers: int,
    cached: CacheSession | None = None,
    processes_after: int | None = None,
) -> Iterator[Outcome]:
    """Score images lazily: one outcome per image, in order, with about three batches in memory.

    Args:
        images: references to images; a generator is read about two batches ahead, at most six.
        reader: turns a reference into an image.
        engine: runs the network.
        batch_size: images per forward pass.
        num_workers: images decoded at once.
        cached: the cache session; new scores are added to it, a batch at a time and before they are yielded.
        processes_after: images that each worker decodes before it starts a process for the rest; None: all.

    Closing the iterator, or an interrupt in it, stops the work at once.
    """
    failures: list[Exception] = []
    upcoming = _defer_error(images, failures)
    pending: deque[Future[Prepared]] = deque()
    decoders = Decoders(
        reader,
        num_workers,
        cached,
        processes_after,
        jpeg_decoder(engine, reader.decode, exif_transpose=reader.exif_transpose),
    )
    prepared: list[Prepared] = []
    waiting = 0  # how many of these need the network
    in_flight: deque[tuple[list[Prepared], _Scores]] = deque()
    try:
        while True:
            room = 2 * batch_size + MAX_FETCH_THREADS - len(pending)
            pending.extend(decoders.submit(image) for image in islice(upcoming, room))
            if not pending:
                break
            prepared.append(pending.popleft().result())
            waiting += prepared[-1].pixels is not None
            if _is_due(len(prepared), waiting, batch_size, cached):
                in_flight.append((prepared, _submit(prepared, engine)))
                prepared, waiting = [], 0
                if len(in_flight) > engine.lookahead:
                    yield from _finish(*in_flight.popleft(), cached)
        in_flight.append((prepared, _submit(prepared, engine)))
        while in_flight:
            yield from _finish(*in_flight.popleft(), cached)
    finally:
        decoders.close()
        reader.close()
    if failures:
        raise failures[0]


class FlawedImages:
    """Collects which images of a run have a `Flaw`, for one warning for each kind.

    Args:
        rows: the numbers of the images in the warnings; None: their positions.
    """

    def __init__(self, rows: Sequence[int] | None) -> None:
        self._rows = rows
        self._pending: deque[object] = deque()
        self._index = 0
        self._names: dict[Flaw, list[str]] = {flaw: [] for flaw in _WARNINGS}
        self._counts: Counter[Flaw] = Counter()

    def observe(self, images: Iterable[object]) -> Iterator[object]:
        """The images, unchanged."""
        for image in images:
            self._pending.append(image)
            yield image

    def add(self, outcome: Outcome) -> None:
        """Add the outcome of the next image."""
        image, index = self._pending.popleft(), self._index
        self._index += 1
        for flaw in _WARNINGS:
            if flaw in outcome.flaw:
                self._counts[flaw] += 1
                if len(self._names[flaw]) < _MAX_LISTED:
                    name = f"{index if self._rows is None else self._rows[index]} ({describe(image)})"
                    self._names[flaw].append(name)

    def warn(self) -> None:
        """Emit the warnings, if there are such images."""
        for flaw, (text, category) in _WARNINGS.items():
            count, names = self._counts[flaw], self._names[flaw]
            if count:
                shown = ", ".join(names) + (", ..." if count > len(names) else "")
                warn(f"{count} image(s) {text}. Indices: {shown}", category)


def _defer_error(images: Iterable[object], failures: list[Exception]) -> Iterator[object]:
    """Defer an error of the caller's iterable: the images before it are scored first."""
    try:
        yield from images
    except Exception as error:
        failures.append(error)


def _is_due(prepared: int, waiting: int, batch_size: int, cached: CacheSession | None) -> bool:
    """Whether the prepared images are submitted as a batch.

    Without a cache a batch has the same positions, whatever fails among them, so that a resumed run has the same
    batches. With a cache it is filled with images that need the network, and leading images that do not are passed on.
    """
    if cached is None:
        return prepared == batch_size
    return waiting in (0, batch_size) or prepared == _MAX_WAIT_BATCHES * batch_size


def _submit(prepared: list[Prepared], engine: Engine) -> _Scores:
    batch = [item.pixels for item in prepared if item.pixels is not None]
    return engine.submit(np.stack(batch)) if batch else _no_scores


def _no_scores() -> npt.NDArray[np.float32]:
    return np.empty(0, np.float32)


def _finish(prepared: list[Prepared], scores_of_batch: _Scores, cached: CacheSession | None) -> list[Outcome]:
    fresh = iter(scores_of_batch().tolist())
    scores = [next(fresh) if item.pixels is not None else math.nan for item in prepared]
    if cached is not None:
        scored = zip(prepared, scores, strict=True)
        cached.add([(item.key, CachedScore(s, item.flaw)) for item, s in scored if item.key and math.isfinite(s)])
    return list(map(_outcome, prepared, scores))


def _outcome(item: Prepared, score: float) -> Outcome:
    if item.error is not None:
        return Outcome(math.nan, item.flaw, item.error)
    if item.cached is not None:
        return Outcome(item.cached.memorability, item.flaw, None)
    if not math.isfinite(score):
        reason = f"the network returned {score}: check its weights, or use precision='fp32'"
        return Outcome(math.nan, item.flaw, UnreadableImageError(reason))
    return Outcome(score, item.flaw, None)
