"""Ray Data over the same core, with a real Ray on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import ray
import ray.data
from PIL import Image

from resmem_plugin import Scorer, ScorerOptions
from resmem_plugin.core.errors import OptionError
from resmem_plugin.distributed.ray import score_dataset
from tests.conftest import flat
from tests.distributed.processes import kill_a_worker
from tests.models import Red

pytestmark = [pytest.mark.usefixtures("cluster")]


def by_id(ds: Any) -> pd.DataFrame:
    frame: pd.DataFrame = ds.to_pandas()
    return frame.sort_values("id").reset_index(drop=True)


@pytest.mark.weights
def test_ray_gives_the_rows_scores_and_reasons_of_pandas(frame: pd.DataFrame, expected: pd.DataFrame) -> None:
    ds = ray.data.from_pandas(frame).repartition(2)
    scored = by_id(score_dataset(ds, options=ScorerOptions(device="cpu"), batch_size=100))
    assert scored["path"].tolist() == expected["path"].tolist()
    np.testing.assert_allclose(scored["memorability"], expected["memorability"], atol=1e-6)
    assert scored["error"].fillna("").tolist() == expected["error"].fillna("").tolist()
    assert scored["provenance"].nunique() == 1


def test_nothing_is_scored_before_the_result_is_consumed(red: Scorer) -> None:
    scored = score_dataset(ray.data.from_items([{"path": "missing.png"}]), options=red)
    assert scored.take_all()[0]["error"].startswith("no such file")


def test_images_that_ray_has_read_are_scored_with_their_paths(red: Scorer, tmp_path: Path) -> None:
    for name, value, size in (("a.png", 51, (4, 4)), ("b.png", 102, (6, 4))):
        Image.fromarray(flat(value)).resize(size).save(tmp_path / name)
    ds = ray.data.read_images(str(tmp_path), include_paths=True)
    scored = score_dataset(ds, "image", options=red).to_pandas().sort_values("path")
    assert [Path(path).name for path in scored["path"]] == ["a.png", "b.png"]
    np.testing.assert_allclose(scored["memorability"], [0.2, 0.4], atol=1e-6)


def test_parquet_of_structs_and_relative_paths(red: Scorer, tmp_path: Path) -> None:
    Image.fromarray(flat(51)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    structs = [{"bytes": content, "path": None}, {"bytes": None, "path": "a.png"}, None]
    pd.DataFrame({"image": structs, "id": [0, 1, 2]}).to_parquet(tmp_path / "t.parquet")
    ds = ray.data.read_parquet(str(tmp_path / "t.parquet"))
    scored = by_id(score_dataset(ds, "image", options=red, root=tmp_path))
    np.testing.assert_allclose(scored["memorability"], [0.2, 0.2, np.nan], atol=1e-6)


@pytest.mark.parametrize(
    ("items", "name"), [({"file": "a"}, "no column 'path'"), ({"path": "a", "error": "x"}, "error")]
)
def test_columns_that_do_not_fit_are_refused_before_anything_runs(items: Any, name: str, red: Scorer) -> None:
    with pytest.raises(OptionError, match=name):
        score_dataset(ray.data.from_pandas(pd.DataFrame([items])), options=red)


def test_a_worker_that_is_killed_loses_and_repeats_no_row(tmp_path: Path) -> None:
    Image.fromarray(flat(51)).save(tmp_path / "a.png")
    scorer = Scorer(device="cpu", model=Red(), batch_size=4)
    rows = [{"path": str(tmp_path / ("a.png" if row % 7 else "none.png")), "id": row} for row in range(4000)]
    ds = score_dataset(ray.data.from_items(rows, override_num_blocks=40), options=scorer, concurrency=2, batch_size=50)
    ids: list[int] = []
    failed = killed = 0
    for batch in ds.iter_batches(batch_size=200, batch_format="pandas"):
        ids += batch["id"].tolist()
        failed += int(batch["memorability"].isna().sum())
        if killed < 3:
            killed += kill_a_worker("ray data")
    assert killed
    assert sorted(ids) == list(range(4000))
    assert failed == len(range(0, 4000, 7))


class OutOfMemoryOnce(Red):
    """The first process that loads it runs out of memory. (One that is killed Ray replaces without our doing.)"""

    def __init__(self, marker: Path) -> None:
        super().__init__()
        self.marker, self.driver = str(marker), os.getpid()

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if os.getpid() != self.driver and os.path.exists(self.marker):
            os.unlink(self.marker)
            raise MemoryError


def test_a_worker_that_runs_out_of_memory_while_loading_is_replaced(tmp_path: Path) -> None:
    Image.fromarray(flat(51)).save(tmp_path / "a.png")
    marker = tmp_path / "marker"
    marker.touch()
    scorer = Scorer(device="cpu", model=OutOfMemoryOnce(marker))
    before = ray.data.DataContext.get_current().max_consecutive_actor_init_deaths
    ds = ray.data.from_items([{"path": str(tmp_path / "a.png"), "id": row} for row in range(10)])
    scored = score_dataset(ds, options=scorer, concurrency=2).to_pandas()
    assert not marker.exists()
    assert scored["memorability"].tolist() == pytest.approx([0.2] * 10)
    assert ray.data.DataContext.get_current().max_consecutive_actor_init_deaths == before
