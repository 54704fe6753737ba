"""Tables that pyarrow reads keep their types and metadata."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resmem_plugin.core.errors import MissingPackageError, OptionError
from resmem_plugin.core.images.reader import is_missing
from resmem_plugin.jobs.arrow import read_frame
from resmem_plugin.jobs.tables import read_table, write_table

FRAME = pd.DataFrame({"path": ["a.jpg", None, "c.jpg"], "n": pd.array([2**53 + 1, None, 3], dtype="Int64")})
TABLE = pa.Table.from_pandas(FRAME).replace_schema_metadata({b"huggingface": b"{}"})


def write_stream(path: Path) -> bytes:
    with pa.ipc.new_stream(path, TABLE.schema) as writer:
        writer.write(TABLE)
        writer.write(TABLE)
    return path.read_bytes()


def test_arrow_files_and_streams_and_feather_keep_types_and_metadata(tmp_path: Path) -> None:
    FRAME.to_feather(tmp_path / "a.feather")
    with pa.ipc.new_file(tmp_path / "file.arrow", TABLE.schema) as writer:
        writer.write(TABLE)
    write_stream(tmp_path / "STREAM.ARROW")
    for name, repeats in (("a.feather", 1), ("file.arrow", 1), ("STREAM.ARROW", 2)):
        table = read_table(tmp_path / name)
        assert table.names == ["path", "n"]
        assert [is_missing(path) or path for path in table.columns[0]] == ["a.jpg", True, "c.jpg"] * repeats
        assert [is_missing(n) or n for n in table.columns[1]] == [2**53 + 1, True, 3] * repeats
        assert (b"huggingface" in table.metadata) == name.lower().endswith(".arrow")


def test_orc_keeps_integers(tmp_path: Path) -> None:
    FRAME.to_orc(tmp_path / "a.orc")
    frame, _ = read_frame(tmp_path / "a.orc", ".orc")
    assert frame["n"].fillna(0).tolist() == [2**53 + 1, 0, 3]


def test_an_index_that_pandas_stored_is_a_column(tmp_path: Path) -> None:
    for index in (pd.Index([4, 6, 5], name="id"), pd.RangeIndex(4, 7, name="id")):
        frame = FRAME.set_index(index)
        indexed = pa.Table.from_pandas(frame)
        with pa.ipc.new_file(tmp_path / "a.arrow", indexed.schema) as writer:
            writer.write(indexed)
        frame.to_parquet(tmp_path / "a.parquet")
        for name in ("a.arrow", "a.parquet"):
            table = read_table(tmp_path / name)
            assert table.names == ["id", "path", "n"]
            assert list(table.columns[0]) == list(index)


def test_a_stream_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write_stream(tmp_path / "a.arrow")
    for end in range(0, len(whole), 8):
        (tmp_path / "a.arrow").write_bytes(whole[:end])
        with pytest.raises(OptionError, match=r"a\.arrow is (an Arrow stream without its end|not an arrow table)"):
            read_table(tmp_path / "a.arrow")


@pytest.mark.parametrize("suffix", ["feather", "arrow", "orc", "parquet"])
def test_other_content_is_refused_by_name(suffix: str, tmp_path: Path) -> None:
    for content in (b"", b"path\na.jpg\n", b"ARROW1\0\0" + bytes(64), b"ORC" + bytes(64)):
        (tmp_path / f"a.{suffix}").write_bytes(content)
        with pytest.raises(OptionError, match=rf"a\.{suffix} is not an? {suffix} table that can be read"):
            read_table(tmp_path / f"a.{suffix}")


def test_without_pyarrow_its_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for suffix in ("feather", "arrow", "orc", "parquet"):
        with pytest.raises(MissingPackageError, match=r'pip install "resmem-plugin\[parquet\]"'):
            read_table(tmp_path / f"a.{suffix}")


def test_a_written_parquet_file_of_nested_types_can_be_read_by_pandas(tmp_path: Path) -> None:
    columns = {
        "path": ["a.png", "b.png"],
        "kind": pa.array(["x", "y"]).dictionary_encode(),
        "labels": [[1, 2], None],
        "image": [{"bytes": b"", "path": "a, b.png"}, None],
        "tags": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
        "key": pa.array([b"xy", b"zz"], pa.binary(2)),
    }
    pq.write_table(pa.table(columns), tmp_path / "table.parquet")
    write_table(read_table(tmp_path / "table.parquet"), tmp_path / "out.parquet", {"resmem": {"weights": "x"}})
    out = pd.read_parquet(tmp_path / "out.parquet")
    assert out["kind"].tolist() == ["x", "y"]
    assert out["labels"][0].tolist() == [1, 2]
    assert out["image"][0] == {"bytes": b"", "path": "a, b.png"}
    assert out.attrs == {"resmem": {"weights": "x"}}
    kept = pq.read_schema(tmp_path / "out.parquet")
    assert kept.types == pq.read_schema(tmp_path / "table.parquet").types


def test_parquet_that_repeats_a_column_name_says_so(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a.png"]), pa.array([1]), pa.array([2])], names=["path", "x", "x"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(OptionError, match=r"a\.parquet has several columns 'x': rename them"):
        read_table(tmp_path / "a.parquet")
