"""Every error and warning of this package; each message says what happened, to what, and what cures it.

ResMemError
├── WeightsError                 the published weights cannot be had
│   ├── WeightsNotFoundError     nothing at the path, or no `resmem` distribution (also a FileNotFoundError)
│   └── WeightsCorruptError      a git-lfs pointer, a wrong hash, a truncated file, another network's tensors
├── OptionError                  an option, or a combination of them, that cannot be had (also a ValueError)
├── EvalModeError                a model is in training mode, where scores would be wrong (also a RuntimeError)
├── ForkError                    a network is used in a forked process, where it would hang (also a RuntimeError)
├── CacheError                   a cache of scores cannot be read or cleared on request
├── MissingPackageError          an optional package is not installed (also an ImportError)
├── ImageError                   one image cannot be scored: the reason in its row (also a ValueError)
│   ├── MissingValueError        None or NaN in the place of an image
│   ├── ImageNotFoundError       no such file or URL (also a FileNotFoundError)
│   ├── UnreadableImageError     there, but a folder, empty, forbidden, truncated or no image
│   └── UnsupportedImageError    an object that is no image (also a TypeError)
├── CheckpointError                  what is scored cannot be kept on the disk
└── ScoringError                 errors="raise" met an ImageError, its cause; `scores` holds what was scored before

ResMemWarning (a UserWarning)
├── FailedImagesWarning          some images have no score
├── ClippedImagesWarning         some images lost most of their tones in upstream's recipe
├── CalibrationWarning           int8 is calibrated on few images
└── CacheWarning                 a cache cannot be used, or was damaged
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resmem_plugin.core.scores import Score

_PACKAGE = str(Path(__file__).parents[1])


class ResMemError(Exception):
    """Base class of the errors this package raises on purpose."""


class WeightsError(ResMemError):
    """The published weights cannot be had."""


class WeightsNotFoundError(WeightsError, FileNotFoundError):
    """There are no weights at the path, or no `resmem` distribution is installed."""


class WeightsCorruptError(WeightsError):
    """A file is there, but it does not hold the weights it should."""


class OptionError(ResMemError, ValueError):
    """An option has a value that does not exist, or that cannot be had on this machine."""


class EvalModeError(ResMemError, RuntimeError):
    """A model is in training mode: dropout and batch statistics would change its scores, and it its buffers."""


class ForkError(ResMemError, RuntimeError):
    """A network is used in a process forked from the one that loaded it, where torch would hang."""


class CacheError(ResMemError):
    """A cache of scores that somebody wants to look into or to clear cannot be opened."""


class MissingPackageError(ResMemError, ImportError):
    """An optional package is not installed; the message names the `pip install` that adds it."""


class ImageError(ResMemError, ValueError):
    """One image cannot be scored."""


class MissingValueError(ImageError):
    """None or NaN stands where an image should."""


class ImageNotFoundError(ImageError, FileNotFoundError):
    """No file or URL of that name exists."""


class UnreadableImageError(ImageError):
    """Something is there, but no image can be read from it."""


class UnsupportedImageError(ImageError, TypeError):
    """An object of a type, shape or dtype that is no image."""


class CheckpointError(ResMemError):
    """What is scored cannot be kept on the disk, so there is no sense in scoring more."""


class ScoringError(ResMemError):
    """`errors="raise"` met an image that cannot be scored; its `ImageError` is the `__cause__`.

    Attributes:
        scores: what was scored before, in order; empty when a missing file was found before scoring began.
    """

    def __init__(self, message: str, scores: Sequence[Score] = ()) -> None:
        super().__init__(message)
        self.scores: list[Score] = list(scores)


class ResMemWarning(UserWarning):
    """Base class of the warnings this package gives."""


class FailedImagesWarning(ResMemWarning):
    """Some images have no score."""


class ClippedImagesWarning(ResMemWarning):
    """Images of more than 8 bits a channel were clipped at 255, as upstream's recipe does."""


class CalibrationWarning(ResMemWarning):
    """int8 is calibrated on fewer images than its measured error holds for."""


class CacheWarning(ResMemWarning):
    """A cache cannot be used, or was damaged; work goes on without it."""


def warn(message: str, category: type[ResMemWarning]) -> None:
    """Give a warning that points at the caller's own line: the innermost one outside this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
