"""What a collection holds, asked of its schema: labels with boxes, fields of memorability, slices."""

from __future__ import annotations

import re
from typing import Any

import fiftyone as fo
from fiftyone.core.collections import SampleCollection

from resmem_plugin.core.errors import OptionError

DEFAULT_FIELD = "memorability"

PROVENANCE_INFO = "resmem"
"""The key in a field's `info` under which the provenance of its scores is told."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_RESERVED = frozenset(("id", "filepath", "tags", "metadata", "created_at", "last_modified_at", "frames", "group"))
_LABELS = {fo.Detection: None, fo.Detections: "detections", fo.Polyline: None, fo.Polylines: "polylines"}


def check_name(name: str) -> None:
    """Refuse a name that FiftyOne would take and then trip over.

    Raises:
        OptionError: saying what a name may be.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _RESERVED:
        raise OptionError(
            f"{name!r} cannot name a field: use a letter, then letters, digits and _ (64 at most), such as "
            f"{DEFAULT_FIELD!r}; {', '.join(sorted(_RESERVED))} are taken"
        )


def label_root(samples: Any, patches_field: str) -> str:
    """Where the labels of a field are: "gt.detections" for a field "gt" of Detections, "gt" for one of Detection.

    Raises:
        OptionError: for a field that does not exist, or whose labels have no boxes.
    """
    found = samples.get_field(patches_field) if isinstance(patches_field, str) else None
    kind = getattr(found, "document_type", None)
    if kind not in _LABELS:
        with_boxes = label_fields(samples)
        raise OptionError(
            f"patches_field {patches_field!r} is no field of {', '.join(kind.__name__ for kind in _LABELS)}; "
            + (f"there is {', '.join(with_boxes)}" if with_boxes else "this collection has none")
        )
    return patches_field if _LABELS[kind] is None else f"{patches_field}.{_LABELS[kind]}"


def label_fields(samples: Any) -> list[str]:
    """The fields whose labels have boxes."""
    schema = samples.get_field_schema()
    return [name for name, found in schema.items() if getattr(found, "document_type", None) in _LABELS]


def score_fields(dataset: Any) -> list[str]:
    """The paths of the fields that hold memorability, of samples, frames and labels."""
    schemas = [("", dataset.get_field_schema(flat=True))]
    if dataset._has_frame_fields():
        schemas.append(("frames.", dataset.get_frame_field_schema(flat=True)))
    return [
        f"{prefix}{path}"
        for prefix, schema in schemas
        for path, found in schema.items()
        if is_score_field(path, found) and not path.startswith("frames.")
    ]


def is_score_field(path: str, found: Any) -> bool:
    """Whether a field of a schema holds memorability: it says so, or `apply_model` wrote it under the usual name."""
    if not isinstance(found, fo.FloatField):
        return False
    return PROVENANCE_INFO in (found.info or {}) or path.rpartition(".")[2] == DEFAULT_FIELD


def dataset_of(samples: Any) -> Any:
    """The data set that a collection shows, also through views of patches or frames.

    Raises:
        OptionError: if it is no collection of FiftyOne's.
    """
    if not isinstance(samples, SampleCollection):
        raise OptionError(f"samples must be a FiftyOne data set or view, not {type(samples).__name__}")
    return samples._root_dataset


def dataset_images(samples: Any) -> Any:
    """All images of the data set that a collection shows, of every slice, or all its frames if it shows frames.

    They are found by their ids here, whatever the collection filters by or hides.
    """
    source = samples._dataset if samples._is_frames else dataset_of(samples)
    return source.select_group_slices(media_type="image") if source.media_type == "group" else source
