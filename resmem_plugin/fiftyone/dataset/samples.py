"""What to score in a collection: the ids of its images or patches, and the images themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import fiftyone as fo
from fiftyone.core.video import FramesView

from resmem_plugin.core.errors import ImageError, OptionError
from resmem_plugin.fiftyone.dataset.fields import Key
from resmem_plugin.fiftyone.dataset.patches import crops
from resmem_plugin.fiftyone.dataset.schema import all_images, label_fields, label_root, root_dataset

KeyedImage: TypeAlias = "tuple[Key, object | ImageError]"
"""A key and its image: a filepath or a crop, or the error if there is none."""

_QUERY_BATCH_SIZE = 1_000
_UNKNOWN_MEDIA = (
    ": FiftyOne does not know their suffix; if they are images, add them to a new dataset with "
    "fo.Sample(filepath=..., media_type='image')"
)


def image_samples(samples: Any, patches_field: str | None) -> tuple[Any, str | None]:
    """The flat collection of images in a collection, and the label field whose patches are to be scored, if any.

    Raises:
        OptionError: if the collection has no images.
    """
    dataset = root_dataset(samples)
    if isinstance(samples, FramesView) and samples._frames_dataset.deleted:
        samples.reload()  # a run into another view of the same frames has made them again
    if samples._is_patches:
        fields = label_fields(samples)
        if patches_field is None and len(fields) != 1:
            raise OptionError(
                f"this view has patches of {' and '.join(fields)}: select one with patches_field"
                if fields
                else "this view has no patches with a bounding box: open the patches of a label field that has them"
            )
        patches_field = patches_field or fields[0]
        if samples._is_frames or dataset.media_type == "video":
            raise OptionError(
                f"to score the patches of video frames, use the frames view and patches_field={patches_field!r}"
            )
    if samples._is_dynamic_groups:
        samples = samples.flatten()
    media_type = _media_type(samples)
    if media_type == "group":
        if "image" not in samples.group_media_types.values():
            raise OptionError(f"no group slice of {dataset.name!r} contains images: only images can be scored")
        samples = samples.select_group_slices(media_type="image")
        media_type = "image"
    if media_type == "video":
        raise OptionError(
            "videos cannot be scored: score their frames, as in "
            "compute_memorability(dataset.to_frames(sample_frames=True))"
        )
    if media_type not in ("image", None):  # None: an empty dataset
        cure = _UNKNOWN_MEDIA if media_type == "unknown" else ""
        raise OptionError(f"only images can be scored, and this collection contains {media_type} samples{cure}")
    if patches_field is not None:
        label_root(samples, patches_field)
    return samples, patches_field


def _media_type(samples: Any) -> Any:
    """The media type of a collection. FiftyOne says "group" for slices that were selected, grouped and flattened."""
    if samples.media_type == "group" and samples.group_media_types is None:
        for index, stage in enumerate(samples._stages):
            if isinstance(stage, fo.GroupBy):
                return fo.DatasetView._build(samples._dataset, samples._serialize()[:index]).media_type
    return samples.media_type


def list_keys(samples: Any, patches_field: str | None) -> list[Key]:
    """The keys of the images or patches of a flat collection, each once: a concatenated view may repeat some."""
    if patches_field is None:
        return list(dict.fromkeys(samples.values("id")))
    owner = "sample_id" if samples._is_patches else "id"
    owner_ids, label_ids = samples.values([owner, f"{label_root(samples, patches_field)}.id"])
    keys = (
        (owner_id, label_id)
        for owner_id, ids in zip(owner_ids, label_ids, strict=True)
        for label_id in (ids if isinstance(ids, list) else [ids])
        if label_id is not None
    )
    return list(dict.fromkeys(keys))


def repeats(samples: Any) -> bool:
    """Whether a collection may hold a sample twice."""
    return any(isinstance(stage, fo.Concat) for stage in samples.view()._stages)


def count_keys(samples: Any, patches_field: str | None) -> int:
    """The number of images or patches of a flat collection."""
    if repeats(samples):
        return len(list_keys(samples, patches_field))
    return int(samples.count("id" if patches_field is None else label_root(samples, patches_field)))


def iter_images(samples: Any, patches_field: str | None, keys: Sequence[Key], num_workers: int) -> Iterator[KeyedImage]:
    """The images of these keys: filepaths or crops. Loaded by id, in chunks: a cursor would time out in a long run."""
    source = all_images(samples)
    if patches_field is not None:
        yield from crops(source, patches_field, keys, num_workers)
        return
    for start in range(0, len(keys), _QUERY_BATCH_SIZE):
        chunk = source.select(keys[start : start + _QUERY_BATCH_SIZE])
        yield from zip(*chunk.values(["id", "filepath"]), strict=True)
