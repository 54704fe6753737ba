"""Scores in a field that no run into it has written, as after a merge of datasets: their provenance is unknown."""

from __future__ import annotations

from dataclasses import dataclass

from resmem_plugin.fiftyone.dataset.fields import ScoreField

_TOLERANCE = 1e-6  # of the sum of all scores, which the database adds up without rounding errors of this size


@dataclass(frozen=True)
class ForeignScores:
    """What was found of them, by the number and the sum of the scores after the last run.

    Attributes:
        count: how many there are more than that run left.
        changed: whether there are as many, but others.
    """

    count: int = 0
    changed: bool = False

    def __bool__(self) -> bool:
        return bool(self.count) or self.changed

    def describe(self, field: ScoreField, stored: int) -> str:
        """What to say of them, where they are kept."""
        if self.count:
            found = f"{self.count:,} of the {stored:,} scores in {field.path!r} were not written by a run into it"
        else:
            found = f"some of the {stored:,} scores in {field.path!r} were changed after the last run into it"
        return (
            f"{found}, as after a merge of datasets: they may have another provenance, and are kept; recompute all "
            "with overwrite=True (Overwrite)"
        )

    def after(self, *, overwritten: int, stored: int) -> ForeignScores:
        """What is left of them when so many of the stored scores have been overwritten."""
        return ForeignScores(min(self.count, stored - overwritten), self.changed and overwritten < stored)


def find_foreign(field: ScoreField, stored: int) -> ForeignScores:
    """Compare the stored scores with what the last run left.

    Where samples were deleted too, as many scores that came from elsewhere are not noticed.
    """
    if not stored or field.provenance is None:
        return ForeignScores()
    report = field.run_report
    if report is None:
        return ForeignScores(stored)
    if "count" not in report:  # an earlier version wrote it
        known = stored if report["state"] == "unfinished" else int(report.get("stored", stored))
        return ForeignScores(max(0, stored - known))
    if report["state"] == "unfinished":  # the run was killed: what it wrote cannot be told from what others did
        return ForeignScores(int(report["count"]) - int(report["stored"]), report.get("changed", False))
    known = int(report["stored"])
    changed = report.get("changed", False) or (
        "sum" in report and stored == report["count"] and abs(field.sum() - report["sum"]) > _TOLERANCE
    )
    return ForeignScores(max(0, stored - known), changed)


def fingerprint(field: ScoreField, foreign: ForeignScores) -> dict[str, int | float | bool]:
    """What a run records of the scores that it leaves."""
    count = field.count()
    return {"stored": count - foreign.count, "count": count, "sum": field.sum(), "changed": foreign.changed}
