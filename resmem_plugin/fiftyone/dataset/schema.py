"""The schema of a collection: label fields with bounding boxes, memorability fields, group slices."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
from fiftyone.core.collections import SampleCollection

from resmem_plugin.core.errors import OptionError

DEFAULT_FIELD = "memorability"

PROVENANCE_INFO = "resmem"
"""The key in a field's `info` under which the provenance of its scores is stored."""

_LABELS = {fo.Detection: None, fo.Detections: "detections", fo.Polyline: None, fo.Polylines: "polylines"}


def label_root(samples: Any, patches_field: str) -> str:
    """The path of a field's labels: "gt.detections" for a Detections field "gt", "gt" for a Detection field.

    Raises:
        OptionError: if the field does not exist, or its labels have no bounding boxes.
    """
    found = samples.get_field(patches_field) if isinstance(patches_field, str) else None
    kind = getattr(found, "document_type", None)
    if kind not in _LABELS:
        available = label_fields(samples)
        raise OptionError(
            f"patches_field {patches_field!r} is not a {', '.join(kind.__name__ for kind in _LABELS)} field; "
            + (f"available: {', '.join(available)}" if available else "this collection has none")
        )
    return patches_field if _LABELS[kind] is None else f"{patches_field}.{_LABELS[kind]}"


def label_fields(samples: Any) -> list[str]:
    """The paths of the fields whose labels have bounding boxes, also those nested in other fields."""
    schema = samples.get_field_schema(flat=True)
    labels = [path for path, found in schema.items() if getattr(found, "document_type", None) in _LABELS]
    lists = [path for path, found in schema.items() if isinstance(found, fo.ListField)]
    inside = tuple(f"{path}." for path in (*labels, *lists))
    return [path for path in labels if not path.startswith(inside)]


def score_fields(dataset: Any) -> list[str]:
    """The paths of the memorability fields of a dataset: of samples, frames and labels."""
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
    """Whether a field holds memorability: its info says so, or it has the default name, as after `apply_model`."""
    if not isinstance(found, fo.FloatField):
        return False
    return PROVENANCE_INFO in (found.info or {}) or path.rpartition(".")[2] == DEFAULT_FIELD


def root_dataset(samples: Any) -> Any:
    """The dataset of a collection, also of patches and frames views.

    Raises:
        OptionError: if it is not a FiftyOne collection.
    """
    if not isinstance(samples, SampleCollection):
        raise OptionError(f"samples must be a FiftyOne dataset or view, not {type(samples).__name__}")
    return samples._root_dataset


def all_images(samples: Any) -> Any:
    """All images of a collection's dataset, of every group slice, or all its frames if the collection has frames.

    Samples are looked up here by id, whatever the collection filters or hides.
    """
    source = samples._dataset if samples._is_frames else root_dataset(samples)
    return source.select_group_slices(media_type="image") if source.media_type == "group" else source
