"""The report of a scored set of images."""

from __future__ import annotations

import base64
import io
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resmem_plugin import Provenance, Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.curation import Domain, Reference
from resmem_plugin.reports.curation import Report, curation_report
from tests.browser.pages import NASTY


def frame_of(count: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    classes = random.choice(["wood", "street", NASTY[0], NASTY[1]], count)
    scores = np.clip(random.normal(0.75, 0.1, count) + 0.1 * (classes == "street"), 0, 1)
    return pd.DataFrame({"path": [f"{row}.png" for row in range(count)], "memorability": scores, "scene": classes})


@pytest.fixture
def full(tmp_path: Path, red: Scorer) -> tuple[pd.DataFrame, Report]:
    frame = frame_of(200)
    frame["path"] = [str(tmp_path / f"{NASTY[row % 5][:20].replace('/', '')}{row}.png") for row in range(200)]
    for path in frame["path"][:30]:
        Image.new("RGB", (8, 8), "red").save(path)
    frame["error"] = None
    frame.loc[:4, "memorability"] = np.nan
    frame.loc[:2, "error"] = [f"{NASTY[0]}: it ends after {row} bytes" for row in range(3)]
    frame.loc[3, "error"] = "of 12 pixels, 5 too many"
    features = np.random.default_rng(0).normal(size=(200, 16))
    features[10:13] = features[9]
    features[0] = np.nan
    report = curation_report(
        frame,
        images="path",
        errors="error",
        by="scene",
        reference=Reference.of(np.linspace(0.5, 1, 100), NASTY[3], red.provenance),
        kinds=["photograph"] * 180 + ["blank"] * 19 + [None],
        features=features,
        domain=Domain.of(np.random.default_rng(1).normal(size=(100, 16))),
        provenance=red.provenance,
        title=NASTY[0],
    )
    return frame, report


def test_tables_hold_what_pandas_computes(full: tuple[pd.DataFrame, Report]) -> None:
    frame, report = full
    known = frame["memorability"].dropna()
    summary = report.tables["summary"].to_dict("records")[0]
    assert [summary[name] for name in ("images", "scored", "failed", "missing")] == [200, 195, 4, 1]
    expected = known.describe()
    for name, percentile in {"mean": "mean", "std": "std", "quartile_1": "25%", "median": "50%"}.items():
        assert summary[name] == pytest.approx(expected[percentile])
    distribution = report.tables["distribution"]
    assert distribution["images"].sum() == 195
    assert (distribution["from"].iloc[0], distribution["to"].iloc[-1]) == pytest.approx((known.min(), known.max()))
    classes = {row["class"]: row for row in report.tables["classes"].to_dict("records")}
    means = frame.groupby("scene")["memorability"].mean()
    assert {name: row["mean"] for name, row in classes.items()} == pytest.approx(means.to_dict())
    assert classes["street"]["effect"] > 0.6
    assert classes["street"]["p"] < 0.01
    assert report.tables["kinds"].set_index("kind")["images"].to_dict() == {"photograph": 180, "blank": 19}
    assert report.tables["near_duplicates"]["images"].tolist() == [4]
    assert report.tables["failures"][["reason", "images"]].values.tolist() == [
        [NASTY[0].replace("1", "…"), 3],
        ["of … pixels, … too many", 1],
    ]
    shares = report.tables["percentiles"]["percentile"].tolist()
    assert shares == pytest.approx([1, 5, 25, 50, 75, 95, 99], abs=0.6)


def test_the_page_shows_it_and_runs_nothing(full: tuple[pd.DataFrame, Report], tmp_path: Path) -> None:
    _, report = full
    report.save(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "200 images, 195 scored, 4 failed, 1 without a score" in page
    assert "higher than … of these images" in page
    assert page.count("<rect") == len(report.tables["distribution"])
    assert "What a score means" in page
    assert "Most memorable" in page
    assert "blank" in page
    assert "1 group. Nothing was removed" in page
    assert "provenance" in page.lower()
    assert report.tables["provenance"]["value"][0] in page
    assert 'src="http' not in page
    assert "srcdoc=" in report._repr_html_()


def test_cautions_where_blanks_and_copies_lead() -> None:
    frame = frame_of(300)
    order = np.argsort(-frame["memorability"].to_numpy())
    kinds = ["blank" if row in order[:3] else "photograph" for row in range(300)]
    features = np.random.default_rng(0).normal(size=(300, 16))
    features[order[5:9]] = features[order[5]]
    page = curation_report(frame, kinds=kinds, features=features).to_html()
    assert "3 of the 30 most memorable images are blank, noise, flat or text" in page
    assert "3 of the 30 most memorable images are near-duplicates of others" in page
    plain = curation_report(frame, kinds=["photograph"] * 300, features=np.eye(300)).to_html()
    assert "caution" not in plain.partition("</style>")[2]


@pytest.mark.parametrize("scores", [[], [np.nan, np.nan], [0.5], [0.5, 0.5, 0.5], [0.1, np.nan]])
def test_few_scores(scores: list[float]) -> None:
    frame = pd.DataFrame({"memorability": np.array(scores, float), "kind": ["a"] * len(scores)})
    report = curation_report(frame, by="kind")
    assert report.tables["distribution"]["images"].sum() == np.isfinite(scores).sum()
    assert f"{len(scores)} images" in report.to_html()


def test_many_rows_and_many_classes() -> None:
    frame = frame_of(100_000)
    frame["scene"] = np.random.default_rng(0).zipf(1.3, 100_000).astype(str)
    start_s = time.monotonic()
    page = curation_report(frame, by="scene").to_html()
    print(f"a report of 100,000 rows: {time.monotonic() - start_s:.1f} s, {len(page) / 1e3:.0f} kB")
    assert len(page) < 100_000
    assert "smaller classes are not shown" in page


def test_unusable_arguments_are_errors(red: Scorer) -> None:
    frame = frame_of(30)
    provenance = Provenance(
        weights="a", preprocessing="1", engine="x", precision="fp32", decode="exact", exif_transpose=False,
        package_version="0",
    )  # fmt: skip
    with pytest.raises(OptionError, match="no one column 'none'"):
        curation_report(frame, by="none")
    with pytest.raises(OptionError, match="is not numeric"):
        curation_report(frame, "path")
    with pytest.raises(OptionError, match="kinds must be as many as the rows, 30, not 1"):
        curation_report(frame, kinds=["blank"])
    with pytest.raises(OptionError, match="a row for each of the 30 images, not 2"):
        curation_report(frame, features=np.eye(2))
    with pytest.raises(OptionError, match="do not compare with the reference"):
        curation_report(frame, reference=Reference.of([0.1, 0.2], "r", red.provenance), provenance=provenance)


def test_scores_that_are_nearly_equal_make_a_histogram() -> None:
    scores = np.append(0.7 + 1e-10 * np.random.default_rng(0).random(9990), np.linspace(0.4, 0.9, 10))
    report = curation_report(pd.DataFrame({"memorability": scores}))
    assert report.tables["distribution"]["images"].sum() == 10_000
    assert len(report.tables["distribution"]) <= 50


def test_what_has_no_score_leads_nothing() -> None:
    scores = [0.9, 0.8, 0.7, *[np.nan] * 997]
    page = curation_report(
        pd.DataFrame({"memorability": scores}), kinds=["photograph"] * 3 + ["blank"] * 997, features=np.eye(1000)
    ).to_html()
    assert "caution" not in page.partition("</style>")[2]


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    frame = pd.DataFrame({"memorability": [np.nan, 0.5], "error": ["no such file", None]})
    frame["path"] = pd.Series(["/none/\udcff.png", "/none/b.png"], dtype=object)
    report = curation_report(frame, images="path", errors="error", features=np.ones((2, 3)))
    report.save(tmp_path / "r.html")
    assert "no such file" in (tmp_path / "r.html").read_text()


def test_images_in_base64() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 30), "red").save(buffer, "PNG")
    frame = pd.DataFrame({"memorability": [0.5], "path": [base64.b64encode(buffer.getvalue()).decode()]})
    assert curation_report(frame, images="path", base64=True).to_html().count("data:image/jpeg") == 2
