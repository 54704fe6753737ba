"""The fields of percentiles beside a field of scores."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.dataset.schema import all_images, root_dataset

_INFO = "resmem_percentile"
"""In the info of the fields: what the scores were compared with. Fields without it are other tools'."""


def percentile_names(field: str) -> tuple[str, str]:
    """The names of the fields of percentiles and of their bins."""
    return f"{field}_percentile", f"{field}_bin"


def write_percentiles(
    samples: Any, field: str, ids: list[str], percentiles: npt.NDArray[np.float64], bins: int, among: str
) -> list[str]:
    """Write percentiles, and in which of equal bins they lie, as classes; returns the fields' names.

    Those of other samples, which may have been compared with others, are cleared.

    Raises:
        OptionError: if the dataset has other fields of these names.
    """
    dataset = root_dataset(samples)
    names = percentile_names(field)
    for name in names:
        found = dataset.get_field(name)
        if found is not None and not _is_own(dataset, name):
            raise OptionError(f"{dataset.name!r} already has a field {name!r} that holds something else: rename it")
        if found is not None and found.read_only:
            raise OptionError(f"the field {name!r} is read-only: make it writable, or rename it")
    values = {each: None if np.isnan(value) else float(value) for each, value in zip(ids, percentiles, strict=True)}
    classes = {
        each: None if value is None else fo.Classification(label=_bin(value, bins)) for each, value in values.items()
    }
    kinds = ({"ftype": fo.FloatField}, {"ftype": fo.EmbeddedDocumentField, "embedded_doc_type": fo.Classification})
    texts = (f"Share of the scores in {field!r} below this one, in %, among {among}", f"Bin of {names[0]!r}")
    for name, kind, text, written in zip(names, kinds, texts, (values, classes), strict=True):
        if dataset.has_field(name):
            dataset.clear_sample_field(name)  # of other samples: they were compared with others
        else:
            dataset.add_sample_field(name, **kind, info={_INFO: {"scores": field, "among": among}})
        all_images(samples).set_values(name, written, key_field="id")
        found = dataset.get_field(name)
        found.description, found.info = text, {**(found.info or {}), _INFO: {"scores": field, "among": among}}
        found.save()
    if names[0] not in dataset.list_indexes():
        dataset.create_index(names[0])
    return list(names)


def delete_percentiles(dataset: Any, field: str) -> list[str]:
    """Delete the fields of percentiles beside a field of scores, if there are any; returns what was deleted."""
    deleted = []
    for name in percentile_names(field):
        if dataset.has_field(name) and _is_own(dataset, name):
            if name in dataset.list_indexes():
                dataset.drop_index(name)
            dataset.delete_sample_field(name)
            deleted.append(f"field {name}")
    return deleted


def _is_own(dataset: Any, name: str) -> bool:
    return _INFO in (dataset.get_field(name).info or {})


def _bin(percentile: float, bins: int) -> str:
    number = min(int(percentile * bins / 100), bins - 1)
    low, high = (100 * edge / bins for edge in (number, number + 1))
    if 100 % bins == 0:
        return f"{low:02.0f} to {high:.0f} %"  # so that names sort as numbers do
    return f"{low:05.2f} to {high:.2f} %"
