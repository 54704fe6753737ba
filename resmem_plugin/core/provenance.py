"""What produced a score: `Provenance`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_RECORDED = frozenset(("package_version", "parent"))
_RECORDED_IN_FP32 = _RECORDED | {"engine", "device"}


def package_version() -> str:
    """This package's version, or "unknown" where it runs from a folder that was never installed."""
    try:
        return version("resmem-plugin")
    except PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What produced a score. Scores belong in one field or column only if the `id` of their provenances is the same.

    The id compares what moves a score by more than 1e-5. A release that moves scores raises `preprocessing`, so
    `package_version` is recorded and not compared. In fp32 all engines and devices agree within 1e-5, so `engine` and
    `device` are recorded and not compared: scores started with PyTorch can be continued with OpenVINO.

    Attributes:
        weights: SHA-256 of the weights file, or for a model of your own a hash of its parameters.
        preprocessing: version of the steps from a decoded image to the network's input.
        engine: what ran the network: "pytorch" or "openvino".
        precision: arithmetic of the forward pass: "fp32", "bf16", "fp16" or "int8".
        decode: "exact" (upstream's pixels), "fast", or "fast-nvjpeg" where a CUDA device decodes.
        exif_transpose: whether images were rotated by their EXIF orientation first; upstream does not.
        package_version: version of resmem-plugin.
        calibration: id of the images that int8 was calibrated on; None in other precisions.
        load_truncated: True if Pillow was told to fill up truncated files (`PIL.ImageFile.LOAD_TRUNCATED_IMAGES`).
        parent: SHA-256 of the weights that these were trained from, or what they were; None if the file does not say.
        device: type of the device: "cpu", "cuda" or "mps"; None where an earlier version did not record it.

    Examples:
        >>> from dataclasses import replace
        >>> from resmem_plugin import Scorer
        >>> provenance = Scorer(device="cpu").provenance
        >>> provenance.precision, provenance.decode
        ('fp32', 'exact')
        >>> provenance.id == replace(provenance, engine="pytorch").id  # in fp32 all engines agree
        True
    """

    weights: str
    preprocessing: str
    engine: str
    precision: str
    decode: str
    exif_transpose: bool
    package_version: str
    calibration: str | None = None
    device: str | None = None
    load_truncated: bool | None = None
    parent: str | None = None

    @property
    def identity(self) -> dict[str, str | bool]:
        """The fields that `id` compares."""
        recorded = _RECORDED_IN_FP32 if self.precision == "fp32" else _RECORDED
        if self.device == "cpu":  # records of earlier versions have no device: those of a CPU keep their id
            recorded |= {"device"}
        return {key: value for key, value in self.to_dict().items() if key not in recorded}

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits, a hash of `identity`."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, str | bool]:
        """The fields that are not None, as plain values, for JSON."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def to_record(self) -> dict[str, str | bool]:
        """`to_dict` with the id first, under "provenance": what is stored beside scores."""
        return {"provenance": self.id, **self.to_dict()}

    @classmethod
    def from_record(cls, record: object) -> Provenance | None:
        """The provenance in a record, or None if it is not one of this package's."""
        if not isinstance(record, Mapping):
            return None
        known: dict[str, Any] = {each.name: record[each.name] for each in fields(cls) if each.name in record}
        try:
            return cls(**known)
        except TypeError:  # a field is missing: another tool wrote it
            return None
