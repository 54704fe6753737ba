"""Tables of one's own: files, frames, Hugging Face's datasets, FiftyOne samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resmem_plugin.core.errors import OptionError
from resmem_plugin.datasets import manifest


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame({"path": ["a.jpg", "/b.jpg"], "hit_rate": [0.5, None], "kind": ["x", None], "people": [40, 50]})


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
def test_files_and_their_relative_paths(table: pd.DataFrame, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        table.to_parquet(path)
    elif name.endswith("jsonl"):
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
    frame = manifest(path, memorability="hit_rate", group="kind", n_ratings="people")
    assert frame["path"].tolist() == [f"{tmp_path}/a.jpg", "/b.jpg"]
    np.testing.assert_equal(frame["memorability"].tolist(), [0.5, np.nan])
    assert frame["group"].tolist() == ["x", None]
    assert frame["split"].tolist() == [None, None]
    assert frame["n_ratings"].tolist() == [40, 50]


def test_frames_keep_relative_paths_unless_a_root_is_given(table: pd.DataFrame) -> None:
    assert manifest(table, memorability="hit_rate")["path"].tolist() == ["a.jpg", "/b.jpg"]
    assert manifest(table, memorability="hit_rate", root="s3://all")["path"].tolist() == ["s3://all/a.jpg", "/b.jpg"]


def test_counts_are_kept(table: pd.DataFrame) -> None:
    counts = {"hits": [4, 5], "misses": [1, 0], "false_alarms": [0, 1], "correct_rejections": [5, 4]}
    frame = manifest(table.assign(**counts), memorability="hit_rate")
    assert frame["hits"].tolist() == [4, 5]


class HuggingFace:
    """What a dataset of Hugging Face's `datasets` gives, which is not installed here."""

    def to_pandas(self) -> pd.DataFrame:
        return pd.DataFrame({"image": [{"bytes": b"1", "path": None}], "score": [0.25]})


def test_hugging_faces_structs_are_kept() -> None:
    frame = manifest(HuggingFace(), path="image", memorability="score")
    assert frame["path"].tolist() == [{"bytes": b"1", "path": None}]


def test_fiftyone_samples(database: str) -> None:
    import fiftyone as fo

    dataset = fo.Dataset()
    kind = fo.Classification(label="cat")
    dataset.add_samples([fo.Sample("/a.jpg", rated=0.5, kind=kind), fo.Sample("/b.jpg")], progress=False)
    frame = manifest(dataset, memorability="rated", group="kind.label")
    assert frame["path"].tolist() == ["/a.jpg", "/b.jpg"]
    np.testing.assert_equal(frame["memorability"].tolist(), [0.5, np.nan])
    assert frame["group"].tolist() == ["cat", None]
    with pytest.raises(OptionError, match="no field 'hit_rate'"):
        manifest(dataset, memorability="hit_rate")
    dataset.delete()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (pd.DataFrame({"file": ["a"]}), "the frame has no unique column 'path': choose from file"),
        (pd.DataFrame({"path": ["a"], "memorability": ["high"]}), "memorability of row 1 of the frame is 'high'"),
        ("none.csv", "none.csv cannot be read as a table"),
        ("table.xlsx", "must end in .csv"),
        (["a.jpg"], "a list is no table of images"),
    ],
)
def test_what_does_not_fit_is_refused(source: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        manifest(source)
