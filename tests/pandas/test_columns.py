"""Scoring a column: whatever its index, dtype and missing values, each row gets its image's score."""

from __future__ import annotations

import base64
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.errors import ClippedImagesWarning, OptionError, ScoringError
from tests.conftest import flat
from tests.models import Counting, Red
from tests.pandas.conftest import EXPECTED, VALUES

INDEXES: dict[str, Any] = {
    "reversed": [3, 2, 1, 0],
    "duplicate": [7, 7, 7, 7],
    "strings": list("dbca"),
    "multi": pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1), ("a", 1)]),
    "dates": pd.to_datetime(["2026-01-04", "2026-01-03", "2026-01-02", "2026-01-01"]),
    "missing": [1.0, None, 2.0, None],
}


@pytest.mark.parametrize("kind", INDEXES)
def test_index_is_kept(kind: str, df: pd.DataFrame, red: Scorer) -> None:
    df.index = INDEXES[kind] if isinstance(INDEXES[kind], pd.Index) else pd.Index(INDEXES[kind])
    scores = df.resmem.score("path", scorer=red)
    pd.testing.assert_index_equal(scores.index, df.index)
    assert scores.tolist() == pytest.approx(EXPECTED)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(-3, 3), st.sampled_from([*VALUES, None])), max_size=20),
    batch_size=st.integers(1, 7),
)
def test_scores_align_with_any_rows_and_batch_size(
    folder: Path, rows: list[tuple[int, int | None]], batch_size: int
) -> None:
    labels, values = [row[0] for row in rows], [row[1] for row in rows]
    paths = [None if value is None else str(folder / f"{value}.png") for value in values]
    df = pd.DataFrame({"path": pd.Series(paths, index=labels, dtype=object)})
    scores = df.resmem.score("path", scorer=Scorer(device="cpu", model=Red(), batch_size=batch_size))
    assert scores.index.tolist() == labels
    expected = [math.nan if value is None else value / 255 for value in values]
    assert scores.tolist() == pytest.approx(expected, nan_ok=True)


def _bytes(folder: Path) -> list[bytes]:
    return [(folder / f"{value}.png").read_bytes() for value in VALUES]


def _paths(folder: Path) -> list[str]:
    return [str(folder / f"{value}.png") for value in VALUES]


COLUMNS: dict[str, Callable[[Path], Any]] = {
    "str": lambda folder: pd.Series(_paths(folder)),
    "object": lambda folder: pd.Series(_paths(folder), dtype=object),
    "string[python]": lambda folder: pd.Series(_paths(folder), dtype="string[python]"),
    "string[pyarrow]": lambda folder: pd.Series(_paths(folder), dtype="string[pyarrow]"),
    "arrow string": lambda folder: pd.Series(_paths(folder), dtype=pd.ArrowDtype(pa.string())),
    "arrow large string": lambda folder: pd.Series(_paths(folder), dtype=pd.ArrowDtype(pa.large_string())),
    "arrow dictionary": lambda folder: pd.Series(
        pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(_paths(folder)).dictionary_encode()]))
    ),
    "arrow binary": lambda folder: pd.Series(_bytes(folder), dtype=pd.ArrowDtype(pa.large_binary())),
    "category": lambda folder: pd.Series(_paths(folder), dtype="category"),
    "Path": lambda folder: pd.Series([Path(path) for path in _paths(folder)]),
    "bytes": lambda folder: pd.Series(_bytes(folder)),
    "PIL": lambda folder: pd.Series([Image.fromarray(flat(value)) for value in VALUES]),
    "array": lambda folder: pd.Series([flat(value) for value in VALUES]),
    "mixed": lambda folder: pd.Series(
        [_paths(folder)[0], Path(_paths(folder)[1]), _bytes(folder)[2], flat(VALUES[3])], dtype=object
    ),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_column_dtypes(kind: str, folder: Path, red: Scorer) -> None:
    df = pd.DataFrame({"image": COLUMNS[kind](folder)})
    assert df.resmem.score("image", scorer=red).tolist() == pytest.approx(EXPECTED)


@pytest.mark.parametrize("kind", ["str", "object", "string[python]", "string[pyarrow]", "arrow string", "category"])
def test_missing_values_have_missing_scores(kind: str, folder: Path, red: Scorer) -> None:
    column = COLUMNS[kind](folder).where([True, False, True, False])
    df = pd.DataFrame({"path": column})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # missing values are not failures
        scores = df.resmem.score("path", scorer=red)
    assert scores.tolist() == pytest.approx([EXPECTED[0], math.nan, EXPECTED[2], math.nan], nan_ok=True)
    reasons = df.resmem.score("path", scorer=red, return_errors=True)["error"]
    assert reasons.isna().tolist() == [True, False, True, False]
    assert "missing value" in reasons.iloc[1]


@pytest.mark.parametrize("values", [[None, None], [math.nan, math.nan], [pd.NA, pd.NaT]])
def test_column_of_missing_values(values: list[Any], red: Scorer) -> None:
    scores = pd.DataFrame({"path": values}).resmem.score("path", scorer=red)
    assert scores.dtype == np.float32
    assert scores.isna().all()


def test_empty_column(red: Scorer) -> None:
    scores = pd.DataFrame({"path": []}).resmem.score("path", scorer=red)
    assert scores.dtype == np.float32
    assert scores.empty
    table = pd.DataFrame({"path": []}).resmem.score("path", scorer=red, return_errors=True)
    assert list(table.columns) == ["memorability", "error"]
    assert pd.DataFrame({"path": []}).resmem.top("path", scorer=red).empty


def test_duplicate_images_are_scored_once(df: pd.DataFrame) -> None:
    df = pd.concat([df] * 5)
    paths: list[Any] = [
        Path(path) if row % 2 else path for row, path in enumerate(df["path"])
    ]  # a Path and a str are the same image
    df["path"] = paths
    Counting.seen = 0
    scores = df.resmem.score("path", scorer=Scorer(device="cpu", model=Counting()))
    assert scores.tolist() == pytest.approx(EXPECTED * 5)
    assert Counting.seen == len(VALUES)


def test_errors_raise_checks_for_missing_files_first(df: pd.DataFrame, tmp_path: Path) -> None:
    df.loc[3, "path"] = str(tmp_path / "none.png")
    Counting.seen = 0
    with pytest.raises(ScoringError, match=r"none\.png"):
        df.resmem.score("path", scorer=Scorer(device="cpu", model=Counting()))
    assert Counting.seen == 0


def test_scoring_error_holds_the_completed_scores_by_row(df: pd.DataFrame, red: Scorer, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not an image")
    paths = [None, df["path"][1], df["path"][3], df["path"][1], str(bad), df["path"][0]]
    with pytest.raises(ScoringError, match=r"bad\.png: not an image") as caught:
        pd.DataFrame({"path": paths}).resmem.score("path", scorer=red)
    assert [(score.index, round(score.memorability, 3)) for score in caught.value.scores] == [
        (1, 0.2),
        (2, 1),
        (3, 0.2),
    ]


def test_root_of_relative_paths(df: pd.DataFrame, folder: Path, red: Scorer) -> None:
    df["path"] = [os.path.basename(path) for path in df["path"]]
    assert df.resmem.score("path", root=folder, scorer=red).tolist() == pytest.approx(EXPECTED)


def test_column_labels(df: pd.DataFrame, red: Scorer) -> None:
    with pytest.raises(KeyError, match=r"no column 'image'.*\['path'\]"):
        df.resmem.score("image", scorer=red)
    with pytest.raises(TypeError, match="name the column"):
        df.resmem.score(scorer=red)
    with pytest.raises(TypeError, match="omit 'path'"):
        df["path"].resmem.score("path", scorer=red)
    twice = pd.concat([df, df], axis=1)
    with pytest.raises(ValueError, match="'path' names 2 columns"):
        twice.resmem.score("path", scorer=red)
    levels = df.set_axis(pd.MultiIndex.from_tuples([("image", "path")]), axis=1)
    assert levels.resmem.score(("image", "path"), scorer=red).tolist() == pytest.approx(EXPECTED)
    tuples = pd.DataFrame({0: df["path"]})
    assert tuples.resmem.score(0, scorer=red).tolist() == pytest.approx(EXPECTED)


def test_options_of_a_given_scorer_raise(df: pd.DataFrame, red: Scorer) -> None:
    with pytest.raises(OptionError, match="its own batch_size"):
        df.resmem.score("path", scorer=red, batch_size=2)


def test_path_objects_of_bytes(folder: Path, red: Scorer) -> None:
    with os.scandir(os.fsencode(folder)) as entries:
        series = pd.Series([entry for entry in entries if entry.name == b"51.png"])
    assert series.resmem.score(scorer=red).tolist() == pytest.approx([0.2])


def test_a_column_of_base64(red: Scorer, folder: Path) -> None:
    texts = [base64.b64encode((folder / f"{value}.png").read_bytes()).decode() for value in VALUES]
    df = pd.DataFrame({"image": [*texts, None]}, index=[5, 5, 6, 7, 8])
    reading = Scorer(device="cpu", model=Red(), base64=True)
    scores = df.resmem.score("image", scorer=reading, errors="coerce")
    assert scores.tolist()[:-1] == pytest.approx([value / 255 for value in VALUES])
    assert df.resmem.gallery("image", scorer=reading, errors="coerce").to_html().count("<img") == len(VALUES)
    with pytest.raises(OptionError, match="root is for paths"):
        df.resmem.score("image", base64=True, root="photos")


def test_the_warning_of_clipped_images_names_the_row_and_the_path(red: Scorer, tmp_path: Path) -> None:
    deep, shallow = tmp_path / "deep.png", tmp_path / "a.png"
    Image.new("I;16", (4, 4), 60_000).save(deep)
    Image.new("RGB", (4, 4)).save(shallow)
    column = pd.Series([str(shallow), str(shallow), None, str(shallow), str(deep)])
    with pytest.warns(ClippedImagesWarning, match=r"Indices: 4 \(.*deep\.png\)$"):
        column.resmem.score(scorer=red)
