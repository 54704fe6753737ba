"""Images as the network sees them, in order and in bounded memory, for callers that run the network by themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import ImageError
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.images.reader import ImageReader
from resmem_plugin.core.scoring.scorer import Scorer

_AHEAD = 8  # images that each thread may be ahead of the caller


@dataclass(frozen=True)
class NetworkInput:
    """One image as the network sees it, or why it cannot be read.

    Attributes:
        pixels: uint8 (227, 227, 3), or None.
        size: width and height of the image itself, in pixels; (0, 0) if it cannot be read.
        error: why it cannot be read, or None.
    """

    pixels: npt.NDArray[np.uint8] | None
    size: tuple[int, int] = (0, 0)
    error: ImageError | None = None


def network_inputs(images: Iterable[object], scorer: Scorer) -> Generator[NetworkInput, None, None]:
    """Read images as this scorer does, several at once and few ahead, and give the network's inputs in order.

    Examples:
        >>> from resmem_plugin import Scorer
        >>> from resmem_plugin.core.scoring.reading import network_inputs
        >>> [found.size for found in network_inputs(["coffee.png", "none.jpg"], Scorer())]
        [(600, 400), (0, 0)]
    """
    waiting: deque[Future[NetworkInput]] = deque()
    with ThreadPoolExecutor(scorer.num_workers) as threads:
        try:
            for image in images:
                waiting.append(threads.submit(_read, image, scorer.reader))
                if len(waiting) > _AHEAD * scorer.num_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def network_outputs(
    images: Iterable[object], scorer: Scorer, forward: Callable[[npt.NDArray[np.uint8]], Iterable[Any]]
) -> Generator[tuple[NetworkInput, Any], None, None]:
    """Each image with its row of what `forward` makes of a batch uint8 (B, 227, 227, 3); None if it cannot be read.

    Examples:
        >>> from resmem_plugin import Scorer
        >>> from resmem_plugin.core.scoring.reading import network_outputs
        >>> scorer = Scorer()
        >>> [row.shape for image, row in network_outputs(["coffee.png"], scorer, scorer.engine.embed)]
        [(256,)]
    """
    read = network_inputs(images, scorer)
    while batch := list(islice(read, scorer.batch_size or scorer.engine.batch_size)):
        shown = [image.pixels for image in batch if image.pixels is not None]
        rows: Iterator[Any] = iter(forward(np.stack(shown)) if shown else ())
        yield from ((image, None if image.pixels is None else next(rows)) for image in batch)


def _read(image: object, reader: ImageReader) -> NetworkInput:
    try:
        opened = reader.read(image).image
        return NetworkInput(pixels(opened), opened.size)
    except ImageError as error:
        return NetworkInput(None, error=error)
