"""Folders of parquet files that are one table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from resmem_plugin.core.errors import OptionError, SkippedFilesWarning
from resmem_plugin.jobs.parquet_folder import is_parquet_folder, read_parquet_folder
from resmem_plugin.jobs.tables import read_table


def write_part(part: Path, /, **columns: object) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_parquet(part)


def rows(folder: Path) -> dict[str, list[object]]:
    frame, _ = read_parquet_folder(str(folder))
    return {str(name): [None if pd.isna(cell) else cell for cell in frame[name]] for name in frame}


def test_parts_are_read_in_the_order_of_their_names_without_what_spark_leaves_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "table.parquet"
    for number in (2, 0, 1):
        write_part(folder / f"part-0000{number}.snappy.parquet", path=[f"{number}.jpg", None], n=[number, 2**53 + 1])
    for name in ("_SUCCESS", "_metadata", ".part-00000.parquet.crc", "_temporary/part-9.parquet"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"PAR1")
    assert rows(folder) == {
        "path": ["0.jpg", None, "1.jpg", None, "2.jpg", None],
        "n": [0, 2**53 + 1, 1, 2**53 + 1, 2, 2**53 + 1],
    }


def test_partitions_that_pandas_wrote_are_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["a", "b", "c"], "year": [2020, 2021, None], "code": ["007", "x y/z", "1"]})
    frame["year"] = frame["year"].astype("Int64")
    frame.to_parquet(tmp_path / "t.parquet", partition_cols=["year", "code"])
    read = rows(tmp_path / "t.parquet")
    assert sorted(zip(*read.values(), strict=True)) == [("a", 2020, "007"), ("b", 2021, "x y/z"), ("c", None, "1")]
    assert list(read) == ["path", "year", "code"]


def test_a_dask_index_and_the_metadata_of_the_schema_are_kept(tmp_path: Path) -> None:
    for number in range(2):
        index = pd.Index([7 * number, 7 * number - 1], name="id")
        part = pa.Table.from_pandas(pd.DataFrame({"path": ["a", "b"]}, index=index))
        (tmp_path / "t.parquet").mkdir(exist_ok=True)
        part = part.replace_schema_metadata({**part.schema.metadata, b"huggingface": b"{}"})
        pq.write_table(part, tmp_path / "t.parquet" / f"part.{number}.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.names == ["id", "path"]
    assert list(table.columns[0]) == [0, -1, 7, 6]
    assert table.metadata[b"huggingface"] == b"{}"


@pytest.mark.parametrize("parts", [1, 2])
def test_a_range_that_pandas_stored_as_the_index_is_a_column(parts: int, tmp_path: Path) -> None:
    for number in range(parts):
        index = pd.RangeIndex(2 * number, 2 * number + 2, name="id")
        pd.DataFrame({"path": ["a", "b"]}, index=index).to_parquet(tmp_path / f"{number}.parquet")
    assert rows(tmp_path) == {"id": list(range(2 * parts)), "path": ["a", "b"] * parts}


def test_a_part_whose_column_is_all_null_has_the_type_of_the_others(tmp_path: Path) -> None:
    write_part(tmp_path / "a.parquet", path=["a"], note=[None])
    write_part(tmp_path / "b.parquet", note=["x"], path=["b"])
    assert rows(tmp_path) == {"path": ["a", "b"], "note": [None, "x"]}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"path": ["b"], "n": ["1"]}, "the column 'n' of .*b.parquet is .*string, and int64 in the first part"),
        ({"path": ["b"]}, r"b\.parquet has other columns than the first part \(n\)"),
        ({"path": ["b"], "n": [1], "m": [1]}, r"b\.parquet has other columns than the first part \(m\)"),
    ],
)
def test_parts_of_other_columns_or_types_are_named(
    columns: dict[str, list[object]], message: str, tmp_path: Path
) -> None:
    write_part(tmp_path / "a.parquet", path=["a"], n=[1])
    write_part(tmp_path / "b.parquet", **columns)
    with pytest.raises(OptionError, match=message):
        read_parquet_folder(str(tmp_path))


def test_broken_parts_other_partitions_delta_tables_and_empty_folders_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "t.parquet"
    folder.mkdir()
    with pytest.raises(OptionError, match=r"t\.parquet holds no parquet files"):
        read_table(folder)
    write_part(folder / "x=1" / "a.parquet", path=["a"])
    (folder / "x=1" / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(OptionError, match=r"b\.parquet is not a parquet file that can be read"):
        read_table(folder)
    (folder / "x=1" / "b.parquet").unlink()
    write_part(folder / "y=1" / "a.parquet", path=["a"])
    with pytest.raises(OptionError, match="is in other partitions than"):
        read_table(folder)
    (folder / "_delta_log").mkdir()
    with pytest.raises(OptionError, match="is a Delta table"):
        read_table(folder)


def test_other_files_are_named_and_parts_need_no_suffix(tmp_path: Path) -> None:
    write_part(tmp_path / "a.parquet", path=["a"])
    (tmp_path / "000000_0").write_bytes((tmp_path / "a.parquet").read_bytes())
    (tmp_path / "README.md").write_text("a dataset")
    with pytest.warns(SkippedFilesWarning, match=r"files that are not parquet are left out: README\.md"):
        assert rows(tmp_path) == {"path": ["a", "a"]}


def test_a_folder_is_a_table_by_its_name_or_if_it_holds_parquet_and_no_image(tmp_path: Path) -> None:
    assert not is_parquet_folder(str(tmp_path))
    assert not is_parquet_folder(str(tmp_path / "none.parquet"))
    (tmp_path / "empty.parquet").mkdir()
    assert is_parquet_folder(f"{tmp_path}/empty.parquet/")
    write_part(tmp_path / "data" / "x=1" / "a.parquet", path=["a"])
    assert is_parquet_folder(str(tmp_path / "data"))
    Image.new("RGB", (2, 2)).save(tmp_path / "data" / "a.png")
    assert not is_parquet_folder(str(tmp_path / "data"))
