from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import percentileofscore

from resmem_plugin import Provenance, Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.curation import Reference, build_reference, percentiles
from tests.conftest import flat


@pytest.fixture
def provenance() -> Provenance:
    return Provenance(
        weights="0" * 64,
        preprocessing="1",
        engine="pytorch",
        precision="fp32",
        decode="exact",
        exif_transpose=False,
        package_version="0",
    )


def test_percentiles_are_scipys_mean_ranks() -> None:
    random = np.random.default_rng(0)
    scores, among = random.random(50).round(1), random.random(30).round(1)
    assert percentiles(scores, among) == pytest.approx(percentileofscore(among, scores, "mean"))
    assert percentiles(scores) == pytest.approx(percentileofscore(scores, scores, "mean"))
    assert percentiles(scores).mean() == pytest.approx(50)


def test_missing_scores_have_no_percentile() -> None:
    assert np.isnan(percentiles([np.nan, np.nan])).all()
    assert percentiles([]).tolist() == []
    found = percentiles([0.1, np.nan, 0.3])
    assert found[[0, 2]].tolist() == [25, 75]
    with pytest.raises(OptionError, match="no scores to compare with"):
        percentiles([0.1], [np.nan])


def test_a_reference_comes_back_from_its_file(tmp_path: Path, provenance: Provenance) -> None:
    reference = Reference.of([0.9, 0.5, np.nan, 0.7], "ein Bild, été", provenance)
    reference.save(tmp_path / "a.json")
    found = Reference.load(tmp_path / "a.json")
    assert (found.name, found.count, found.provenance) == ("ein Bild, été", 3, provenance)
    assert found.scores == pytest.approx([0.5, 0.7, 0.9])
    assert found.percentile([0.7, 0.71, np.nan]) == pytest.approx([50, 200 / 3, np.nan], nan_ok=True)


def test_a_large_reference_keeps_quantiles(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random(200_000)
    reference = Reference.of(scores, "many")
    reference.save(tmp_path / "many.json")
    assert (tmp_path / "many.json").stat().st_size < 200_000
    found = Reference.load(tmp_path / "many.json")
    assert found.count == 200_000
    assert found.percentile(scores[:1000]) == pytest.approx(percentiles(scores[:1000], scores), abs=0.011)


def test_scores_of_another_provenance_do_not_compare(provenance: Provenance) -> None:
    reference = Reference.of([0.5, 0.7], "two", provenance)
    assert reference.percentile([0.6], provenance.to_record()).tolist() == [50]
    assert reference.percentile([0.6], replace(provenance, engine="openvino")).tolist() == [50]  # as exact
    with pytest.raises(OptionError, match=r"reference 'two': decode fast instead of exact\. Build a reference"):
        reference.percentile([0.6], replace(provenance, decode="fast"))


@pytest.mark.parametrize("scores", [[], [0.5], [0.5, np.nan], [0.5, 1.5], [-0.1, 0.5]])
def test_too_few_or_impossible_scores_are_errors(scores: list[float]) -> None:
    with pytest.raises(OptionError, match="scores"):
        Reference.of(scores, "few")


@pytest.mark.parametrize("name", ["", "  ", None])
def test_a_reference_needs_a_name(name: str) -> None:
    with pytest.raises(OptionError, match="needs a name"):
        Reference.of([0.5, 0.6], name)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        json.dumps({"format": "resmem-reference", "version": 2}),
        json.dumps({"format": "resmem-reference", "version": 1, "name": "x", "scores": [0.5, 0.6]}),
        json.dumps(
            {"format": "resmem-reference", "version": 1, "name": "x", "scores": [0.5, "a"], "count": 2, "provenance": 0}
        ),
        '{"format": "resmem-reference", "version": 1, "name": "x", "scores": [0.5, 0.6, NaN], "count": 3, '
        '"provenance": null}',
    ],
)
def test_other_files_are_errors(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(OptionError, match=r"a\.json is no reference: make one with `resmem reference build`"):
        Reference.load(tmp_path / "a.json")


def test_missing_and_binary_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be read: No such file"):
        Reference.load(tmp_path / "none.json")
    (tmp_path / "a.json").write_bytes(b"\x89PNG\xff")
    with pytest.raises(OptionError, match="is no reference"):
        Reference.load(tmp_path / "a.json")


def test_images_are_scored_and_failures_counted(red: Scorer) -> None:
    reference, failed = build_reference([flat(51), flat(102), b"no image", None], "two", scorer=red)
    assert failed == 2
    assert reference.scores == pytest.approx([0.2, 0.4])
    assert reference.provenance == red.provenance


def test_names_of_any_bytes_and_text_for_scores(tmp_path: Path) -> None:
    Reference.of([0.5, 0.6], "photos-\udcff").save(tmp_path / "a.json")
    assert Reference.load(tmp_path / "a.json").name == "photos-\\udcff"
    with pytest.raises(OptionError, match="scores must be numbers"):
        Reference.of(["a", "b"], "text")
    with pytest.raises(OptionError, match="scores must be numbers"):
        percentiles(["a"])
