"""What is to be scored and into which field: one check for the form's forecast and for the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from resmem_plugin.core.engines.base import ExpectedEngine
from resmem_plugin.core.engines.resolve import Choice, choose
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.network.weights import find_weights
from resmem_plugin.core.provenance import Provenance
from resmem_plugin.core.scoring.options import ScorerOptions, provenance_of
from resmem_plugin.fiftyone.dataset.fields import ScoreField, ScoreWriter
from resmem_plugin.fiftyone.dataset.samples import count_keys, image_samples, list_keys, repeats
from resmem_plugin.fiftyone.dataset.schema import label_root


@dataclass(frozen=True)
class Plan:
    """A scoring run before the network is loaded. Building it changes nothing.

    Attributes:
        samples: the flat collection of images, frames or patches.
        patches_field: the field whose labels are scored, or None for whole images.
        writer: writes the scores.
    """

    samples: Any
    patches_field: str | None
    writer: ScoreWriter

    @staticmethod
    def of(samples: Any, name: str, patches_field: str | None = None) -> Plan:
        """The plan to score a collection into a field of that name.

        Raises:
            OptionError: if the collection cannot be scored, or the field cannot be written to.
        """
        samples, patches_field = image_samples(samples, patches_field)
        return Plan(samples, patches_field, ScoreWriter.of(samples, name, patches_field))

    def count(self) -> tuple[int, int]:
        """The number of images or patches, and of those that have a score."""
        path = self.writer.target.path.removeprefix(self.writer.target.prefix)
        if self.patches_field is not None:  # in a patches view the label is not in a list
            path = f"{label_root(self.samples, self.patches_field)}.{path.rpartition('.')[2]}"
        if self.samples.has_field(path) and not repeats(self.samples):
            scored = int(self.samples.count(path))
        else:  # there are none, or the view excludes the field, or repeats samples
            stored = self.writer.stored_scores()
            scored = sum(key in stored for key in list_keys(self.samples, self.patches_field)) if stored else 0
        return count_keys(self.samples, self.patches_field), scored

    def expected_provenance(self, options: ScorerOptions) -> Provenance:
        """The provenance that the scores would have; int8 with the calibration of the field's scores.

        Raises:
            OptionError: for a device or precision that is not available.
        """
        known = self.writer.target.provenance
        chosen = choose(device=options.device, precision=options.precision)
        return _provenance(chosen, self.patches_field is not None, known.calibration if known else None)

    def check(self, options: ScorerOptions, *, overwrite: bool) -> None:
        """Check what `ScoringRun` will check once the network is loaded.

        Raises:
            OptionError: if the field has scores of another provenance, and they may not or cannot all be overwritten.
        """
        stored = self.writer.target.count()
        if stored:
            provenance = self.expected_provenance(options)
            check_provenance(
                self.writer.target, provenance, overwrite=overwrite, stored=stored, selected=self.count()[1]
            )


def check_provenance(field: ScoreField, provenance: Provenance, *, overwrite: bool, stored: int, selected: int) -> bool:
    """Whether scores of another provenance are to be cleared: two in one field could not be distinguished.

    Args:
        field: the field.
        provenance: that of the scores to come.
        overwrite: whether existing scores may be replaced.
        stored: the number of scores in the field.
        selected: how many of them are in the collection that is to be scored.

    Raises:
        OptionError: if there are some, and they may not or cannot all be overwritten.
    """
    known = field.provenance
    if not stored or (known is not None and known.id == provenance.id):
        return False
    source = "unknown provenance" if known is None else f"another provenance ({known.precision}, {known.id})"
    message = f"{field.path!r} holds {stored:,} scores of {source}, and this run's is {provenance.id}"
    if not overwrite:
        raise OptionError(f"{message}: use another field, or replace them all with overwrite=True (Overwrite)")
    if stored > selected:
        raise OptionError(
            f"{message}; {stored - selected:,} of them are outside of this view and would be mixed with the new ones: "
            "overwrite the whole dataset, or use another field"
        )
    return True


def _provenance(chosen: Choice, exif_transpose: bool, calibration: str | None) -> Provenance:
    engine = ExpectedEngine(
        name=chosen.engine,
        device_type=chosen.device.partition(":")[0],
        precision=chosen.precision,
        calibration=calibration if chosen.precision == "int8" else None,
        weights=find_weights().sha256,
    )
    return provenance_of(ScorerOptions(exif_transpose=exif_transpose), engine)
