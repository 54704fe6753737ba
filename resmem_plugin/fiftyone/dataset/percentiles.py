"""The fields of percentiles beside a field of scores."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.dataset.schema import root_dataset

_INFO = "resmem_percentile"
"""In the info of the fields: what the scores were compared with. Fields without it are other tools'."""


def percentile_names(field: str) -> tuple[str, str]:
    """The names of the fields of percentiles and of their bins."""
    return f"{field}_percentile", f"{field}_bin"


def write_percentiles(
    samples: Any, field: str, ids: list[str], percentiles: npt.NDArray[np.float64], bins: int, among: str
) -> list[str]:
    """Write percentiles, and in which of equal bins they lie, as classes; returns the fields' names.

    Raises:
        OptionError: if the dataset has other fields of these names.
    """
    dataset = root_dataset(samples)
    percentile_name, bin_name = percentile_names(field)
    for name in (percentile_name, bin_name):
        if dataset.has_field(name) and not _is_own(dataset, name):
            raise OptionError(f"{dataset.name!r} already has a field {name!r} that holds something else: rename it")
    descriptions = (
        f"Share of the scores in {field!r} below this one, in %, among {among}",
        f"Bin of {percentile_name!r}",
    )
    for name, kind, description in (
        (percentile_name, {"ftype": fo.FloatField}, descriptions[0]),
        (bin_name, {"ftype": fo.EmbeddedDocumentField, "embedded_doc_type": fo.Classification}, descriptions[1]),
    ):
        if not dataset.has_field(name):
            dataset.add_sample_field(name, **kind)
        found = dataset.get_field(name)
        found.description, found.info = description, {_INFO: {"scores": field, "among": among}}
        found.save()
    values = {each: None if np.isnan(value) else float(value) for each, value in zip(ids, percentiles, strict=True)}
    labels = {
        each: None if value is None else fo.Classification(label=_bin(value, bins)) for each, value in values.items()
    }
    dataset.set_values(percentile_name, values, key_field="id")
    dataset.set_values(bin_name, labels, key_field="id")
    if percentile_name not in dataset.list_indexes():
        dataset.create_index(percentile_name)
    return [percentile_name, bin_name]


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
    low, high = (f"{100 * edge / bins:.3g}" for edge in (number, number + 1))
    return f"{low:>02} to {high} %"  # so that names sort as numbers do
