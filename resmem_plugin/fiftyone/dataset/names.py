"""Names for fields of scores: which ones FiftyOne needs for itself, read from its own classes."""

from __future__ import annotations

import inspect
import re
from functools import cache
from types import FunctionType
from typing import Any

import fiftyone as fo
from fiftyone.core.clips import ClipView
from fiftyone.core.frame import FrameView as FrameOfVideoView
from fiftyone.core.odm import (
    DatasetFrameDocument,
    DatasetSampleDocument,
    NoDatasetFrameDocument,
    NoDatasetSampleDocument,
)
from fiftyone.core.patches import EvaluationPatchView, PatchView
from fiftyone.core.sample import SampleView
from fiftyone.core.video import FrameView

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.dataset.schema import DEFAULT_FIELD

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")

_SAMPLES = (fo.Sample, SampleView, PatchView, EvaluationPatchView, ClipView, FrameView, fo.Frame, FrameOfVideoView)
_DOCUMENTS = (DatasetSampleDocument, DatasetFrameDocument, NoDatasetSampleDocument, NoDatasetFrameDocument)
_LABELS = (fo.Detection, fo.Polyline, fo.Detections, fo.Polylines)

_METHODS = (FunctionType, classmethod, staticmethod)

_VIEW_FIELDS = {"sample_id", "frame_id", "frame_number", "frames", "group", "groups", "iou", "support", "type"}
"""What FiftyOne adds to the samples of patches, clips, frames and groups, without a class that declares it."""
_LABEL_FIELDS = {"dimensions", "instance", "location", "rotation"}
"""What FiftyOne reads from labels that have it, without a class that declares it."""


def error_name(name: str) -> str:
    """The name of the field of errors beside a field of scores, or its path for a path."""
    return f"{name}_error"


def check_field_name(name: str, dataset: Any, *, of_labels: bool) -> None:
    """Check a name that FiftyOne might accept, and fail on later or damage the dataset.

    Args:
        name: the name of a field, or of an attribute of labels.
        dataset: the dataset that the field will be in.
        of_labels: whether it will be an attribute of labels.

    Raises:
        OptionError: if it is not a valid name.
    """
    cure = f"choose another name, such as {DEFAULT_FIELD!r}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise OptionError(
            f"{name!r} is not a valid field name, which is a letter and then letters, digits and _ (64 at most): {cure}"
        )
    reserved = reserved_names(dataset, of_labels=of_labels)
    for written in (name, error_name(name)):
        if written in reserved:
            raise OptionError(
                f"{name!r} is not a valid field name, as FiftyOne itself uses {written!r} of "
                f"{'labels' if of_labels else 'samples and frames'}: {cure}"
            )


def reserved_names(dataset: Any, *, of_labels: bool) -> frozenset[str]:
    """The names that FiftyOne defines or aliases: fields, database fields, properties and methods."""
    if of_labels:
        return _defined_names(*_LABELS) | _LABEL_FIELDS
    names = _defined_names(*_SAMPLES, *_DOCUMENTS) | _VIEW_FIELDS
    documents = [cls for cls in (dataset._sample_doc_cls, dataset._frame_doc_cls) if cls is not None]
    for document in documents:  # these also have the fields of this dataset, which are no names of FiftyOne
        names |= {name for name in dir(document) if name not in document._fields and not name.startswith("_")}
    return names


@cache
def _defined_names(*classes: type) -> frozenset[str]:
    names: set[str] = set()
    for cls in classes:
        for name in (*dir(cls), *getattr(cls, "_fields", ())):
            names.add(name)
            private = name.startswith("_") and not name.startswith("__")
            if private and not isinstance(inspect.getattr_static(cls, name, None), _METHODS):
                names.add(name.lstrip("_"))  # FiftyOne writes `dataset_id` to `_dataset_id`
    return frozenset(names)
