"""The custom run of a field of scores: FiftyOne's record of how and when it was scored, found again after a rename."""

from __future__ import annotations

import re
from typing import Any

from resmem_plugin.fiftyone.dataset.schema import PROVENANCE_INFO

METHOD = "resmem/memorability"
"""The method under which runs are registered: `dataset.list_runs(method=METHOD)`."""


def run_key(path: str) -> str:
    """The key of the run of the scores at a path."""
    return re.sub(r"\W", "_", path)


def find_run(dataset: Any, path: str) -> Any:
    """The run of the scores at a path; None if there is none, or if a run of another tool or field has its key.

    A run whose field no longer exists belongs to the field that it was renamed to: one at a like path, with the same
    provenance.
    """
    if dataset.has_run(run_key(path)):
        info = dataset.get_run_info(run_key(path))
        return info if (info.config.method, info.config.field) == (METHOD, path) else None
    if not dataset.has_field(path):
        return None
    infos = [dataset.get_run_info(key) for key in dataset.list_runs(method=METHOD)]
    renamed = [info for info in infos if _may_be_renamed(dataset, info.config, path)]
    return renamed[0] if len(renamed) == 1 else None


def _may_be_renamed(dataset: Any, config: Any, path: str) -> bool:
    before, now = config.field.split("."), path.split(".")
    if dataset.has_field(config.field) or len(before) != len(now) or (before[0] == "frames") != (now[0] == "frames"):
        return False
    record = (dataset.get_field(path).info or {}).get(PROVENANCE_INFO)
    if record is None:  # as of labels in frames, whose info FiftyOne cannot save
        return bool(before[-1] == now[-1])
    return bool(record == config.provenance)
