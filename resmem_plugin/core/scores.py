"""What one image got (`Score`), and what produced it (`Provenance`)."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """This package's version, or "unknown" where it runs from a folder that was never installed."""
    try:
        return version("resmem-plugin")
    except PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True)
class Score:
    """The memorability of one image.

    Attributes:
        index: the image's place in the input, from 0.
        memorability: 0 (forgettable) to 1 (memorable); NaN if the image could not be scored.
        error: why there is no score, or None.
    """

    index: int
    memorability: float
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a score."""
        return not math.isnan(self.memorability)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What produced a score. Scores may stand in one field or column only if their provenances' `id` agree.

    Attributes:
        weights: SHA-256 of the weights file, or for a model of the caller's a hash of its parameters.
        preprocessing: version of the steps from a decoded image to the network's input.
        engine: what ran the network, such as "pytorch".
        precision: arithmetic of the forward pass: "fp32", "bf16", "fp16" or "int8".
        decode: "exact" (upstream's pixels), "fast", or "fast-nvjpeg" where a CUDA card decodes.
        exif_transpose: whether images were turned upright by their EXIF orientation first; upstream does not.
        package_version: version of resmem-plugin. Recorded, not compared: a release that moves a number raises
            `preprocessing`.
        calibration: what names the images that int8 was calibrated on; None in other precisions.
    """

    weights: str
    preprocessing: str
    engine: str
    precision: str
    decode: str
    exif_transpose: bool
    package_version: str
    calibration: str | None = None

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that name everything here that can change a score."""
        identity = {key: value for key, value in self.to_dict().items() if key != "package_version"}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, str | bool]:
        """The fields that are not None, as plain values, for JSON."""
        return {key: value for key, value in asdict(self).items() if value is not None}
