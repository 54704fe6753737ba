"""The operator `select_by_memorability`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.executor import ExecutionError

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone import compute_memorability
from resmem_plugin.fiftyone.dataset.diverse import embedding_sources
from tests.fiftyone.app.operator_driver import PLUGIN, get_operator, resolve_form


def test_select_as_view_saved_view_and_tag(ten: Any, stand_in: Scorer) -> None:
    compute_memorability(ten, scorer=stand_in)
    operator = get_operator("select_by_memorability")
    paths = ten.values("filepath")
    assert operator(ten, count=3).values("filepath") == paths[:-4:-1]
    operator(ten, which="bottom", percent=20, tag="dull")
    assert ten.match_tags("dull").values("filepath") == paths[:2]
    operator(ten, count=1, class_field="kind", saved_view="best of each")
    assert ten.load_saved_view("best of each").values("filepath") == paths[:-3:-1]
    uri = f"{PLUGIN}/select_by_memorability"
    params = {"amount": "range", "low": 0.4, "high": 0.6, "result": "tag", "name": "middling"}
    assert foo.execute_operator(uri, {"dataset": ten}, params=params).result["selected"] == 3
    assert len(ten.match_tags("middling")) == 3
    with pytest.raises(ExecutionError, match="there is a saved view"):
        foo.execute_operator(uri, {"dataset": ten}, params={"result": "saved_view", "name": "best of each"})


def test_form_counts_the_selection(ten: Any, stand_in: Scorer) -> None:
    compute_memorability(ten, scorer=stand_in)
    assert resolve_form("select_by_memorability", ten, count=3)["plan"]["view"]["label"] == "3 of 10 samples"
    saved = {"result": "saved_view", "name": "best", "amount": "percent"}
    assert "The view keeps this number" in resolve_form("select_by_memorability", ten, **saved)["plan"]["view"]["label"]
    form = resolve_form("select_by_memorability", ten, amount="range", low=0.9, high=0.1)
    assert "the range is empty" in form["blocked"]["view"]["description"]
    assert resolve_form("select_by_memorability", ten, result="tag")["name"]["invalid"]


def test_ticked_samples_are_selected_from(ten: Any, stand_in: Scorer) -> None:
    compute_memorability(ten, scorer=stand_in)
    ticked = ten.values("id")[:4]
    params = {"count": 2, "view_target": "SELECTED_SAMPLES"}
    context = {"dataset": ten, "selected": ticked}
    result = foo.execute_operator(f"{PLUGIN}/select_by_memorability", context, params=params).result
    assert result["selected"] == 2
    assert str(ticked) in str(result["view"]).replace('"', "'")


def test_tags_of_patches_are_persistent(dataset: Any, reds: list[str]) -> None:
    boxes = [fo.Detection(label="a", bounding_box=[0, 0, 1, 1], memorability=score) for score in (0.5, 0.7)]
    dataset.add_sample(fo.Sample(filepath=reds[0], gt=fo.Detections(detections=boxes)))
    dataset.add_dynamic_sample_fields()
    get_operator("select_by_memorability")(dataset.to_patches("gt"), count=1, tag="best")
    assert dataset.values("gt.detections.tags") == [[[], ["best"]]]


@pytest.mark.parametrize("name", ["A-b", "!!!"])
def test_invalid_saved_view_names_are_rejected(ten: Any, stand_in: Scorer, name: str) -> None:
    compute_memorability(ten, scorer=stand_in)
    ten.save_view("a b", ten.limit(1))
    assert resolve_form("select_by_memorability", ten, result="saved_view", name=name)["name"]["invalid"]
    with pytest.raises(OptionError, match="choose another name"):
        get_operator("select_by_memorability")(ten, saved_view=name)


@pytest.fixture
def clusters(ten: Any, stand_in: Scorer) -> Any:
    """Ten scored samples in three clusters of embeddings: 0 to 3, 4 to 6, 7 to 9; the last is the most memorable."""
    compute_memorability(ten, scorer=stand_in)
    centres = np.eye(3)[[0, 0, 0, 0, 1, 1, 1, 2, 2, 2]]
    ten.set_values("vector", list(centres + 0.01 * np.arange(10)[:, None]))
    return ten


def test_diverse_samples_are_the_best_of_each_cluster(clusters: Any) -> None:
    operator, ids = get_operator("select_by_memorability"), clusters.values("id")
    found = operator(clusters, count=5, diversity=0.5, embeddings="vector", tag="picked")
    assert found.values("id") == [ids[9], ids[6], ids[3]]
    assert len(clusters.match_tags("picked")) == 3
    bottom = operator(clusters, count=2, diversity=0.5, which="bottom", embeddings="vector", away_from_tag="picked")
    assert len(bottom) == 0  # all are near to one of them
    clusters.untag_samples("picked")
    clusters.select([ids[9]]).tag_samples("picked")
    bottom = operator(clusters, count=2, diversity=0.5, which="bottom", embeddings="vector", away_from_tag="picked")
    assert bottom.values("id") == [ids[0], ids[4]]


def test_diverse_samples_of_each_class(clusters: Any) -> None:
    found = get_operator("select_by_memorability")(
        clusters, count=2, diversity=1, embeddings="vector", class_field="kind"
    )
    assert sorted(found.values("kind.label")) == ["a", "a", "b", "b"]


def test_embeddings_of_a_similarity_index(clusters: Any) -> None:
    import fiftyone.brain as fob

    fob.compute_similarity(
        clusters, embeddings=np.array(clusters.values("vector")), brain_key="like", backend="sklearn"
    )
    assert embedding_sources(clusters) == ["vector", "like"]
    operator = get_operator("select_by_memorability")
    by_field, by_index = (operator(clusters, count=5, diversity=0.5, embeddings=name) for name in ("vector", "like"))
    assert by_field.values("id") == by_index.values("id")


def test_paths_are_written_to_a_new_file(clusters: Any, tmp_path: Path) -> None:
    operator = get_operator("select_by_memorability")
    view = operator(clusters, count=3, paths=tmp_path / "best.txt")
    assert (tmp_path / "best.txt").read_text().splitlines() == view.values("filepath")
    with pytest.raises(OptionError, match=r"best\.txt exists: name another file"):
        operator(clusters, count=3, paths=tmp_path / "best.txt")
    for name, problem in {"best.txt": "exists", "none/a.txt": "there is no folder", "a.png": "ends in .txt"}.items():
        form = resolve_form("select_by_memorability", clusters, result="paths", name=str(tmp_path / name))
        assert problem in form["name"]["error_message"]
    uri = f"{PLUGIN}/select_by_memorability"
    params = {
        "count": 2,
        "diversity": 0.5,
        "embeddings": "vector",
        "result": "paths",
        "name": str(tmp_path / "two.txt"),
    }
    foo.execute_operator(uri, {"dataset": clusters}, params=params)
    assert len((tmp_path / "two.txt").read_text().splitlines()) == 2


def test_the_form_asks_for_embeddings_and_tags(clusters: Any) -> None:
    clusters.limit(1).tag_samples("seen")
    plain = resolve_form("select_by_memorability", clusters)
    assert "embeddings" not in plain
    form = resolve_form("select_by_memorability", clusters, diversity=0.5)
    assert form["embeddings"]["type"]["values"][0] == "vector"
    assert form["away_from_tag"]["type"]["values"] == ["(no tag)", "seen"]
    assert form["plan"]["view"]["label"].startswith("At most 10 of 10 samples. Near-duplicates")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"percent": 5}, "diversity needs count"),
        ({"count": 5, "low": 0.1}, "diversity needs count"),
        ({"count": 5, "embeddings": "kind"}, "neither a field of embeddings nor a similarity index"),
        ({"count": 5, "embeddings": "vector", "class_field": "none"}, "not a class field"),
        ({"count": 0, "embeddings": "vector"}, "at least 1"),
        ({"count": 5, "embeddings": "vector", "which": "best"}, "which must be"),
        ({"count": 5, "embeddings": "vector", "diversity": 2}, "strength must be"),
    ],
)
def test_unusable_diversity_is_an_error(clusters: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        get_operator("select_by_memorability")(clusters, **{"diversity": 0.5, **options})


def test_patches_need_embeddings(dataset: Any, reds: list[str]) -> None:
    box = fo.Detection(label="a", bounding_box=[0, 0, 1, 1], memorability=0.5)
    dataset.add_sample(fo.Sample(filepath=reds[0], gt=fo.Detections(detections=[box])))
    dataset.add_dynamic_sample_fields()
    with pytest.raises(OptionError, match="need a field of embeddings"):
        get_operator("select_by_memorability")(dataset.to_patches("gt"), count=1, diversity=0.5)


def test_classes_without_a_name_and_options_without_diversity(clusters: Any) -> None:
    labels = [fo.Detection(label=name, bounding_box=[0, 0, 1, 1]) for name in ("cat", None)]
    first = clusters.first()
    first["gt"] = fo.Detections(detections=labels)
    first.save()
    operator = get_operator("select_by_memorability")
    found = operator(clusters, count=3, diversity=0.5, embeddings="vector", class_field="gt")
    assert found.values("id") == [first.id]
    for name in ("embeddings", "away_from_tag"):
        with pytest.raises(OptionError, match="are for diversity"):
            operator(clusters, count=3, **{name: "vector"})
