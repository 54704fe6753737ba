"""`compute_percentiles` and its operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.curation import Reference, percentiles
from resmem_plugin.fiftyone import compute_memorability, compute_percentiles
from resmem_plugin.fiftyone.app.delete import DeleteMemorability
from tests.fiftyone.app.operator_driver import resolve_form
from tests.fiftyone.conftest import add_images

URI = "@resmem/memorability/memorability_percentiles"


@pytest.fixture
def scored(dataset: Any, reds: list[str], red: Scorer) -> Any:
    add_images(dataset, [*reds, "/none.png"])
    compute_memorability(dataset, scorer=red)
    return dataset


def test_percentiles_and_bins_of_a_dataset(scored: Any) -> None:
    assert compute_percentiles(scored, bins=4) == ["memorability_percentile", "memorability_bin"]
    scores, found, labels = scored.values(["memorability", "memorability_percentile", "memorability_bin.label"])
    expected = percentiles([float("nan") if score is None else score for score in scores])
    assert found[:-1] == pytest.approx(expected[:-1].tolist())
    assert found[-1] is labels[-1] is None
    names = ["00 to 25 %", "25 to 50 %", "50 to 75 %", "75 to 100 %"]
    assert labels[:-1] == [names[min(3, int(value // 25))] for value in found[:-1]]
    assert "memorability_percentile" in scored.list_indexes()
    assert "11 samples" not in scored.get_field("memorability_percentile").description
    assert f"{len(scores) - 1} samples" in scored.get_field("memorability_percentile").description
    compute_percentiles(scored.limit(2), bins=2)  # of a view: among its samples; those of others are cleared
    again = scored.values("memorability_percentile")
    assert sorted(again[:2]) == [25, 75]
    assert set(again[2:]) == {None}


def test_against_a_reference(scored: Any, red: Scorer, tmp_path: Path) -> None:
    reference = Reference.of([0.0, 0.2, 0.4, 1.0], "four", red.provenance)
    reference.save(tmp_path / "r.json")
    compute_percentiles(scored, reference=tmp_path / "r.json")
    scores, found = scored.exists("memorability").values(["memorability", "memorability_percentile"])
    assert found == pytest.approx(reference.percentile(scores).tolist())
    other = Reference.of([0.1, 0.2], "other", Scorer(model=lambda x: x[:, 0].mean(dim=(1, 2)), device="cpu").provenance)
    with pytest.raises(OptionError, match="do not compare with the reference 'other'"):
        compute_percentiles(scored, reference=other)


def test_percentiles_are_deleted_with_the_scores(scored: Any) -> None:
    scored.add_sample_field("other_percentile", fo.FloatField)
    compute_percentiles(scored)
    deleted = DeleteMemorability()(scored, "memorability")
    assert deleted[-2:] == ["field memorability_percentile", "field memorability_bin"]
    assert scored.has_field("other_percentile")
    assert not any("memorability" in index for index in scored.list_indexes())


def test_fields_of_others_are_not_overwritten(scored: Any) -> None:
    scored.set_values("memorability_bin", ["mine"] * len(scored))
    with pytest.raises(OptionError, match="already has a field 'memorability_bin' that holds something else"):
        compute_percentiles(scored)
    assert not scored.has_field("memorability_percentile")
    DeleteMemorability()(scored, "memorability")
    assert scored.values("memorability_bin") == ["mine"] * len(scored)


@pytest.mark.parametrize("bins", [1, 101, 2.5, True])
def test_unusable_bins_are_errors(scored: Any, bins: int) -> None:
    with pytest.raises(OptionError, match="from 2 to 100"):
        compute_percentiles(scored, bins=bins)


def test_patches_are_an_error(dataset: Any, reds: list[str], upright_red: Scorer) -> None:
    box = fo.Detection(label="thing", bounding_box=[0, 0, 1, 1])
    add_images(dataset, reds[:1], gt=fo.Detections(detections=[box]))
    compute_memorability(dataset, patches_field="gt", scorer=upright_red)
    with pytest.raises(OptionError, match="percentiles are of samples"):
        compute_percentiles(dataset.to_patches("gt"))


def test_the_operator(scored: Any, tmp_path: Path, red: Scorer) -> None:
    Reference.of([0.0, 0.5, 1.0], "three *bold*", red.provenance).save(tmp_path / "r.json")
    path = str(tmp_path / "r.json")
    form = resolve_form("memorability_percentiles", scored, reference=path)
    assert "three \\*bold\\*: 3 images" in form["found"]["view"]["label"]
    assert resolve_form("memorability_percentiles", scored, reference="/none.json")["reference"]["invalid"]
    result = foo.execute_operator(URI, {"dataset": scored}, params={"reference": path, "bins": 5})
    assert result.result == {"fields": ["memorability_percentile", "memorability_bin"]}
    assert scored.count("memorability_percentile") == scored.count("memorability")


def test_the_form_of_a_dataset_without_scores(dataset: Any, reds: list[str]) -> None:
    add_images(dataset, reds)
    assert "Compute memorability first" in str(resolve_form("memorability_percentiles", dataset))


def test_read_only_fields_and_info_of_others(scored: Any) -> None:
    compute_percentiles(scored)
    found = scored.get_field("memorability_bin")
    found.info, found.read_only = {**found.info, "mine": 1}, True
    found.save()
    before = scored.values("memorability_percentile")
    with pytest.raises(OptionError, match="'memorability_bin' is read-only"):
        compute_percentiles(scored, bins=2)
    assert scored.values("memorability_percentile") == before
    found.read_only = False
    found.save()
    compute_percentiles(scored, bins=3)
    assert scored.get_field("memorability_bin").info["mine"] == 1
    labels = sorted(set(filter(None, scored.values("memorability_bin.label"))))
    assert labels == ["00.00 to 33.33 %", "33.33 to 66.67 %", "66.67 to 100.00 %"]
