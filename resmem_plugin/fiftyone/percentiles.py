"""`compute_percentiles`: what scores mean, as a field beside them."""

from __future__ import annotations

import os
from typing import Any

from resmem_plugin.core.errors import OptionError
from resmem_plugin.curation import Reference, percentiles
from resmem_plugin.fiftyone.dataset.percentiles import write_percentiles
from resmem_plugin.fiftyone.dataset.table import scores_to_frame
from resmem_plugin.fiftyone.dataset.views import resolve_field


def compute_percentiles(
    samples: Any,
    memorability_field: str | None = None,
    *,
    reference: Reference | str | os.PathLike[str] | None = None,
    bins: int = 10,
) -> list[str]:
    """Write the percentile of each score into the field `memorability_percentile`, and its bin as a class.

    The bins, such as "90 to 100 %" in the field `memorability_bin`, color the grid. Percentiles are of the scores as
    they are now: compute them again after more has been scored. Those of samples outside of a view are cleared; all are
    deleted with the scores.

    Args:
        samples: a dataset or view of samples that have been scored.
        memorability_field: the memorability field; None: the default one.
        reference: a distribution to compare with, or the file of one; None: the scores of these samples.
        bins: how many there are, from 2 to 100.

    Returns:
        The names of the two fields.

    Raises:
        OptionError: for a field that does not exist or holds something else, patches or frames, or a reference of
            another provenance.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone import compute_memorability, compute_percentiles
        >>> dataset = fo.Dataset.from_images(["rocket.jpg", "coffee.png"], progress=False)
        >>> _ = compute_memorability(dataset)
        >>> compute_percentiles(dataset, bins=2)
        ['memorability_percentile', 'memorability_bin']
        >>> dataset.values(["memorability_percentile", "memorability_bin.label"])
        ([25.0, 75.0], ['00 to 50 %', '50 to 100 %'])
    """
    if isinstance(bins, bool) or not isinstance(bins, int) or not 2 <= bins <= 100:
        raise OptionError(f"bins must be a whole number from 2 to 100, not {bins!r}")
    field = resolve_field(samples, memorability_field)
    if samples._is_patches or samples._is_frames or "." in field:
        raise OptionError(
            "percentiles are of samples: of patches and frames look at the panel, or use curation.percentiles"
        )
    if reference is not None and not isinstance(reference, Reference):
        reference = Reference.load(reference)
    frame = scores_to_frame(samples, field)
    if reference is None:
        found, among = percentiles(frame["memorability"]), f"{frame['memorability'].count():,} samples"
    else:
        found, among = reference.percentile(frame["memorability"], frame.attrs.get("resmem")), repr(reference.name)
    return write_percentiles(samples, field, frame["id"].tolist(), found, bins, among)
