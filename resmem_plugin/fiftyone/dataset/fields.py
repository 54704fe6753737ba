"""Everything that is written into a dataset for memorability: field names, values, provenance, index and run.

A field `memorability` comes with: the scores (float, 0 to 1, None if there is none, never NaN), the field
`memorability_error` (why there is none), the provenance under "resmem" in the field's `info`, an index, and a custom
run `memorability` with its time and counts. With a label field, both fields are attributes of its labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from typing import Any, TypeAlias

import fiftyone as fo
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.provenance import Provenance
from resmem_plugin.fiftyone.dataset.names import check_field_name, error_name
from resmem_plugin.fiftyone.dataset.runs import METHOD, find_run, run_key
from resmem_plugin.fiftyone.dataset.schema import (
    PROVENANCE_INFO,
    all_images,
    label_root,
    root_dataset,
)

Key: TypeAlias = "str | tuple[str, str]"
"""The id of a sample or frame; for a label (sample or frame id, label id), as copies of a label share its id."""

_CLEAR_BATCH_SIZE = 10_000


@dataclass(frozen=True)
class ScoreField:
    """A field of scores in a dataset: of samples, of frames, or of labels.

    Attributes:
        dataset: the dataset.
        path: the path of the scores: "memorability", "frames.memorability" or "gt.detections.memorability".
    """

    dataset: Any
    path: str

    @property
    def error_path(self) -> str:
        """The path of the errors."""
        return error_name(self.path)

    @property
    def run_key(self) -> str:
        """The key of its run."""
        return run_key(self.path)

    @property
    def exists(self) -> bool:
        """Whether the dataset has it."""
        return bool(self.dataset.has_field(self.path))

    @property
    def provenance(self) -> Provenance | None:
        """The provenance of its scores; None if that is not recorded."""
        found = self.dataset.get_field(self.path)
        record = (getattr(found, "info", None) or {}).get(PROVENANCE_INFO)
        if self._is_nested_in_frames and self.exists and self._run_info is not None:
            record = self._run_info.config.provenance
        return Provenance.from_record(record)  # None if another tool wrote it, under the same name

    @property
    def prefix(self) -> str:
        """ "frames." for a frame field, else ""."""
        return "frames." if self.path.startswith("frames.") and self.dataset._has_frame_fields() else ""

    @property
    def samples(self) -> Any:
        """All samples that may have it: those of every group slice."""
        if self.dataset.media_type != "group":
            return self.dataset
        return self.dataset.select_group_slices(media_type="video" if self.prefix else "image")

    @property
    def _is_nested_in_frames(self) -> bool:  # FiftyOne 1.22 cannot save such fields: their run is more up to date
        return bool(self.prefix) and self.path.count(".") > 1

    @property
    def _run_info(self) -> Any:
        return find_run(self.dataset, self.path)

    @property
    def run_report(self) -> dict[str, Any] | None:
        """The report of its last run, with its UTC time under "when"; None if there is none."""
        info = self._run_info
        if info is None:
            return None
        return {"when": _seconds(info.timestamp), **getattr(info.config, "report", {})}

    def count(self, path: str | None = None) -> int:
        """The number of values in the whole dataset, in every group slice."""
        return int(self.samples.count(path or self.path)) if self.dataset.has_field(path or self.path) else 0

    def sum(self) -> float:
        """The sum of its scores in the whole dataset."""
        return float(self.samples.sum(self.path) or 0) if self.exists else 0.0

    def check(self) -> None:
        """Check that it can be written to.

        Raises:
            OptionError: if the dataset has a field of another type, a read-only field, or another run of this key.
        """
        for path, kind in ((self.path, fo.FloatField), (self.error_path, fo.StringField)):
            found = self.dataset.get_field(path)
            if found is not None and not isinstance(found, kind):
                raise OptionError(
                    f"{self.dataset.name!r} already has a {type(found).__name__} {path!r}, which does not hold "
                    "memorability: choose another name"
                )
            parts = path.removeprefix(self.prefix).split(".")
            for parent in (self.prefix + ".".join(parts[: n + 1]) for n in range(len(parts))):
                if getattr(self.dataset.get_field(parent), "read_only", False):
                    raise OptionError(
                        f"the field {parent!r} is read-only: make it writable (set read_only = False of "
                        f"dataset.get_field({parent!r}), and save it), or choose another"
                    )
        if self.dataset.has_run(self.run_key) and self._run_info is None:
            raise OptionError(
                f"{self.dataset.name!r} has a run {self.run_key!r} that does not belong to {self.path!r}: choose "
                f"another field name, or delete the run with dataset.delete_run({self.run_key!r})"
            )

    def add_to_schema(self, provenance: Provenance) -> None:
        """Add the fields of scores and errors to the schema, if they are missing."""
        for path, kind, description in (
            (self.path, fo.FloatField, "Memorability by ResMem, 0 (forgettable) to 1 (memorable)"),
            (self.error_path, fo.StringField, "Why there is no memorability score"),
        ):
            if not self.dataset.has_field(path):
                add = self.dataset.add_frame_field if self.prefix else self.dataset.add_sample_field
                info = {PROVENANCE_INFO: provenance.to_record()} if kind is fo.FloatField else None
                add(path.removeprefix(self.prefix), kind, description=description, info=info)
                if self.count(path):  # left by a run that went on writing while the field was deleted
                    clear = self.dataset.clear_frame_field if self.prefix else self.dataset.clear_sample_field
                    clear(path.removeprefix(self.prefix))

    def record_provenance(self, provenance: Provenance) -> None:
        """Store the provenance of the scores in the field's info."""
        found = self.dataset.get_field(self.path)
        if (found.info or {}).get(PROVENANCE_INFO) != provenance.to_record() and not self._is_nested_in_frames:
            found.info = {**(found.info or {}), PROVENANCE_INFO: provenance.to_record()}
            found.save()

    def still_matches(self, provenance: Provenance) -> bool:
        """Whether it exists, with scores of this provenance, according to the database."""
        self.dataset.reload()
        known = self.provenance
        return self.exists and known is not None and known.id == provenance.id

    def create_index(self) -> None:
        """Index the scores, so that the App sorts by them quickly."""
        if self.path not in self.dataset.list_indexes():
            self.dataset.create_index(self.path)

    def register_run(self, provenance: Provenance, report: Mapping[str, Any]) -> None:
        """Register the run, or update its report."""
        config = self.dataset.init_run(
            method=METHOD,
            field=self.path,
            provenance=provenance.to_record(),
            report={**report, "when": _seconds(datetime.now(timezone.utc).replace(tzinfo=None))},
        )
        before = self._run_info
        if before is not None and before.key == self.run_key:  # overwriting deletes it first: a kill would lose it
            self.dataset.update_run_config(self.run_key, config)
            return
        self.dataset.register_run(self.run_key, config, overwrite=True)
        if before is not None:  # the field was renamed
            self.dataset.delete_run(before.key)

    def delete(self) -> list[str]:
        """Delete scores, errors, index and run; returns what was deleted."""
        deleted = []
        run = self._run_info
        if run is not None:
            self.dataset.delete_run(run.key)
            deleted.append(f"run {run.key}")
        for path in (self.path, self.error_path):
            if self.dataset.has_field(path):
                if path in self.dataset.list_indexes():
                    self.dataset.drop_index(path)
                    deleted.append(f"index {path}")
                delete = self.dataset.delete_frame_field if self.prefix else self.dataset.delete_sample_field
                delete(path.removeprefix(self.prefix))
                deleted.append(f"field {path}")
        return deleted


def _seconds(when: datetime) -> str:
    return when.isoformat(sep=" ", timespec="seconds")


@dataclass(frozen=True)
class ScoreWriter:
    """Reads and writes scores by key, whatever a view hides or filters: writing may change what a view contains.

    Attributes:
        target: the field to write to.
        patches_field: the field whose labels are scored, or None for the images themselves.
    """

    target: ScoreField
    patches_field: str | None = None
    _keys_with_error: set[Key] = field(default_factory=set, init=False, repr=False, compare=False)

    @staticmethod
    def of(samples: Any, name: str, patches_field: str | None = None) -> ScoreWriter:
        """The writer for a field or label attribute of that name.

        Raises:
            OptionError: for an invalid name, or a label field that does not exist or has no bounding boxes.
        """
        check_field_name(name, root_dataset(samples), of_labels=patches_field is not None)
        path = name if patches_field is None else f"{label_root(all_images(samples), patches_field)}.{name}"
        found = ScoreField(root_dataset(samples), f"frames.{path}" if samples._is_frames else path)
        found.check()
        return ScoreWriter(found, patches_field)

    def stored_scores(self) -> dict[Key, float]:
        """The scores in the whole dataset."""
        return self._read(self.target.path)

    def load_errors(self) -> None:
        """Look up which keys have an error of an earlier run."""
        self._keys_with_error.update(self._read(self.target.error_path))

    def start(self, provenance: Provenance, clear: Iterable[Key]) -> None:
        """Prepare the field for scores of this provenance: clear the scores of these keys, record the provenance."""
        keys = iter(clear)
        while chunk := list(islice(keys, _CLEAR_BATCH_SIZE)):
            self._set(self.target.path, dict.fromkeys(chunk))
        self.target.record_provenance(provenance)

    def write(self, scores: Mapping[Key, float | None], errors: Mapping[Key, str]) -> None:
        """Write scores, and errors of those without one; errors of earlier runs are cleared."""
        if scores:
            self._set(self.target.path, scores)
        stale = self._keys_with_error.intersection(scores)
        if stale or errors:
            self._set(self.target.error_path, {**dict.fromkeys(stale), **errors})

    def _read(self, path: str) -> dict[Key, Any]:
        if not self.target.dataset.has_field(path):
            return {}
        samples, prefix = self.target.samples, self.target.prefix
        paths = [f"{prefix}id", path]
        if self.patches_field is not None:
            paths.insert(1, f"{path.rpartition('.')[0]}.id")
        elif not prefix:
            samples = samples.exists(path)
        columns = samples.values(paths)
        if prefix:  # one list per video
            columns = [[value for values in column for value in values or ()] for column in columns]
        if self.patches_field is None:
            return {key: value for key, value in zip(*columns, strict=True) if value is not None}
        return {
            (owner_id, label_id): value
            for owner_id, label_ids, values in zip(*columns, strict=True)
            for label_id, value in zip(_as_list(label_ids), _as_list(values), strict=False)
            if value is not None
        }

    def _set(self, path: str, values: Mapping[Key, Any]) -> None:
        try:
            self._set_once(path, values)
        except ServerSelectionTimeoutError:
            raise
        except AutoReconnect:  # the connection broke: pymongo waits up to 30 s for the next one
            self._set_once(path, values)

    def _set_once(self, path: str, values: Mapping[Key, Any]) -> None:
        samples, prefix = self.target.samples, self.target.prefix
        if self.patches_field is None:
            samples.set_values(  # the field exists, and these are plain floats and strings: 10 % faster
                path, dict(values), key_field=f"{prefix}id", expand_schema=False, validate=False
            )
            return
        owner = "frame_id" if prefix else "sample_id"
        updates = [{owner: key[0], "label_id": key[1], "value": value} for key, value in values.items()]
        samples.set_label_values(path, updates, dynamic=True)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
