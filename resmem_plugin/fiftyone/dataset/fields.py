"""What memorability writes into a data set: the only owner of field names, values, provenance, index and run.

For a field `memorability` there are: the scores themselves (float, 0 to 1, None where there is none, never NaN),
`memorability_error` (why there is none), the provenance under "resmem" in the field's `info`, an index, and a custom
run `memorability` that tells when and how many. With a label field, both are attributes of its labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, TypeAlias

import fiftyone as fo
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.provenance import Provenance
from resmem_plugin.fiftyone.dataset.schema import (
    PROVENANCE_INFO,
    check_name,
    dataset_images,
    dataset_of,
    label_root,
)

Key: TypeAlias = "str | tuple[str, str]"
"""The id of a sample or frame; for an object that of its sample or frame and its own, which copies may share."""

METHOD = "resmem/memorability"
"""The method under which runs are registered: `dataset.list_runs(method=METHOD)`."""

_CLEARED_AT_ONCE = 10_000


@dataclass(frozen=True)
class ScoreField:
    """A field of scores in a data set: of samples, of frames, or of labels.

    Attributes:
        dataset: the data set that it belongs to.
        path: where its values are, such as "memorability", "frames.memorability" or "gt.detections.memorability".
    """

    dataset: Any
    path: str

    @property
    def error_path(self) -> str:
        """Where the reasons are."""
        return f"{self.path}_error"

    @property
    def key(self) -> str:
        """The key of its run."""
        return re.sub(r"\W", "_", self.path)

    @property
    def exists(self) -> bool:
        """Whether the data set has it."""
        return bool(self.dataset.has_field(self.path))

    @property
    def provenance(self) -> Provenance | None:
        """What produced its scores; None if that is not recorded."""
        found = self.dataset.get_field(self.path)
        told = (getattr(found, "info", None) or {}).get(PROVENANCE_INFO)
        if self._is_nested_in_frames and self.exists and self._run_info is not None:
            told = self._run_info.config.provenance
        return Provenance.from_record(told)  # None for another tool's, under the same name

    @property
    def prefix(self) -> str:
        """ "frames." if it is one of frames, else ""."""
        return "frames." if self.path.startswith("frames.") and self.dataset._has_frame_fields() else ""

    @property
    def samples(self) -> Any:
        """All samples whose images or frames it may be of: those of every slice of a group."""
        if self.dataset.media_type != "group":
            return self.dataset
        return self.dataset.select_group_slices(media_type="video" if self.prefix else "image")

    @property
    def _is_nested_in_frames(self) -> bool:  # such fields cannot be saved again (FiftyOne 1.22): their run tells more
        return bool(self.prefix) and self.path.count(".") > 1

    @property
    def _run_info(self) -> Any:
        """Its run, if there is one: another tool's, or another field's, may have its key."""
        info = self.dataset.get_run_info(self.key) if self.dataset.has_run(self.key) else None
        return info if info is not None and (info.config.method, info.config.field) == (METHOD, self.path) else None

    @property
    def run(self) -> dict[str, Any] | None:
        """What its last run reported, with "when", its time in UTC; None if there was none."""
        info = self._run_info
        if info is None:
            return None
        when: datetime = info.timestamp
        return {**getattr(info.config, "report", {}), "when": when.isoformat(sep=" ", timespec="seconds")}

    def count(self, path: str | None = None) -> int:
        """How many values there are in the whole data set, every slice of it."""
        return int(self.samples.count(path or self.path)) if self.dataset.has_field(path or self.path) else 0

    def check(self) -> None:
        """Refuse a field of another kind, one that cannot be written to, and a key that is taken.

        Raises:
            OptionError: saying which.
        """
        for path, kind in ((self.path, fo.FloatField), (self.error_path, fo.StringField)):
            found = self.dataset.get_field(path)
            if found is not None and not isinstance(found, kind):
                raise OptionError(
                    f"{self.dataset.name!r} has a field {path!r} already, a {type(found).__name__} that does not hold "
                    f"memorability: choose another name"
                )
            if found is not None and found.read_only:
                raise OptionError(f"the field {path!r} is read-only: make it writable, or choose another name")
        if self.dataset.has_run(self.key) and self._run_info is None:
            raise OptionError(
                f"{self.dataset.name!r} has a run {self.key!r} that does not belong to {self.path!r}: choose another "
                f"name for the field, or delete that run with dataset.delete_run({self.key!r})"
            )

    def declare(self, provenance: Provenance) -> None:
        """Add the two fields to the schema, where they are not there yet."""
        for path, kind, what in (
            (self.path, fo.FloatField, "Memorability by ResMem, 0 (forgettable) to 1 (memorable)"),
            (self.error_path, fo.StringField, "Why there is no memorability"),
        ):
            if not self.dataset.has_field(path):
                add = self.dataset.add_frame_field if self.prefix else self.dataset.add_sample_field
                info = {PROVENANCE_INFO: provenance.to_record()} if kind is fo.FloatField else None
                add(path.removeprefix(self.prefix), kind, description=what, info=info)
                if self.count(path):  # left by a run that wrote on while the field was deleted
                    clear = self.dataset.clear_frame_field if self.prefix else self.dataset.clear_sample_field
                    clear(path.removeprefix(self.prefix))

    def describe(self, provenance: Provenance) -> None:
        """Write down what produces its scores from now on."""
        declared = self.dataset.get_field(self.path)
        if (declared.info or {}).get(PROVENANCE_INFO) != provenance.to_record() and not self._is_nested_in_frames:
            declared.info = {**(declared.info or {}), PROVENANCE_INFO: provenance.to_record()}
            declared.save()

    def still_has(self, provenance: Provenance) -> bool:
        """Whether it is there, and its scores are to be of this provenance: asked anew of the database."""
        self.dataset.reload()
        known = self.provenance
        return self.exists and known is not None and known.id == provenance.id

    def index(self) -> None:
        """Index the scores, so that the App can sort by them."""
        if self.path not in self.dataset.list_indexes():
            self.dataset.create_index(self.path)

    def register(self, provenance: Provenance, report: Mapping[str, Any]) -> None:
        """Register the run, or what has become of it."""
        config = self.dataset.init_run(
            method=METHOD,
            field=self.path,
            provenance=provenance.to_record(),
            report=dict(report),
        )
        self.dataset.register_run(self.key, config, overwrite=True)

    def delete(self) -> list[str]:
        """Delete scores, reasons, index and run; returns what was there of them."""
        deleted = []
        if self.run is not None:
            self.dataset.delete_run(self.key)
            deleted.append(f"run {self.key}")
        for path in (self.path, self.error_path):
            if self.dataset.has_field(path):
                if path in self.dataset.list_indexes():
                    self.dataset.drop_index(path)
                    deleted.append(f"index {path}")
                delete = self.dataset.delete_frame_field if self.prefix else self.dataset.delete_sample_field
                delete(path.removeprefix(self.prefix))
                deleted.append(f"field {path}")
        return deleted


@dataclass(frozen=True)
class ScoreWriter:
    """Reads and writes scores by keys, whatever a view hides or filters by: what is written may change what it shows.

    Attributes:
        target: the field they go to.
        patches_field: the field whose labels are scored, or None for the images themselves.
    """

    target: ScoreField
    patches_field: str | None = None
    _with_reason: set[Key] = field(default_factory=set, init=False, repr=False, compare=False)

    @staticmethod
    def of(samples: Any, name: str, patches_field: str | None = None) -> ScoreWriter:
        """The writer for a field or attribute of that name.

        Raises:
            OptionError: for a name that cannot be, or a label field that does not exist or has no boxes.
        """
        check_name(name)
        path = name if patches_field is None else f"{label_root(dataset_images(samples), patches_field)}.{name}"
        found = ScoreField(dataset_of(samples), f"frames.{path}" if samples._is_frames else path)
        found.check()
        return ScoreWriter(found, patches_field)

    def stored(self) -> dict[Key, float]:
        """The scores that there are in the whole data set."""
        return self._read(self.target.path)

    def remember_reasons(self) -> None:
        """Look up which keys carry a reason of an earlier run."""
        self._with_reason.update(self._read(self.target.error_path))

    def begin(self, provenance: Provenance, clear: Iterable[Key]) -> None:
        """Make the field ready for scores of this provenance; the scores of these keys go."""
        keys = iter(clear)
        while chunk := list(islice(keys, _CLEARED_AT_ONCE)):
            self._set(self.target.path, dict.fromkeys(chunk))
        self.target.describe(provenance)

    def write(self, scores: Mapping[Key, float | None], reasons: Mapping[Key, str]) -> None:
        """Write scores, and the reasons of those that have none; reasons of earlier runs go."""
        if scores:
            self._set(self.target.path, scores)
        stale = self._with_reason.intersection(scores)
        if stale or reasons:
            self._set(self.target.error_path, {**dict.fromkeys(stale), **reasons})

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
        if prefix:  # a list for each video
            columns = [[value for values in column for value in values or ()] for column in columns]
        if self.patches_field is None:
            return {key: value for key, value in zip(*columns, strict=True) if value is not None}
        return {
            (owner, label): value
            for owner, labels, values in zip(*columns, strict=True)
            for label, value in zip(_listed(labels), _listed(values), strict=False)
            if value is not None
        }

    def _set(self, path: str, values: Mapping[Key, Any]) -> None:
        try:
            self._set_once(path, values)
        except ServerSelectionTimeoutError:
            raise
        except AutoReconnect:  # the connection broke: this time it is waited for, for half a minute
            self._set_once(path, values)

    def _set_once(self, path: str, values: Mapping[Key, Any]) -> None:
        samples, prefix = self.target.samples, self.target.prefix
        if self.patches_field is None:
            samples.set_values(  # the field is declared, and these are plain floats and strings: 10 % quicker
                path, dict(values), key_field=f"{prefix}id", expand_schema=False, validate=False
            )
            return
        owner = "frame_id" if prefix else "sample_id"
        changes = [{owner: key[0], "label_id": key[1], "value": value} for key, value in values.items()]
        samples.set_label_values(path, changes, dynamic=True)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
