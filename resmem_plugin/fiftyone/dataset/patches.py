"""The objects of a collection, cropped from their images: decoded in threads, in bounded memory."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeAlias

import fiftyone as fo
import numpy as np
import numpy.typing as npt
from fiftyone.utils.patches import extract_patch

from resmem_plugin.core.errors import ImageError, UnreadableImageError
from resmem_plugin.core.images.reader import ImageReader
from resmem_plugin.fiftyone.dataset.fields import Key

Crop: TypeAlias = "tuple[Key, npt.NDArray[np.uint8] | ImageError]"
"""The key of an object, and its uint8 crop (H, W, 3) or the reason why there is none."""

_LOADED_AT_ONCE = 32


def crops(samples: Any, patches_field: str, keys: Sequence[Key], num_workers: int) -> Iterator[Crop]:
    """Cut out the objects of a label field.

    Boxes are relative to the picture as people see it, so images are turned upright by their EXIF orientation first;
    what of a box lies outside of the picture is cut off.

    Args:
        samples: a flat collection of images.
        patches_field: its field of Detection(s) or Polyline(s).
        keys: what to cut out.
        num_workers: images decoded at once.
    """
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="resmem-crop")
    reader = ImageReader(exif_transpose=True)
    pending: deque[Future[list[Crop]]] = deque()
    upcoming = _images(samples, patches_field, keys)
    try:
        while True:
            room = 2 * num_workers - len(pending)
            pending.extend(pool.submit(_cut, reader, *image) for image in islice(upcoming, room))
            if not pending:
                return
            yield from pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        reader.close()


def _images(samples: Any, patches_field: str, keys: Sequence[Key]) -> Iterator[tuple[str, str, list[Any]]]:
    """Each image that has wanted labels, with those."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        wanted[key[0]].add(key[1])
    owners = iter(wanted)
    while chunk := list(islice(owners, _LOADED_AT_ONCE)):
        for sample in samples.select(chunk).select_fields(patches_field):
            labels = [label for label in _labels(sample[patches_field]) if label.id in wanted[sample.id]]
            if labels:
                yield sample.id, sample.filepath, labels


def _labels(value: Any) -> Sequence[Any]:
    if isinstance(value, fo.Detections):
        return list(value.detections)
    if isinstance(value, fo.Polylines):
        return list(value.polylines)
    return [] if value is None else [value]


def _cut(reader: ImageReader, sample_id: str, path: str, labels: Iterable[Any]) -> list[Crop]:
    try:
        image = np.asarray(reader.read(path).image)
    except ImageError as error:
        return [((sample_id, label.id), error) for label in labels]
    return [((sample_id, label.id), _crop(image, label)) for label in labels]


def _crop(image: npt.NDArray[np.uint8], label: Any) -> npt.NDArray[np.uint8] | ImageError:
    try:
        box = (label.to_detection() if isinstance(label, fo.Polyline) else label).bounding_box
        left, top, right, bottom = (float(np.clip(edge, 0, 1)) for edge in _edges(*box))
        inside = fo.Detection(bounding_box=[left, top, right - left, bottom - top])
        crop: npt.NDArray[np.uint8] = extract_patch(image, inside)
    except Exception as error:  # no box, not four numbers, no points: whatever a data set may hold
        return UnreadableImageError(f"it has no usable box ({error}): correct its bounding_box")
    if not crop.size:
        return UnreadableImageError(
            f"its box {[round(edge, 4) for edge in box]} covers no pixel of the picture: correct it, or leave it out"
        )
    return crop


def _edges(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return x, y, x + width, y + height
