"""Which images, or objects in them, a collection asks to be scored: their keys and their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from resmem_plugin.core.errors import ImageError, OptionError
from resmem_plugin.fiftyone.dataset.fields import Key
from resmem_plugin.fiftyone.dataset.patches import crops
from resmem_plugin.fiftyone.dataset.schema import dataset_images, dataset_of, label_fields, label_root

Picture: TypeAlias = "tuple[Key, object | ImageError]"
"""The key to score, and what a Scorer takes, or the reason why there is nothing to take."""

_LISTED_AT_ONCE = 1_000


def images_of(samples: Any, patches_field: str | None) -> tuple[Any, str | None]:
    """The flat collection of images that a collection stands for, and the field of its objects, if they are meant.

    Raises:
        OptionError: if it has no images.
    """
    dataset = dataset_of(samples)
    if samples._is_patches:
        fields = label_fields(samples)
        if patches_field is None and len(fields) != 1:
            raise OptionError(f"this view shows patches of {' and '.join(fields)}: name one as patches_field")
        patches_field = patches_field or fields[0]
        if samples._is_frames or dataset.media_type == "video":
            raise OptionError(f"for objects in frames, give the view of frames, and patches_field={patches_field!r}")
    if samples._is_dynamic_groups:
        samples = samples.flatten()
    if samples.media_type == "group":
        if "image" not in samples.group_media_types.values():
            raise OptionError(f"no slice of {dataset.name!r} holds images: memorability is that of images")
        samples = samples.select_group_slices(media_type="image")
    if samples.media_type == "video":
        raise OptionError(
            "memorability is that of images, and this is video: score its frames, as in "
            "compute_memorability(dataset.to_frames(sample_frames=True))"
        )
    if samples.media_type not in ("image", None):  # None: an empty data set
        raise OptionError(f"memorability is that of images, and this collection holds {samples.media_type} samples")
    return samples, patches_field


def keys_of(samples: Any, patches_field: str | None) -> list[Key]:
    """The keys of a flat collection's images, or of its objects."""
    if patches_field is None:
        return list(samples.values("id"))
    owner = "sample_id" if samples._is_patches else "id"
    owners, labels = samples.values([owner, f"{label_root(samples, patches_field)}.id"])
    return [
        (owner, label)
        for owner, found in zip(owners, labels, strict=True)
        for label in (found if isinstance(found, list) else [found])
        if label is not None
    ]


def count_of(samples: Any, patches_field: str | None) -> int:
    """How many keys a flat collection has."""
    return int(samples.count("id" if patches_field is None else label_root(samples, patches_field)))


def pictures(samples: Any, patches_field: str | None, keys: Sequence[Key], num_workers: int) -> Iterator[Picture]:
    """The pictures of these keys: paths, or crops. Loaded by id, in chunks: a cursor would time out in a long run."""
    source = dataset_images(samples)
    if patches_field is not None:
        yield from crops(source, patches_field, keys, num_workers)
        return
    for start in range(0, len(keys), _LISTED_AT_ONCE):
        chosen = source.select(keys[start : start + _LISTED_AT_ONCE])
        yield from zip(*chosen.values(["id", "filepath"]), strict=True)
