"""`df.resmem`: whatever the index, the dtype and the missing values, each row gets its own image's score."""

from __future__ import annotations

import inspect
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.errors import FailedImagesWarning, OptionError, ScoringError
from resmem_plugin.pandas.columns import score_column
from tests.conftest import flat
from tests.models import Counting, Red

mpl.use("Agg")

VALUES = (0, 51, 102, 255)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures named 0.png, 51.png, ... that score as value / 255."""
    folder = tmp_path_factory.mktemp("pictures")
    for value in VALUES:
        Image.fromarray(flat(value)).save(folder / f"{value}.png")
    return folder


@pytest.fixture
def df(folder: Path) -> pd.DataFrame:
    return pd.DataFrame({"path": [str(folder / f"{value}.png") for value in VALUES]})


EXPECTED = [value / 255 for value in VALUES]


def test_score(df: pd.DataFrame, red: Scorer) -> None:
    scores = df.resmem.score("path", scorer=red)
    assert isinstance(scores, pd.Series)
    assert scores.name == "memorability"
    assert scores.dtype == np.float32
    assert scores.tolist() == pytest.approx(EXPECTED)
    assert scores.attrs["resmem"]["provenance"] == red.provenance.id
    pd.testing.assert_series_equal(df["path"].resmem.score(scorer=red), scores)
    pd.testing.assert_series_equal(score_column(df, "path", scorer=red)["memorability"], scores)


@pytest.mark.weights
def test_the_real_scores_are_the_scorers(photos: dict[str, Path], scorer: Scorer) -> None:
    import resmem_plugin

    df = pd.DataFrame({"path": [photos[name] for name in ("coffee.png", "rocket.jpg", "coffee.png")]})
    expected = [score.memorability for score in scorer.score(df["path"])]
    assert df.resmem.score("path", device="cpu").tolist() == pytest.approx(expected, abs=1e-6)
    assert df.resmem.score("path", device="cpu", batch_size=1).tolist() == pytest.approx(expected, abs=1e-6)
    assert resmem_plugin.score_images(df["path"], device="cpu") == pytest.approx(expected, abs=1e-6)


INDEXES: dict[str, Any] = {
    "reversed": [3, 2, 1, 0],
    "duplicate": [7, 7, 7, 7],
    "strings": list("dbca"),
    "multi": pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1), ("a", 1)]),
    "dates": pd.to_datetime(["2026-01-04", "2026-01-03", "2026-01-02", "2026-01-01"]),
    "missing": [1.0, None, 2.0, None],
}


@pytest.mark.parametrize("kind", INDEXES)
def test_any_index(kind: str, df: pd.DataFrame, red: Scorer) -> None:
    df.index = INDEXES[kind] if isinstance(INDEXES[kind], pd.Index) else pd.Index(INDEXES[kind])
    scores = df.resmem.score("path", scorer=red)
    pd.testing.assert_index_equal(scores.index, df.index)
    assert scores.tolist() == pytest.approx(EXPECTED)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(-3, 3), st.sampled_from([*VALUES, None])), max_size=20),
    batch_size=st.integers(1, 7),
)
def test_alignment(folder: Path, rows: list[tuple[int, int | None]], batch_size: int) -> None:
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
def test_any_dtype(kind: str, folder: Path, red: Scorer) -> None:
    df = pd.DataFrame({"image": COLUMNS[kind](folder)})
    assert df.resmem.score("image", scorer=red).tolist() == pytest.approx(EXPECTED)


@pytest.mark.parametrize("kind", ["str", "object", "string[python]", "string[pyarrow]", "arrow string", "category"])
def test_missing_values_have_missing_scores(kind: str, folder: Path, red: Scorer) -> None:
    column = COLUMNS[kind](folder).where([True, False, True, False])
    df = pd.DataFrame({"path": column})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # missing is not failed
        scores = df.resmem.score("path", scorer=red)
    assert scores.tolist() == pytest.approx([EXPECTED[0], math.nan, EXPECTED[2], math.nan], nan_ok=True)
    reasons = df.resmem.score("path", scorer=red, return_errors=True)["error"]
    assert reasons.isna().tolist() == [True, False, True, False]
    assert "missing value" in reasons.iloc[1]


@pytest.mark.parametrize("values", [[None, None], [math.nan, math.nan], [pd.NA, pd.NaT]])
def test_all_missing(values: list[Any], red: Scorer) -> None:
    scores = pd.DataFrame({"path": values}).resmem.score("path", scorer=red)
    assert scores.dtype == np.float32
    assert scores.isna().all()


def test_empty(red: Scorer) -> None:
    scores = pd.DataFrame({"path": []}).resmem.score("path", scorer=red)
    assert scores.dtype == np.float32
    assert scores.empty
    table = pd.DataFrame({"path": []}).resmem.score("path", scorer=red, return_errors=True)
    assert list(table.columns) == ["memorability", "error"]
    assert pd.DataFrame({"path": []}).resmem.top("path", scorer=red).empty


def test_a_repeated_image_is_scored_once(df: pd.DataFrame) -> None:
    df = pd.concat([df] * 5)
    paths: list[Any] = [
        Path(path) if row % 2 else path for row, path in enumerate(df["path"])
    ]  # one image all the same
    df["path"] = paths
    Counting.seen = 0
    scores = df.resmem.score("path", scorer=Scorer(device="cpu", model=Counting()))
    assert scores.tolist() == pytest.approx(EXPECTED * 5)
    assert Counting.seen == len(VALUES)


def test_assign(df: pd.DataFrame, red: Scorer) -> None:
    scored = df.assign(m=lambda d: d.resmem.score("path", scorer=red))
    assert scored["m"].tolist() == pytest.approx(EXPECTED)
    filtered = df.iloc[[3, 1]].assign(m=lambda d: d.resmem.score("path", scorer=red))
    assert filtered["m"].tolist() == pytest.approx([1.0, 0.2])


def test_coerce_warns_once_at_the_callers_line(df: pd.DataFrame, red: Scorer, tmp_path: Path) -> None:
    df.loc[1, "path"] = str(tmp_path / "none.png")
    df.loc[2, "path"] = str(tmp_path)
    with pytest.warns(FailedImagesWarning, match=r"2 of 4 images have no score.*none\.png: no such file") as caught:
        scores = df.resmem.score("path", errors="coerce", scorer=red)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert scores.tolist() == pytest.approx([0, math.nan, math.nan, 1], nan_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = df.resmem.score("path", errors="coerce", return_errors=True, scorer=red)
    assert list(table.columns) == ["memorability", "error"]
    assert table["memorability"].dtype == np.float32
    assert table["error"].isna().tolist() == [True, False, False, True]
    assert "a folder" in table["error"].iloc[2]


def test_raise_finds_missing_files_first(df: pd.DataFrame, tmp_path: Path) -> None:
    df.loc[3, "path"] = str(tmp_path / "none.png")
    Counting.seen = 0
    with pytest.raises(ScoringError, match=r"none\.png"):
        df.resmem.score("path", scorer=Scorer(device="cpu", model=Counting()))
    assert Counting.seen == 0


def test_raise_carries_what_was_scored_by_row(df: pd.DataFrame, red: Scorer, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    paths = [None, df["path"][1], df["path"][3], df["path"][1], str(bad), df["path"][0]]
    with pytest.raises(ScoringError, match=r"bad\.png: not an image") as caught:
        pd.DataFrame({"path": paths}).resmem.score("path", scorer=red)
    assert [(score.index, round(score.memorability, 3)) for score in caught.value.scores] == [
        (1, 0.2),
        (2, 1),
        (3, 0.2),
    ]


def test_root(df: pd.DataFrame, folder: Path, red: Scorer) -> None:
    df["path"] = [os.path.basename(path) for path in df["path"]]
    assert df.resmem.score("path", root=folder, scorer=red).tolist() == pytest.approx(EXPECTED)


def test_columns(df: pd.DataFrame, red: Scorer) -> None:
    with pytest.raises(KeyError, match=r"no column 'image'.*\['path'\]"):
        df.resmem.score("image", scorer=red)
    with pytest.raises(TypeError, match="name the column"):
        df.resmem.score(scorer=red)
    with pytest.raises(TypeError, match="leave 'path' out"):
        df["path"].resmem.score("path", scorer=red)
    twice = pd.concat([df, df], axis=1)
    with pytest.raises(ValueError, match="'path' names 2 columns"):
        twice.resmem.score("path", scorer=red)
    levels = df.set_axis(pd.MultiIndex.from_tuples([("image", "path")]), axis=1)
    assert levels.resmem.score(("image", "path"), scorer=red).tolist() == pytest.approx(EXPECTED)
    tuples = pd.DataFrame({0: df["path"]})
    assert tuples.resmem.score(0, scorer=red).tolist() == pytest.approx(EXPECTED)


def test_a_scorer_brings_its_own_options(df: pd.DataFrame, red: Scorer) -> None:
    with pytest.raises(OptionError, match="its own batch_size"):
        df.resmem.score("path", scorer=red, batch_size=2)


def test_top_and_bottom(df: pd.DataFrame, red: Scorer) -> None:
    df.loc[4] = None
    df.index = list("abcde")
    top = df.resmem.top("path", n=2, scorer=red)
    assert top.index.tolist() == ["d", "c"]
    assert top["memorability"].dtype == np.float32
    assert top["memorability"].tolist() == pytest.approx([1, 0.4])
    assert df.resmem.bottom("path", n=2, scorer=red).index.tolist() == ["a", "b"]
    assert df.resmem.top("path", n=10, scorer=red).index.tolist() == list("dcba")  # what has no score has no rank
    assert list(df.columns) == ["path"]
    assert df["path"].resmem.top(n=1, scorer=red).index.tolist() == ["d"]
    with pytest.raises(ValueError, match="n must be"):
        df.resmem.top("path", n=-1, scorer=red)


def test_ranking_uses_the_column_that_is_there(df: pd.DataFrame) -> None:
    df["memorability"] = [0.1, 0.9, np.nan, 0.5]
    Counting.seen = 0
    counting = Scorer(device="cpu", model=Counting())
    assert df.resmem.top("path", n=2, scorer=counting).index.tolist() == [1, 3]
    df["uniqueness"] = [4, 3, 2, 1]
    assert df.resmem.bottom("path", n=1, by="uniqueness", scorer=counting).index.tolist() == [3]
    assert Counting.seen == 0


def test_options_that_do_not_exist(df: pd.DataFrame, red: Scorer) -> None:
    scored = df.assign(memorability=0.5)
    for call in (df.resmem.top, scored.resmem.top, scored.resmem.bottom, scored.resmem.gallery):
        with pytest.raises(TypeError, match=r"no such option: eror.*errors"):
            call("path", eror="coerce")
    with pytest.raises(KeyError, match="no column 'image'"):
        scored.resmem.top("image")
    with pytest.raises(TypeError, match="holds no numbers"):
        df.resmem.top("path", by="path")
    with pytest.raises(TypeError, match="not a list: 'path'"):
        df.resmem.score(["path"], scorer=red)


def test_provenance_goes_along(df: pd.DataFrame, red: Scorer) -> None:
    assert df.resmem.top("path", scorer=red).attrs["resmem"]["provenance"] == red.provenance.id
    assert red.provenance.id in df.resmem.gallery("path", scorer=red)._repr_html_()
    assert "provenance" not in df.assign(memorability=0.5).resmem.gallery("path")._repr_html_().partition("</style>")[2]


def test_paths_that_are_bytes(folder: Path, red: Scorer) -> None:
    with os.scandir(os.fsencode(folder)) as entries:
        series = pd.Series([entry for entry in entries if entry.name == b"51.png"])
    assert series.resmem.score(scorer=red).tolist() == pytest.approx([0.2])


def test_gallery(df: pd.DataFrame, red: Scorer) -> None:
    gallery = df.resmem.gallery("path", n=2, scorer=red)
    assert [Path(card.image).name for card in gallery.cards] == ["255.png", "102.png"]
    assert "2 of 4 images" in gallery._repr_html_()
    least = df["path"].resmem.gallery(ascending=True, scorer=red)
    assert [Path(card.image).name for card in least.cards] == ["0.png", "51.png", "102.png", "255.png"]


def test_hist(df: pd.DataFrame, red: Scorer) -> None:
    axes = df.resmem.hist("path", bins=4, scorer=red)
    assert isinstance(axes, mpl.axes.Axes)
    assert axes.get_xlabel() == "memorability"
    assert sum(bar.get_height() for bar in axes.patches) == 4  # type: ignore[attr-defined]
    plt.close("all")
    df["memorability"] = EXPECTED
    axes = df.resmem.hist("memorability")
    assert sum(bar.get_height() for bar in axes.patches) == 4  # type: ignore[attr-defined]
    plt.close("all")


def test_every_option_is_documented_and_typed() -> None:
    from resmem_plugin.pandas.accessor import ResMemAccessor
    from resmem_plugin.pandas.columns import ScoreOptions

    parameters = set(inspect.signature(ResMemAccessor.score).parameters) - {"self", "column", "return_errors"}
    assert parameters == set(ScoreOptions.__annotations__)
    documentation = inspect.getdoc(ResMemAccessor.score) or ""
    assert all(f"{name}: " in documentation for name in parameters)
