"""The patches of a label field: cropped from their images, which are decoded in threads, in bounded memory."""

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
"""The key of a label, and its uint8 crop (H, W, 3) or the error if there is none."""

_QUERY_BATCH_SIZE = 32


def crops(samples: Any, patches_field: str, keys: Sequence[Key], num_workers: int) -> Iterator[Crop]:
    """Crop the patches of a label field.

    Bounding boxes are relative to the upright image, so images are rotated by their EXIF orientation first. Boxes are
    clipped to the image.

    Args:
        samples: a flat collection of images.
        patches_field: its Detection(s) or Polyline(s) field.
        keys: the labels to crop.
        num_workers: images decoded at once.
    """
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="resmem-crop")
    reader = ImageReader(exif_transpose=True)
    pending: deque[Future[list[Crop]]] = deque()
    upcoming = _iter_labels(samples, patches_field, keys)
    try:
        while True:
            room = 2 * num_workers - len(pending)
            pending.extend(pool.submit(_crop_labels, reader, *image) for image in islice(upcoming, room))
            if not pending:
                return
            yield from pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        reader.close()


def _iter_labels(samples: Any, patches_field: str, keys: Sequence[Key]) -> Iterator[tuple[str, str, list[Any]]]:
    """The id, filepath and requested labels of each image that has any."""
    requested: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        requested[key[0]].add(key[1])
    owner_ids = iter(requested)
    while chunk := list(islice(owner_ids, _QUERY_BATCH_SIZE)):
        for sample in samples.select(chunk).select_fields(patches_field):
            labels = [label for label in _list_labels(sample[patches_field]) if label.id in requested[sample.id]]
            if labels:
                yield sample.id, sample.filepath, labels


def _list_labels(value: Any) -> Sequence[Any]:
    if isinstance(value, fo.Detections):
        return list(value.detections)
    if isinstance(value, fo.Polylines):
        return list(value.polylines)
    return [] if value is None else [value]


def _crop_labels(reader: ImageReader, sample_id: str, path: str, labels: Iterable[Any]) -> list[Crop]:
    try:
        image = np.asarray(reader.read(path).image)
    except ImageError as error:
        return [((sample_id, label.id), error) for label in labels]
    return [((sample_id, label.id), _crop(image, label)) for label in labels]


def _crop(image: npt.NDArray[np.uint8], label: Any) -> npt.NDArray[np.uint8] | ImageError:
    try:
        box = (label.to_detection() if isinstance(label, fo.Polyline) else label).bounding_box
        left, top, right, bottom = (float(np.clip(edge, 0, 1)) for edge in _edges(*box))
        clipped = fo.Detection(bounding_box=[left, top, right - left, bottom - top])
        crop: npt.NDArray[np.uint8] = extract_patch(image, clipped)
    except Exception as error:  # no box, not four numbers, no points: a dataset may hold anything
        return UnreadableImageError(f"invalid bounding box ({error}): correct the bounding_box")
    if not crop.size:
        return UnreadableImageError(
            f"the bounding box {[round(edge, 4) for edge in box]} covers no pixel of the image: correct it, or exclude "
            "the label"
        )
    return crop


def _edges(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return x, y, x + width, y + height
