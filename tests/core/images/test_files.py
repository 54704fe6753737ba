"""Local files that are not what they seemed a moment ago."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resmem_plugin.core.errors import UnreadableImageError
from resmem_plugin.core.images.sources import LARGEST_FILE, Sources


@pytest.fixture
def taken_for_regular(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every path is a small file when it is looked at; what it has become by then shows when it is opened."""
    (tmp_path / "regular").write_bytes(b"abc")
    regular = os.stat(tmp_path / "regular")
    monkeypatch.setattr("resmem_plugin.core.images.sources.os.stat", lambda path: regular)


@pytest.mark.usefixtures("taken_for_regular")
def test_a_file_that_became_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        Sources().read(tmp_path / "fifo")


@pytest.mark.usefixtures("taken_for_regular")
def test_a_file_that_became_a_device(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        Sources().read("/dev/zero")


@pytest.mark.usefixtures("taken_for_regular")
def test_a_file_that_grew(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(UnreadableImageError, match="1,073,741,825 bytes, more than the limit of 1,073,741,824"):
        Sources().read(tmp_path / "large")
