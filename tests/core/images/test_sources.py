"""Paths and URLs: which is which, and local files that change between listing and reading."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import UnreadableImageError
from resmem_plugin.core.images.sources import MAX_FILE_BYTES, Sources, is_url, join_root
from tests.http_server import IMAGE
from tests.models import Red


def test_storage_options_with_a_local_path_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(IMAGE)
    scorer = Scorer(device="cpu", model=Red(), storage_options={"key": "value"})
    assert "leave them out" in str(scorer.score([tmp_path / "a.jpg"], errors="coerce")[0].error)


@pytest.mark.parametrize("path", [r"C:\a.jpg", "C://a.jpg", "a.jpg", "a:b.jpg", "/a://b.jpg", "./http://a"])
def test_local_paths_are_not_urls(path: str) -> None:
    assert not is_url(path)


def test_join_root() -> None:
    assert join_root("/data", "a.jpg") == "/data/a.jpg"
    assert join_root("/data", "/b/a.jpg") == "/b/a.jpg"
    assert join_root("s3://bucket/x/", "a.jpg") == "s3://bucket/x/a.jpg"
    assert join_root("/data", "https://host/a.jpg") == "https://host/a.jpg"
    assert join_root(Path("data"), "a.jpg") == "data/a.jpg"


@pytest.fixture
def stat_as_regular_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every path is a small file when it is looked at; what it has become by then shows when it is opened."""
    (tmp_path / "regular").write_bytes(b"abc")
    regular = os.stat(tmp_path / "regular")
    monkeypatch.setattr("resmem_plugin.core.images.sources.os.stat", lambda path: regular)


@pytest.mark.usefixtures("stat_as_regular_file")
def test_a_file_replaced_by_a_fifo_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        Sources().read(tmp_path / "fifo")


@pytest.mark.usefixtures("stat_as_regular_file")
def test_a_file_replaced_by_a_device_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        Sources().read("/dev/zero")


@pytest.mark.usefixtures("stat_as_regular_file")
def test_a_file_that_grew_beyond_the_size_limit_is_an_error(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(UnreadableImageError, match="1,073,741,825 bytes, more than the limit of 1,073,741,824"):
        Sources().read(tmp_path / "large")
