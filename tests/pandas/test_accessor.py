"""`df.resmem`: scores, warnings, ranking, galleries and histograms."""

from __future__ import annotations

import inspect
import math
import warnings
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.errors import FailedImagesWarning, ScoringError
from resmem_plugin.pandas.columns import score_column
from tests.models import Counting
from tests.pandas.conftest import EXPECTED

mpl.use("Agg")


def test_score_of_a_dataframe_and_of_a_series(df: pd.DataFrame, red: Scorer) -> None:
    scores = df.resmem.score("path", scorer=red)
    assert isinstance(scores, pd.Series)
    assert scores.name == "memorability"
    assert scores.dtype == np.float32
    assert scores.tolist() == pytest.approx(EXPECTED)
    assert scores.attrs["resmem"]["provenance"] == red.provenance.id
    pd.testing.assert_series_equal(df["path"].resmem.score(scorer=red), scores)
    pd.testing.assert_series_equal(score_column(df, "path", scorer=red)["memorability"], scores)


@pytest.mark.weights
def test_scores_equal_those_of_scorer_and_score_images(photos: dict[str, Path], scorer: Scorer) -> None:
    import resmem_plugin

    df = pd.DataFrame({"path": [photos[name] for name in ("coffee.png", "rocket.jpg", "coffee.png")]})
    expected = [score.memorability for score in scorer.score(df["path"])]
    assert df.resmem.score("path", device="cpu").tolist() == pytest.approx(expected, abs=1e-6)
    assert df.resmem.score("path", device="cpu", batch_size=1).tolist() == pytest.approx(expected, abs=1e-6)
    assert resmem_plugin.score_images(df["path"], device="cpu") == pytest.approx(expected, abs=1e-6)


def test_assign(df: pd.DataFrame, red: Scorer) -> None:
    scored = df.assign(m=lambda d: d.resmem.score("path", scorer=red))
    assert scored["m"].tolist() == pytest.approx(EXPECTED)
    filtered = df.iloc[[3, 1]].assign(m=lambda d: d.resmem.score("path", scorer=red))
    assert filtered["m"].tolist() == pytest.approx([1.0, 0.2])


def test_errors_coerce_warns_once_at_the_callers_line(df: pd.DataFrame, red: Scorer, tmp_path: Path) -> None:
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


def test_top_and_bottom(df: pd.DataFrame, red: Scorer) -> None:
    df.loc[4] = None
    df.index = list("abcde")
    top = df.resmem.top("path", n=2, scorer=red)
    assert top.index.tolist() == ["d", "c"]
    assert top["memorability"].dtype == np.float32
    assert top["memorability"].tolist() == pytest.approx([1, 0.4])
    assert df.resmem.bottom("path", n=2, scorer=red).index.tolist() == ["a", "b"]
    assert df.resmem.top("path", n=10, scorer=red).index.tolist() == list("dcba")  # rows without a score are left out
    assert list(df.columns) == ["path"]
    assert df["path"].resmem.top(n=1, scorer=red).index.tolist() == ["d"]
    with pytest.raises(ValueError, match="n must be"):
        df.resmem.top("path", n=-1, scorer=red)


def test_ranking_uses_an_existing_score_column(df: pd.DataFrame) -> None:
    df["memorability"] = [0.1, 0.9, np.nan, 0.5]
    Counting.seen = 0
    counting = Scorer(device="cpu", model=Counting())
    assert df.resmem.top("path", n=2, scorer=counting).index.tolist() == [1, 3]
    df["uniqueness"] = [4, 3, 2, 1]
    assert df.resmem.bottom("path", n=1, by="uniqueness", scorer=counting).index.tolist() == [3]
    assert Counting.seen == 0


def test_unknown_options_and_columns_raise(df: pd.DataFrame, red: Scorer) -> None:
    scored = df.assign(memorability=0.5)
    for call in (df.resmem.top, scored.resmem.top, scored.resmem.bottom, scored.resmem.gallery):
        with pytest.raises(TypeError, match=r"no such option: eror.*errors"):
            call("path", eror="coerce")
    with pytest.raises(KeyError, match="no column 'image'"):
        scored.resmem.top("image")
    with pytest.raises(TypeError, match="not numeric"):
        df.resmem.top("path", by="path")
    with pytest.raises(TypeError, match="not a list: 'path'"):
        df.resmem.score(["path"], scorer=red)


def test_provenance_in_attrs_and_gallery(df: pd.DataFrame, red: Scorer) -> None:
    assert df.resmem.top("path", scorer=red).attrs["resmem"]["provenance"] == red.provenance.id
    assert red.provenance.id in df.resmem.gallery("path", scorer=red)._repr_html_()
    assert "provenance" not in df.assign(memorability=0.5).resmem.gallery("path")._repr_html_().partition("</style>")[2]


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


def test_score_options_are_documented_and_typed() -> None:
    from resmem_plugin.pandas.accessor import ResMemAccessor
    from resmem_plugin.pandas.columns import ScoreOptions

    parameters = set(inspect.signature(ResMemAccessor.score).parameters) - {"self", "column", "return_errors"}
    assert parameters == set(ScoreOptions.__annotations__)
    documentation = inspect.getdoc(ResMemAccessor.score) or ""
    assert all(f"{name}: " in documentation for name in parameters)


def test_explain_shows_the_first_images_with_their_maps(red: Scorer, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (40, 40), (80 * number, 0, 0)).save(path)
    frame = pd.DataFrame({"path": [path.name for path in paths]}, index=list("abc"))
    shown = frame.resmem.explain("path", n=2, passes=49, root=tmp_path, scorer=red)
    assert repr(shown).startswith("<Gallery 'What raises and lowers the score: occlusion': 2 of 3 images")
    assert shown.to_html().count("<img") == 2
    series = pd.Series([str(paths[2]), None, "none.jpg"])
    shown = series.resmem.explain(passes=49, errors="coerce", scorer=red)
    assert [card.error is None for card in shown.cards] == [True, False, False]
    with pytest.raises(KeyError, match="no column 'image'"):
        frame.resmem.explain("image")
    with pytest.raises(ValueError, match="n must be an integer"):
        frame.resmem.explain("path", n=-1)
    with pytest.raises(TypeError, match="no such option: bogus"):
        frame.resmem.explain("path", bogus=1)
    with pytest.raises(ScoringError, match="2 of 2 files do not exist"):
        frame.resmem.explain("path", n=2, scorer=red)


def test_select_scores_and_keeps_unlike_images(df: pd.DataFrame, red: Scorer) -> None:
    vectors = [[1.0, 0.0], [0.0, 1.0], [0.1, 1.0], [-1.0, 0.0]]
    found = df.resmem.select("path", n=3, embeddings=vectors, scorer=red)
    assert found.index.tolist() == [3, 2, 0]  # the reddest; of two that are near, the better; the one left
    assert found["near_duplicates"].tolist() == [[], [1], []]
    assert found["memorability"].tolist() == pytest.approx([EXPECTED[row] for row in (3, 2, 0)])
    assert found.attrs["resmem"]["provenance"] == red.provenance.id
    keep = {"near_duplicates": "keep", "ascending": True, "strategy": "top"}
    assert df["path"].resmem.select(n=2, embeddings=vectors, selection=keep, scorer=red).index.tolist() == [0, 1]
    own = df.assign(quality=[0.1, 0.2, 0.3, np.nan])
    assert own.resmem.select("path", n=9, by="quality", embeddings=vectors).index.tolist() == [2, 0]
