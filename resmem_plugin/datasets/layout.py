"""The files of a data set on the disk, and the frame that they become."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import pandas as pd

from resmem_plugin.core.errors import OptionError

COUNTS = ("hits", "misses", "false_alarms", "correct_rejections")
"""Of the people who saw an image again, and of those who saw it for the first time."""

SEEN_IN_TRAINING = "resmem_seen_in_training"
"""The key in a frame's `attrs`: whether the published weights were trained on images of the data set."""

_TRIED = 20  # images, until one is found

Root: TypeAlias = "str | os.PathLike[str]"


def find_file(root: Root, names: Sequence[str], dataset: str, source: str) -> str:
    """The first of these files that is in the folder.

    Args:
        root: the data set's folder.
        names: where the file may be, relative to it.
        dataset: the data set's name.
        source: where to get it.

    Raises:
        OptionError: if there is none.
    """
    for name in names:
        path = os.path.join(os.path.expanduser(root), name)
        if os.path.isfile(path):
            return path
    raise OptionError(
        f"{os.fspath(root)} is no folder of {dataset}: it lacks {' or '.join(names)}. Get {dataset} from {source}, "
        "unpack it, and name the folder that holds this file"
    )


def find_images(root: Root, folders: Sequence[str], files: Iterable[str], dataset: str, source: str) -> str:
    """The folder of images: the first of these that has one of the files.

    Raises:
        OptionError: if none has.
    """
    base = os.path.abspath(os.path.expanduser(root))
    first = [name for _, name in zip(range(_TRIED), files, strict=False)]
    for folder in folders:
        found = os.path.normpath(os.path.join(base, folder))
        if any(os.path.exists(os.path.join(found, name)) for name in first):
            return found
    where = " or ".join(os.path.join(os.fspath(root), folder) for folder in folders)
    raise OptionError(
        f"the images of {dataset} are not in {where}: for example {first[0] if first else 'none'}. Get them from "
        f"{source}, and unpack them there"
    )


def read_csv(path: str, columns: Sequence[str], dataset: str) -> pd.DataFrame:
    """A csv file as text, whatever spaces there are around its names.

    Raises:
        OptionError: if it cannot be read, or lacks one of the columns.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # a parser's error is a ValueError
        raise OptionError(f"{path} cannot be read as the csv file of {dataset} ({error}): get it again") from error
    frame.columns = [str(name).strip() for name in frame.columns]
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise OptionError(
            f"{path} lacks the column {missing[0]!r} of {dataset}, it has {', '.join(frame.columns)}: name the folder "
            "of the original files"
        )
    return frame


def numbers(values: Any, path: str, name: str) -> pd.Series[float]:
    """A column of text as numbers; blank cells are NaN.

    Raises:
        OptionError: naming the first that is no number.
    """
    series = pd.Series(values)
    if series.dtype == object or isinstance(series.dtype, pd.StringDtype):
        series = series.map(lambda cell: cell.strip() or None if isinstance(cell, str) else cell)
    found = pd.to_numeric(series, errors="coerce").astype("float64")
    wrong = series[found.isna() & series.notna()]
    wrong = wrong[[str(cell).lower() != "nan" for cell in wrong]]
    if len(wrong):
        raise OptionError(
            f"the {name} of row {wrong.index[0] + 1} of {path} is {wrong.iloc[0]!r}, not a number: correct it, or "
            "leave it empty"
        )
    return found


def make_frame(
    paths: Iterable[str],
    memorability: Iterable[float],
    *,
    split: Iterable[str | None] | None = None,
    group: Iterable[str | None] | None = None,
    n_ratings: Iterable[float] | None = None,
    counts: pd.DataFrame | None = None,
    seen_in_training: bool,
) -> pd.DataFrame:
    """The frame of a data set; see `resmem_plugin.datasets`."""
    paths = list(paths)
    index = pd.RangeIndex(len(paths))
    frame = pd.DataFrame(
        {
            "path": pd.Series(paths, index, dtype=object),
            "memorability": pd.Series(list(memorability), index, dtype="float64"),
            "split": pd.Series([None] * len(paths) if split is None else list(split), index, dtype=object),
            "group": pd.Series([None] * len(paths) if group is None else list(group), index, dtype=object),
            "n_ratings": pd.Series(float("nan") if n_ratings is None else list(n_ratings), index, dtype="float64"),
        }
    )
    for name in COUNTS if counts is not None else ():
        frame[name] = counts[name].to_numpy("float64")  # type: ignore[index]
    frame.attrs[SEEN_IN_TRAINING] = seen_in_training
    return frame
