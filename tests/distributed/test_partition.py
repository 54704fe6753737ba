"""One batch of rows in a worker: every kind of batch, the same rows with results, one network per process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image

from resmem_plugin import Scorer, ScorerOptions
from resmem_plugin.core.errors import OptionError
from resmem_plugin.distributed import partition
from resmem_plugin.distributed.partition import PartitionScorer, score_partition, share_cores
from tests.conftest import flat
from tests.models import Counting, Red

SCORES = [0.2, None, 0.4]


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Two images, and a missing one between them."""
    for name, value in (("a.png", 51), ("c.png", 102)):
        Image.fromarray(flat(value)).save(tmp_path / name)
    return [str(tmp_path / name) for name in ("a.png", "b.png", "c.png")]


def check(memorability: Any, error: Any) -> None:
    assert [None if value is None or np.isnan(value) else round(float(value), 6) for value in memorability] == SCORES
    assert [value is None for value in error] == [True, False, True]
    assert error[1].startswith("no such file")


def test_arrow_tables_keep_their_rows_and_types(red: Scorer, paths: list[str]) -> None:
    table = pa.table({"path": paths, "id": pa.array([1, None, 3], pa.int64())})
    scored = PartitionScorer(red)(table)
    assert scored.column_names == ["path", "id", "memorability", "error", "provenance"]
    assert scored.select(["path", "id"]).equals(table)
    assert scored.schema.field("memorability").type == pa.float32()
    assert scored["memorability"].null_count == 1
    check(scored["memorability"].to_pylist(), scored["error"].to_pylist())
    assert scored["provenance"].to_pylist() == [red.provenance.id] * 3


def test_frames_keep_their_index(red: Scorer, paths: list[str]) -> None:
    frame = pd.DataFrame({"path": paths, "id": [1, 2, 3]}, index=[5, 5, 2])
    scored = PartitionScorer(red)(frame)
    pd.testing.assert_frame_equal(scored[["path", "id"]], frame)
    assert scored["memorability"].dtype == np.float32
    check(list(scored["memorability"]), list(scored["error"]))
    assert "memorability" not in frame


def test_dicts_of_columns_may_hold_pixels_and_bytes(red: Scorer, paths: list[str]) -> None:
    pixels = PartitionScorer(red, "image")({"image": np.stack([flat(51), flat(102)]), "id": np.arange(2)})
    np.testing.assert_allclose(pixels["memorability"], [0.2, 0.4], atol=1e-6)
    content = [Path(paths[0]).read_bytes(), b"no image", Path(paths[2]).read_bytes()]
    scored = PartitionScorer(red, "image")({"image": content})
    assert [error is None for error in scored["error"]] == [True, False, True]


@pytest.mark.parametrize(
    "empty", [pa.table({"path": pa.array([], pa.string())}), pd.DataFrame({"path": []}), {"path": []}], ids=type
)
def test_a_batch_without_rows_has_the_columns_of_one_with_rows(empty: Any, red: Scorer, paths: list[str]) -> None:
    scored = PartitionScorer(red)(empty)
    assert set(scored.column_names if isinstance(scored, pa.Table) else scored) == {
        "path",
        "memorability",
        "error",
        "provenance",
    }
    if isinstance(scored, pa.Table):
        assert scored.schema == PartitionScorer(red)(pa.table({"path": paths})).schema


def test_what_is_in_a_batch_several_times_is_scored_once(paths: list[str]) -> None:
    scorer = Scorer(device="cpu", model=Counting())
    before = Counting.seen
    content = Path(paths[2]).read_bytes()
    images = [paths[0], content, flat(102), None, paths[0], content, None]
    scored = PartitionScorer(scorer)({"path": images})
    np.testing.assert_allclose(scored["memorability"], [0.2, 0.4, 0.4, np.nan, 0.2, 0.4, np.nan], atol=1e-6)
    assert Counting.seen - before == 3


def test_relative_paths_start_at_the_root_and_empty_ones_are_missing(red: Scorer, paths: list[str]) -> None:
    scored = PartitionScorer(red, root=Path(paths[0]).parent)({"path": ["a.png", "", None, paths[2], Path("c.png")]})
    assert list(np.isnan(scored["memorability"])) == [False, True, True, False, False]
    assert str(Path(paths[0]).parent) not in str(scored["error"][1])


def test_base64_is_not_joined_to_the_root(tmp_path: Path) -> None:
    from base64 import b64encode
    from io import BytesIO

    file = BytesIO()
    Image.fromarray(flat(51)).save(file, "png")
    scorer = Scorer(device="cpu", model=Red(), base64=True)
    scored = PartitionScorer(scorer, root=tmp_path)({"path": [b64encode(file.getvalue()).decode()]})
    np.testing.assert_allclose(scored["memorability"], [0.2], atol=1e-6)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"file": ["a.png"]}, r"no column 'path': choose one of \['file'\]"),
        ({"path": ["a.png"], "error": ["x"]}, "the table has a column 'error' already: rename it"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns: dict[str, list[str]], message: str, red: Scorer) -> None:
    for batch in (columns, pa.table(columns), pd.DataFrame(columns)):
        with pytest.raises(OptionError, match=message):
            PartitionScorer(red)(batch)


def test_int8_needs_a_calibration_that_all_workers_share() -> None:
    with pytest.raises(OptionError, match="each worker would take others: name them"):
        PartitionScorer(ScorerOptions(precision="int8"))


def test_a_column_name_of_two_columns_is_refused(red: Scorer, paths: list[str]) -> None:
    frame = pd.DataFrame([[paths[0], paths[2]]], columns=["path", "path"])
    for batch in (frame, pa.Table.from_arrays([pa.array(paths)] * 2, names=["path", "path"])):
        with pytest.raises(OptionError, match="several columns are named 'path'"):
            PartitionScorer(red)(batch)


@pytest.mark.parametrize("package", ["ray", "dask"])
def test_an_absent_package_names_its_extra(package: str) -> None:
    code = f"import sys; sys.modules['{package}'] = None; import resmem_plugin.distributed.{package}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert f'is not installed: pip install "resmem-plugin[{package}]"' in run.stderr


@pytest.mark.weights
def test_a_process_loads_the_network_once_whatever_is_pickled(photos: dict[str, Path]) -> None:
    """Dask pickles a scorer for each task, and runs tasks in threads."""
    partition._scorer.cache_clear()
    task = pickle.dumps(PartitionScorer(ScorerOptions(device="cpu")))
    batch = {"path": [str(photos["coffee.png"])]}
    scored: list[Any] = []
    threads = [threading.Thread(target=lambda: scored.append(pickle.loads(task)(batch))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [float(result["memorability"][0]) for result in scored] == pytest.approx([0.8823078] * 4, abs=1e-5)
    assert partition._scorer.cache_info().misses == 1
    assert [score.ok for score in score_partition(batch["path"], ScorerOptions(device="cpu"))] == [True]
    assert partition._scorer.cache_info().misses == 1


def test_the_workers_of_a_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "available_cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    for workers, threads in ((1, 8), (3, 2), (9, 1)):
        share_cores(workers)
        assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"]) == threads
    torch.set_num_threads(before)
