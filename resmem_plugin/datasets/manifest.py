"""Any table of images and their memorability: a file, a DataFrame, a Hugging Face dataset or FiftyOne samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from typing import Any

import pandas as pd

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.sources import join_root
from resmem_plugin.datasets.layout import COUNTS, Root, make_frame, numbers

_READERS: dict[str, Callable[..., pd.DataFrame]] = {
    ".csv": pd.read_csv,
    ".tsv": lambda path: pd.read_csv(path, sep="\t"),
    ".jsonl": lambda path: pd.read_json(path, lines=True),
    ".parquet": pd.read_parquet,
    ".pq": pd.read_parquet,
}
_FIFTYONE_PATH = "filepath"


def manifest(
    source: Any,
    *,
    path: Hashable | None = None,
    memorability: Hashable = "memorability",
    split: Hashable | None = None,
    group: Hashable | None = None,
    n_ratings: Hashable | None = None,
    root: Root | None = None,
) -> pd.DataFrame:
    """A table of images and what people remembered of them, as a frame; see `resmem_plugin.datasets`.

    Args:
        source: a .csv, .tsv, .jsonl or .parquet file, a DataFrame, a dataset of Hugging Face's `datasets`, or FiftyOne
            samples, of which columns are fields.
        path: the column of images; None: "path", of FiftyOne samples "filepath". Hugging Face's image structs are kept.
        memorability: the column of values.
        split: the column of splits, if there is one.
        group: the column of groups, such as categories.
        n_ratings: the column of how many people rated an image.
        root: folder or URL that relative paths are joined to; None: the folder of the file, else the current folder.

    Raises:
        OptionError: for a file that cannot be read, a column that is missing, or a value that is no number.

    Examples:
        >>> import pandas as pd
        >>> from resmem_plugin.datasets import manifest
        >>> rated = pd.DataFrame({"image": ["coffee.png"], "hit_rate": [0.9]})
        >>> frame = manifest(rated, path="image", memorability="hit_rate", root="photos")
        >>> frame[["path", "memorability"]].head(1).values.tolist()[0]
        ['photos/coffee.png', 0.9]
    """
    given = {"memorability": memorability, "split": split, "group": group, "n_ratings": n_ratings}
    where, table, images = _read(source, path, [name for name in given.values() if name is not None])
    named = {key: name for key, name in given.items() if name is not None}
    for name in (images, *named.values()):
        if (table.columns == name).sum() != 1:
            raise OptionError(
                f"{where} has no unique column {name!r}: choose from {', '.join(map(str, table.columns))}"
            )
    base = root if root is not None else os.path.dirname(source) if isinstance(source, (str, os.PathLike)) else None
    paths = table[images].tolist()
    columns: dict[str, Any] = {key: table[name] for key, name in named.items()}
    for key in ("memorability", "n_ratings"):
        if key in columns:
            columns[key] = numbers(columns[key].reset_index(drop=True), where, str(named[key]))
    counts = table[[*COUNTS]].astype("float64") if set(COUNTS) <= set(table.columns) else None
    for key in ("split", "group"):
        if key in columns:
            columns[key] = [None if pd.isna(value) else str(value) for value in columns[key]]
    values = columns.pop("memorability")
    frame = make_frame(
        [join_root(os.fspath(base), each) if base else each for each in paths],  # type: ignore[misc]
        values,
        **columns,
        counts=counts,
        seen_in_training=False,
    )
    frame.attrs = {**table.attrs, **frame.attrs}
    return frame


def _read(source: Any, path: Hashable | None, columns: list[Hashable]) -> tuple[str, pd.DataFrame, Hashable]:
    """What to call the source, its table, and the column of images."""
    if isinstance(source, pd.DataFrame):
        return "the frame", source, "path" if path is None else path
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source), _read_file(os.fspath(source)), "path" if path is None else path
    if hasattr(source, "has_field"):  # FiftyOne samples
        images = _FIFTYONE_PATH if path is None else path
        fields = [images, *columns]
        missing = [str(field) for field in fields if not source.has_field(field)]
        if missing:
            raise OptionError(
                f"the samples have no field {missing[0]!r}: choose from {', '.join(source.get_field_schema())}"
            )
        return "the samples", pd.DataFrame(dict(zip(fields, source.values(fields), strict=True))), images
    if hasattr(source, "to_pandas"):  # a Hugging Face dataset, or an Arrow table
        return "the dataset", source.to_pandas(), "path" if path is None else path
    raise OptionError(
        f"a {type(source).__name__} is no table of images: pass a .csv, .tsv, .jsonl or .parquet file, a DataFrame, a "
        "Hugging Face dataset with one split, or FiftyOne samples"
    )


def _read_file(path: str) -> pd.DataFrame:
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in _READERS:
        raise OptionError(f"{path} must end in {', '.join(_READERS)}")
    try:
        return _READERS[suffix](path)
    except (OSError, ValueError) as error:
        raise OptionError(f"{path} cannot be read as a table ({error}): correct its path, or write it again") from error
