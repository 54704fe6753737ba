"""What a score means: its percentile, within a set of images or among those of a named `Reference`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.provenance import Provenance
from resmem_plugin.core.scoring.progress import ProgressOption
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.curation.numbers import as_numbers

_FORMAT = "resmem-reference"
_VERSION = 1
_MAX_SCORES = 10_001  # that a file keeps; of more, the quantiles: a percentile moves by .01 at most
_MIN_SCORES = 2
_DECIMALS = 5


def percentiles(scores: npt.ArrayLike, among: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
    """The percentile of each score: the share of scores below it, in %, those equal to it counting half.

    Args:
        scores: (N,); NaN where there is none.
        among: the scores to compare with, (M,), whose NaN are left out; None: `scores` themselves.

    Returns:
        (N,), 0 to 100; NaN where there is no score.

    Raises:
        OptionError: if there is nothing to compare with.

    Examples:
        >>> from resmem_plugin.curation import percentiles
        >>> percentiles([0.9, 0.7, float("nan"), 0.8, 0.7]).tolist()
        [87.5, 25.0, nan, 62.5, 25.0]
    """
    values = as_numbers(scores, "scores")
    ordered = values if among is None else as_numbers(among, "the scores to compare with")
    ordered = np.sort(ordered[~np.isnan(ordered)])
    if not len(ordered):
        if np.isnan(values).all():
            return np.full(values.shape, np.nan)
        raise OptionError("there are no scores to compare with")
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.where(np.isnan(values), np.nan, below * (50 / len(ordered)))


@dataclass(frozen=True, eq=False)
class Reference:
    """The scores of a named set of images, with which those of other sets are compared.

    Attributes:
        name: what the images are, such as "photographs of 2024".
        scores: in ascending order, float64; of more than 10,001 the quantiles.
        count: how many images were scored.
        provenance: what produced the scores; None where it is unknown.

    Examples:
        >>> from resmem_plugin.curation import Reference
        >>> reference = Reference.of([0.6, 0.7, 0.8, 0.9], name="four images")
        >>> reference.percentile([0.85]).tolist()
        [75.0]
        >>> reference.save("four.reference.json")
        >>> Reference.load("four.reference.json")
        <Reference 'four images': 4 images, median 0.750>
    """

    name: str
    scores: npt.NDArray[np.float64] = field(repr=False)
    count: int
    provenance: Provenance | None = field(default=None, repr=False)

    @classmethod
    def of(cls, scores: npt.ArrayLike, name: str, provenance: Provenance | None = None) -> Reference:
        """The distribution of these scores; NaN are left out.

        Raises:
            OptionError: if there are fewer than two, or one is not from 0 to 1.
        """
        if not isinstance(name, str) or not name.strip():
            raise OptionError("a reference needs a name that says what its images are")
        values = as_numbers(scores, "scores")
        values = np.sort(values[~np.isnan(values)])
        if len(values) < _MIN_SCORES:
            raise OptionError(f"a reference needs {_MIN_SCORES} scores at least, not {len(values)}")
        if values[0] < 0 or values[-1] > 1:
            raise OptionError(f"scores are from 0 to 1, not {values[0]:.3g} to {values[-1]:.3g}")
        count = len(values)
        if count > _MAX_SCORES:
            values = np.quantile(values, np.linspace(0, 1, _MAX_SCORES))
        printable = name.strip().encode("utf-8", "backslashreplace").decode()  # names of folders may be any bytes
        return cls(printable, values, count, provenance)

    def percentile(
        self, scores: npt.ArrayLike, provenance: Provenance | Mapping[str, Any] | None = None
    ) -> npt.NDArray[np.float64]:
        """The percentile of each score among this reference's, 0 to 100; NaN where there is no score.

        Args:
            scores: (N,).
            provenance: of the scores, or its record as in `Series.attrs["resmem"]`; None: it is not checked.

        Raises:
            OptionError: if the scores were produced otherwise than the reference's, so that they do not compare.
        """
        if isinstance(provenance, Mapping):
            provenance = Provenance.from_record(provenance)
        if provenance is not None and self.provenance is not None and provenance.id != self.provenance.id:
            unlike = {
                key: (theirs, self.provenance.identity.get(key))
                for key, theirs in provenance.identity.items()
                if theirs != self.provenance.identity.get(key)
            }
            told = "; ".join(f"{key} {theirs} instead of {own}" for key, (theirs, own) in unlike.items())
            raise OptionError(
                f"these scores do not compare with the reference {self.name!r}: {told or 'another provenance'}. "
                "Build a reference with the same options, or score with those of the reference"
            )
        # engines agree to 1e-5, and files hold fewer digits: what differs by less is the same score
        return percentiles(np.round(as_numbers(scores, "scores"), _DECIMALS), np.round(self.scores, _DECIMALS))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file of JSON, whole or not at all, replacing one that exists."""
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "name": self.name,
            "count": self.count,
            "provenance": None if self.provenance is None else self.provenance.to_record(),
            "scores": [round(score, 7) for score in self.scores.tolist()],
        }
        with replacing(path) as unfinished:
            unfinished.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Reference:
        """Read what `save` wrote.

        Raises:
            OptionError: if it is another file.
        """
        name = os.fsdecode(path)
        try:
            with open(name, encoding="utf-8") as file:
                content = json.load(file)
            if content["format"] != _FORMAT or content["version"] != _VERSION:
                raise ValueError("another format")
            found = cls.of(content["scores"], content["name"], Provenance.from_record(content["provenance"]))
            if len(found.scores) != len(content["scores"]) or not isinstance(content["count"], int):
                raise ValueError("a score is missing")
        except OSError as error:
            raise OptionError(f"{name} cannot be read: {error.strerror or error}") from error
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise OptionError(f"{name} is no reference: make one with `resmem reference build` ({error})") from error
        return cls(found.name, found.scores, content["count"], found.provenance)

    def __repr__(self) -> str:
        return f"<Reference {self.name!r}: {self.count:,} images, median {np.median(self.scores):.3f}>"


def build_reference(
    images: Iterable[object], name: str, *, progress: ProgressOption = None, scorer: Scorer | None = None
) -> tuple[Reference, int]:
    """Score images and keep the distribution of their scores.

    Args:
        images: as for `Scorer`; those that cannot be read are left out.
        name: what they are.
        progress: a bar (True), none (False), one on a terminal (None), or a function called with a `Progress`.
        scorer: None: `Scorer()`.

    Returns:
        The reference, and how many images could not be read.

    Raises:
        OptionError: if fewer than two can be read.

    Examples:
        >>> from resmem_plugin.curation import build_reference
        >>> build_reference(["coffee.png", "chelsea.png", "rocket.jpg", "none.jpg"], "three photographs")
        (<Reference 'three photographs': 3 images, median 0.837>, 1)
    """
    scorer = Scorer() if scorer is None else scorer
    scores = [score.memorability for score in scorer.score(images, "coerce", progress)]
    failed = int(np.isnan(scores).sum())
    return Reference.of(scores, name, scorer.provenance), failed
