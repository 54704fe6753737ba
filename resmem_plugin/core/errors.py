"""Every error and warning of this package; each message says what happened, to what, and how to fix it.

Each is a subclass of the one above it in the tree.

    ResMemError
    ├── WeightsError                 the published weights are not found or damaged
    │   ├── WeightsNotFoundError     nothing at the path, or no `resmem` distribution (also a FileNotFoundError)
    │   └── WeightsCorruptError      a git-lfs pointer, a wrong hash, a truncated file, another network's tensors
    ├── OptionError                  an option, or a combination of them, that is not available (also a ValueError)
    ├── EvalModeError                a model is in training mode, where scores would be wrong (also a RuntimeError)
    ├── ForkError                    a network is used in a forked process, where it would hang (also a RuntimeError)
    ├── CacheError                   a cache of scores cannot be read or cleared on request
    ├── MissingPackageError          an optional package is not installed (also an ImportError)
    ├── ImageError                   one image cannot be scored; its row has the reason (also a ValueError)
    │   ├── MissingValueError        None or NaN instead of an image
    │   ├── ImageNotFoundError       no such file or URL (also a FileNotFoundError)
    │   ├── UnreadableImageError     there, but a folder, empty, forbidden, truncated or no image
    │   └── UnsupportedImageError    an object that is no image (also a TypeError)
    ├── CheckpointError              scores cannot be written to the disk
    └── ScoringError                 an image failed with errors="raise"; `scores` holds those before it

    ResMemWarning (a UserWarning)
    ├── FailedImagesWarning          some images have no score
    ├── ClippedImagesWarning         images of more than 8 bits were clipped
    ├── ThumbnailsWarning            of a raw file only the thumbnail was scored
    ├── EngineWarning                another engine is used, or a precision is slow here
    ├── CalibrationWarning           int8 is calibrated on few images
    ├── CacheWarning                 a cache cannot be used, or was damaged
    └── SkippedFilesWarning          files of a folder, or sheets of a workbook, were left out
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
    """Base class of this package's errors."""


class WeightsError(ResMemError):
    """The published weights are not found or damaged."""


class WeightsNotFoundError(WeightsError, FileNotFoundError):
    """There are no weights at the path, or no `resmem` distribution is installed."""


class WeightsCorruptError(WeightsError):
    """A file is there, but it does not hold the weights it should."""


class OptionError(ResMemError, ValueError):
    """An option has a value that does not exist, or that is not available on this machine."""


class EvalModeError(ResMemError, RuntimeError):
    """A model is in training mode: dropout and batch statistics would change its scores and buffers."""


class ForkError(ResMemError, RuntimeError):
    """A network is used in a process forked from the one that loaded it, where torch would hang."""


class CacheError(ResMemError):
    """A cache of scores that is to be listed or cleared cannot be opened."""


class MissingPackageError(ResMemError, ImportError):
    """An optional package is not installed; the message names the `pip install` that adds it."""


class ImageError(ResMemError, ValueError):
    """One image cannot be scored."""


class MissingValueError(ImageError):
    """None or NaN was given instead of an image."""


class ImageNotFoundError(ImageError, FileNotFoundError):
    """No file or URL of that name exists."""


class UnreadableImageError(ImageError):
    """Something is there, but no image can be read from it."""


class UnsupportedImageError(ImageError, TypeError):
    """An object of a type, shape or dtype that is no image."""


class CheckpointError(ResMemError):
    """Scores cannot be written to the disk, so scoring stops."""


class ScoringError(ResMemError):
    """An image cannot be scored, with `errors="raise"`; its `ImageError` is the `__cause__`.

    Attributes:
        scores: the scores of the images before it, in order; empty if a missing file was found before scoring began.
    """

    def __init__(self, message: str, scores: Sequence[Score] = ()) -> None:
        super().__init__(message)
        self.scores: list[Score] = list(scores)


class ResMemWarning(UserWarning):
    """Base class of this package's warnings."""


class FailedImagesWarning(ResMemWarning):
    """Some images have no score."""


class ClippedImagesWarning(ResMemWarning):
    """Images of more than 8 bits a channel were clipped at 255, as upstream's recipe does."""


class ThumbnailsWarning(ResMemWarning):
    """Files begin with a thumbnail, as raw files of cameras do, and only that was scored."""


class EngineWarning(ResMemWarning):
    """Another engine is used than usual, or a precision is slow on this processor."""


class CalibrationWarning(ResMemWarning):
    """int8 is calibrated on fewer images than its measured error holds for."""


class CacheWarning(ResMemWarning):
    """A cache cannot be used, or was damaged; scoring continues without it."""


class SkippedFilesWarning(ResMemWarning):
    """Files of a folder or an archive were left out, or it holds no images."""


def warn(message: str, category: type[ResMemWarning]) -> None:
    """Emit a warning that points at the caller's own line: the innermost one outside this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
