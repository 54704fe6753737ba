"""The folder of shards: whole or absent, and one table in the input's order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from resmem_plugin.core.errors import OptionError
from resmem_plugin.distributed.shard_folder import Finished, ShardFolder
from resmem_plugin.distributed.shard_input import Shard

RECORD = {"provenance": "0123456789ab", "engine": "pytorch"}


@pytest.fixture
def folder(tmp_path: Path) -> ShardFolder:
    made = ShardFolder(tmp_path / "shards")
    made.create()
    return made


def write(folder: ShardFolder, name: str, ids: list[int], record: dict[str, str] = RECORD) -> Finished:
    table = pa.table({"path": ["=a.png"] * len(ids), "id": ids})
    errors = [None if number else "no such file" for number in ids]
    memorability = np.array([number / 10 or np.nan for number in ids], np.float32)
    return folder.write(Shard(name, table, []), memorability, errors, record)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_shards_become_one_table_in_the_order_of_the_input(folder: ShardFolder, tmp_path: Path, suffix: str) -> None:
    assert write(folder, "bb", [1, 0]) == folder.finished("bb") == (2, 1, RECORD["provenance"])
    write(folder, "aa", [3])
    assert folder.finish(["bb", "aa", "bb"]) == []  # rows that the input repeats
    output = tmp_path / f"out.{suffix}"
    assert folder.merge(str(output)) == 5
    if suffix == "parquet":
        merged = pd.read_parquet(output)
    else:
        merged = pd.read_csv(output) if suffix == "csv" else pd.read_json(output, lines=True)
    assert list(merged.columns) == ["path", "id", "memorability", "error", "provenance"]
    assert merged["id"].tolist() == [1, 0, 3, 1, 0]
    np.testing.assert_allclose(merged["memorability"], [0.1, np.nan, 0.3, 0.1, np.nan], atol=1e-6)
    assert merged["error"].fillna("").tolist() == ["", "no such file", "", "", "no such file"]
    if suffix == "parquet":
        assert merged.attrs["resmem"] == RECORD


def test_what_is_missing_or_unfinished_is_not_merged(folder: ShardFolder, tmp_path: Path) -> None:
    write(folder, "aa", [1])
    with pytest.raises(OptionError, match="not a folder of shards that a run has finished"):
        folder.merge(str(tmp_path / "out.parquet"))
    folder.finish(["aa", "bb"])
    with pytest.raises(OptionError, match=r"1 of 2 shards are missing in .*, the first is bb\.parquet"):
        folder.merge(str(tmp_path / "out.parquet"))
    assert not (tmp_path / "out.parquet").exists()


def test_a_shard_that_cannot_be_read_is_absent_and_one_of_another_input_is_told(folder: ShardFolder) -> None:
    write(folder, "aa", [1])
    write(folder, "bb", [1])
    path = folder.path / "aa.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    assert folder.finished("aa") is None
    assert folder.finished("cc") is None
    assert folder.finish(["aa"]) == ["bb"]


def test_scores_of_two_provenances_do_not_mix(folder: ShardFolder) -> None:
    write(folder, "aa", [1])
    again = ShardFolder(folder.path)
    again.create()
    assert again.finished("aa") is not None
    with pytest.raises(OptionError, match="holds scores of provenance 0123456789ab, and others are of ba9876543210"):
        write(again, "bb", [1], {"provenance": "ba9876543210"})
    assert not (folder.path / "bb.parquet").exists()


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(OptionError, match=r"holds other files \(photo\.jpg\): name another folder"):
        ShardFolder(tmp_path).create()
    with pytest.raises(OptionError, match="cannot be a folder of shards"):
        ShardFolder(tmp_path / "photo.jpg").create()
