"""The scores of a collection as a DataFrame."""

from __future__ import annotations

from typing import Any

import pandas as pd

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.dataset.fields import ScoreField
from resmem_plugin.fiftyone.dataset.names import error_name
from resmem_plugin.fiftyone.dataset.schema import root_dataset
from resmem_plugin.fiftyone.dataset.views import class_names, class_paths, resolve_field

_TAGS = "tags"


def scores_to_frame(samples: Any, memorability_field: str | None = None, by: str | None = None) -> pd.DataFrame:
    """The scores of samples: the columns "id", "path", "memorability", "error" and, if it is given, `by`.

    Its `attrs["resmem"]` are the provenance's record, if it is known.

    Args:
        samples: a dataset or view that has been scored.
        memorability_field: the memorability field; None: the default one.
        by: a field of classes or strings, or "tags"; several of one sample are joined by " + ".

    Raises:
        OptionError: if there is no such field.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone.dataset.table import scores_to_frame
        >>> dataset = fo.Dataset()
        >>> _ = dataset.add_samples([fo.Sample(filepath="coffee.png", memorability=0.6, tags=["train", "new"])])
        >>> scores_to_frame(dataset, by="tags")[["memorability", "tags"]].values.tolist()
        [[0.6, 'new + train']]
    """
    field = resolve_field(samples, memorability_field)
    paths = {**class_paths(samples), _TAGS: _TAGS}
    if by in ("id", "path", "memorability", "error"):
        raise OptionError(f"{by!r} is the name of a column here: rename the field")
    if by is not None and by not in paths:
        raise OptionError(f"{by!r} is not a field of classes; available: {', '.join(paths)}")
    columns = {"id": "id", "path": "filepath", "memorability": field}
    if samples.has_field(error_name(field)):
        columns["error"] = error_name(field)
    if by is not None:
        columns[by] = paths[by]
    values = samples.values(list(columns.values()))
    frame = pd.DataFrame(dict(zip(columns, values, strict=True)), columns=list(columns))
    if "error" not in frame:
        frame["error"] = None
    frame["memorability"] = pd.to_numeric(frame["memorability"])
    if by is not None:
        frame[by] = pd.Series(
            [" + ".join(each) or None if isinstance(each, list) else each for each in map(class_names, frame[by])],
            dtype=object,
        )
    provenance = ScoreField(root_dataset(samples), field).provenance
    if provenance is not None:
        frame.attrs["resmem"] = provenance.to_record()
    return frame
