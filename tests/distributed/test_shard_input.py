"""An input in shards that are named by their content."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from resmem_plugin.core.errors import OptionError
from resmem_plugin.distributed.shard_input import Shard, read_shards
from resmem_plugin.jobs.tables import read_table


def shards_of(path: Path, rows: int = 3, root: str | None = None, **options: Any) -> list[Shard]:
    given = {"recursive": False, "null": False, **options}
    return list(read_shards([str(path)], rows, path_column="path", root=root, **given))


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"path": [f"{row}.jpg" for row in range(7)], "id": range(7)})


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "folder", "list.txt"])
def test_every_row_is_in_one_shard_in_order(frame: pd.DataFrame, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        frame[:4].to_parquet(path / "0.parquet")
        frame[4:].to_parquet(path / "1.parquet")
    elif name == "list.txt":
        path.write_text("\n".join(frame["path"]))
    elif name == "t.csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    shards = shards_of(path)
    assert [len(shard.table) for shard in shards] == ([3, 1, 3] if name == "folder" else [3, 3, 1])
    assert [image for shard in shards for image in shard.images] == [f"{os.getcwd()}/{row}.jpg" for row in range(7)]
    assert [cell for shard in shards for cell in shard.table["path"].to_pylist()] == frame["path"].tolist()


@pytest.mark.parametrize(
    "index",
    [
        [3, 1, 2],
        pd.Index([3, 1, 2], name="n"),
        pd.RangeIndex(3, 9, 2),
        pd.RangeIndex(3, 9, 2, name="n"),
        pd.MultiIndex.from_arrays([[3, 1, 2], list("abc")], names=["n", None]),
    ],
)
@pytest.mark.parametrize("name", ["path", "index"])
def test_an_index_that_pandas_stored_is_the_columns_that_a_plain_run_makes_of_it(
    index: Any, name: str, tmp_path: Path
) -> None:
    frame = pd.DataFrame({name: list("xyz"), "path": list("abc")}, index)
    frame.to_parquet(tmp_path / "t.parquet")
    expected = read_table(tmp_path / "t.parquet")
    tables = [shard.table for shard in shards_of(tmp_path / "t.parquet", 2)]
    found = pa.concat_tables(tables)
    assert found.column_names == expected.names
    assert [column.to_pylist() for column in found.columns] == [list(column) for column in expected.columns]


def test_the_total_is_known_before_a_shard_is_read(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    for name in ("t.parquet", "t.csv"):
        found = read_shards([str(tmp_path / name)], 3, path_column="path", root=None, recursive=False, null=False)
        assert found.total == len(frame)


def test_a_shards_name_is_that_of_its_rows_and_images(frame: pd.DataFrame, tmp_path: Path) -> None:
    def names(table: pd.DataFrame, root: str | None = None) -> list[str]:
        table.to_parquet(tmp_path / "t.parquet")
        return [shard.name for shard in shards_of(tmp_path / "t.parquet", root=root)]

    before = names(frame)
    assert names(frame) == before
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=2, compression="gzip")
    assert [shard.name for shard in shards_of(tmp_path / "t.parquet")] == before
    assert names(pd.concat([frame, frame[:1]], ignore_index=True))[:2] == before[:2]
    for changed in (frame.assign(id=frame["id"] + (frame["id"] == 6)), frame.replace("6.jpg", "7.jpg")):
        assert names(changed)[:2] == before[:2]
        assert names(changed)[2] != before[2]
    assert not set(before) & set(names(frame, root="/elsewhere"))
    assert not set(before) & set(names(frame.rename(columns={"id": "number"})))


def test_images_in_the_table_and_missing_ones(tmp_path: Path) -> None:
    pd.DataFrame({"path": [b"bytes", None, b""]}).to_parquet(tmp_path / "t.parquet")
    assert shards_of(tmp_path / "t.parquet")[0].images == [b"bytes", None, b""]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"file": ["a.png"]}, "no unique column 'path': choose one with --path-column from file"),
        ({"path": ["a.png"], "error": ["x"]}, "the table has a column 'error' already: rename it"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns: Any, message: str, tmp_path: Path) -> None:
    pd.DataFrame(columns).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(OptionError, match=message):
        shards_of(tmp_path / "t.parquet")


def test_a_file_that_is_cut_and_one_with_other_columns(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_parquet(tmp_path / "0.parquet")
    frame.rename(columns={"id": "number"}).to_parquet(tmp_path / "1.parquet")
    with pytest.raises(OptionError, match=r"1\.parquet has other columns than"):
        shards_of(tmp_path)
    (tmp_path / "0.parquet").write_bytes((tmp_path / "0.parquet").read_bytes()[:-9])
    with pytest.raises(OptionError, match=r"0\.parquet is not a parquet file that can be read"):
        shards_of(tmp_path / "0.parquet")
