"""`ScorerOptions`: how images are scored, declared once for the scorer and every front end."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ImageFile

from resmem_plugin.core.engines.base import EngineInfo, jpeg_decoder
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.preprocess import PREPROCESSING_VERSION
from resmem_plugin.core.images.reader import ImageReader, iterable_of_images
from resmem_plugin.core.provenance import Provenance, package_version

if TYPE_CHECKING:
    from resmem_plugin.core.cache.scores import CacheOption
    from resmem_plugin.core.images.reader import DecodeMode


@dataclass(frozen=True, kw_only=True)
class ScorerOptions:
    """The options of a `Scorer`: frozen, and picklable, for workers in other processes.

    Attributes:
        device: "auto" (CUDA, then MPS, then the CPU), "cpu", "cuda", "cuda:N" or "mps".
        engine: "auto" (OpenVINO on a CPU where it is installed, else PyTorch), "pytorch" or "openvino".
        precision: "auto" (fp16 on CUDA, else fp32), "fp32", "bf16", "fp16" or "int8". On a CPU bf16 is fast where the
            processor has it (AVX-512 BF16, AMX); elsewhere PyTorch emulates it slowly, and OpenVINO refuses it. fp16 on
            a CPU needs PyTorch. int8 needs OpenVINO on a CPU, and is calibrated.
        batch_size: images per forward pass; None: what is fastest on the device.
        num_workers: images decoded at once; None: one per core.
        decode: "exact" (upstream's pixels), or "fast": large JPEGs are scaled down while they are decoded, which moves
            scores by up to 0.006. On CUDA the device decodes and resizes JPEGs, which moves them by up to 0.009.
        weights: path of the published `model.pt`, or of other weights with their hash, "mine.pt#sha256=0123...".
            None: the path in `RESMEM_WEIGHTS`, then the installed `resmem` distribution.
        cache: reuse the scores of earlier runs and keep new ones: True for a file in the cache folder, or the path of
            one (`.sqlite`); see `ScoreCache`. A network of your own is identified by its name, structure and
            parameters: if you change its code, clear the cache.
        exif_transpose: rotate images by their EXIF orientation, which upstream ignores.
        storage_options: for URLs, passed to fsspec as in pandas: headers for http(s), credentials for s3. They take
            precedence over the limits for http(s) that `RESMEM_TIMEOUT_S` and `RESMEM_MAX_BYTES` set.
        calibration: for int8, about 128 images of the kind to be scored, or the `calibration` in the provenance of
            earlier scores. None: a sample of the first images that are scored. It is done once and kept in the cache
            folder; scores of two calibrations do not belong together.
        processes: decode files in worker processes instead of threads. Where the network takes thousands of images per
            second, Python's threads cannot keep up; and a file that crashes its decoder costs its own row only.
            None: on CUDA with more than two workers, from the 33rd image of each on.
        max_pixels: the most pixels of one image; larger ones are refused. None: `RESMEM_MAX_PIXELS`, else twice
            `PIL.Image.MAX_IMAGE_PIXELS`, 179 million.
        base64: text that is no URL is an image in base64, not a path.

    Raises:
        OptionError: for a value of the wrong kind. Whether this machine has a device, engine or precision is checked
            when a `Scorer` is built.

    Examples:
        >>> from resmem_plugin import Scorer, ScorerOptions
        >>> options = ScorerOptions(device="cpu", batch_size=16)
        >>> options.changed
        ['device', 'batch_size']
        >>> Scorer.of(options).batch_size
        16
    """

    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    num_workers: int | None = None
    decode: DecodeMode = "exact"
    weights: str | os.PathLike[str] | None = None
    cache: CacheOption = None
    exif_transpose: bool = False
    storage_options: Mapping[str, Any] | None = None
    calibration: Iterable[object] | str | None = None
    processes: bool | None = None
    max_pixels: int | None = None
    base64: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "num_workers", "max_pixels"):
            _check_positive(name, getattr(self, name))
        if self.decode not in ("exact", "fast"):
            raise OptionError(f"decode must be 'exact' or 'fast', not {self.decode!r}")
        if not isinstance(self.weights, (str, os.PathLike, NoneType)):
            raise OptionError(f"weights must be a path or None, not {self.weights!r}")
        if not isinstance(self.cache, (str, os.PathLike, bool, NoneType)):
            raise OptionError(f"cache must be True, a path or None, not {self.cache!r}")
        for name in ("exif_transpose", "base64"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise OptionError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if self.storage_options is not None and not isinstance(self.storage_options, Mapping):
            raise OptionError(f"storage_options must be a dict or None, not a {type(self.storage_options).__name__}")
        if self.processes not in (None, False, True):
            raise OptionError(
                f"processes must be True, False or None, not {self.processes!r}; num_workers sets how many"
            )
        if self.calibration is not None and self.precision != "int8":
            raise OptionError("calibration is for precision='int8': leave it out")
        if self.calibration is not None and not isinstance(self.calibration, str):  # a generator cannot be pickled
            object.__setattr__(self, "calibration", tuple(iterable_of_images(self.calibration)))

    @property
    def changed(self) -> list[str]:
        """The names of the options that differ from their defaults."""
        return [each.name for each in fields(self) if _differs(getattr(self, each.name), each.default)]

    def check_unused(self) -> None:
        """Check that no option was given beside a scorer.

        Raises:
            OptionError: naming those that were.
        """
        if self.changed:
            raise OptionError(f"scorer brings its own {', '.join(self.changed)}: give these to Scorer(...) instead")


def reader_of(options: ScorerOptions) -> ImageReader:
    """What turns references into images under these options."""
    return ImageReader(
        decode=options.decode,
        exif_transpose=options.exif_transpose,
        storage_options=options.storage_options,
        max_pixels=options.max_pixels,
        base64=options.base64,
    )


def provenance_of(options: ScorerOptions, engine: EngineInfo, parent: str | None = None) -> Provenance:
    """The provenance of the scores of an engine under these options, whose weights were trained from a parent's."""
    on_device = jpeg_decoder(engine, options.decode, exif_transpose=options.exif_transpose) is not None
    return Provenance(
        weights=engine.weights,
        preprocessing=PREPROCESSING_VERSION,
        engine=engine.name,
        precision=engine.precision,
        decode="fast-nvjpeg" if on_device else options.decode,
        exif_transpose=options.exif_transpose,
        package_version=package_version(),
        calibration=engine.calibration,
        device=engine.device_type,
        load_truncated=True if ImageFile.LOAD_TRUNCATED_IMAGES else None,
        parent=parent,
    )


def available_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _differs(value: object, default: object) -> bool:
    return value is not default and not (isinstance(value, (bool, str)) and value == default)


def _check_positive(name: str, value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
        raise OptionError(f"{name} must be a whole number from 1, or None, not {value!r}")
