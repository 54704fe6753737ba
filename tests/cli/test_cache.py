"""`resmem score --cache` and `resmem cache`, and the cache behind pandas."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from resmem_plugin.cli import main
from resmem_plugin.core.scoring import scorer
from tests.models import Counted, use_stand_in

pytestmark = pytest.mark.weights  # the weights file is looked up, although a stand-in runs


@pytest.fixture
def forwarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images in the current folder, and a file with one byte per image that the network has scored."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(scorer, "load_engine", None)  # what `use_stand_in` replaces is put back
    use_stand_in(Counted, str(tmp_path / "forwarded"))
    for name, red in (("a", 0), ("b", 100), ("c", 255)):
        Image.new("RGB", (4, 4), (red, 0, 0)).save(f"{name}.png")
    return tmp_path / "forwarded"


def test_cache_info_and_clear(forwarded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "info"]) == 0
    captured = capsys.readouterr()
    path = forwarded.parent / "cache" / "scores.sqlite"
    assert captured.out.splitlines() == [
        f"path       {path} (created on first use)",
        "scores     0",
        "size       0 kB of at most 512 MB",
    ]
    assert not path.exists()
    assert main(["score", "a.png", "b.png", "--cache"]) == 0
    first = capsys.readouterr()
    assert main(["score", "--cache", "--errors", "raise", "a.png", "b.png"]) == 0
    assert capsys.readouterr() == first
    assert forwarded.stat().st_size == 2
    assert main(["cache", "info"]) == 0
    output = capsys.readouterr().out
    assert f"path       {path}\nscores     2\n" in output
    assert f"provenance {first.out.splitlines()[1].rpartition(',')[2]} (2 scores)" in output
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().err == f"resmem: removed 2 scores from {path}\n"
    assert main(["cache", "clear"]) == 0
    assert "removed 0 scores" in capsys.readouterr().err


def test_cache_option_with_a_file(forwarded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--cache=mine.db", "a.png"]) == 0
    assert main(["cache", "info", "--cache", "mine.db"]) == 0
    assert "path       mine.db\nscores     1\n" in capsys.readouterr().out
    before = Path("a.png").read_bytes()
    assert main(["score", "--cache", "a.png", "b.png"]) == 2  # the first image is not taken for the cache file
    assert "the cache a.png must be a file whose name ends in .sqlite" in capsys.readouterr().err
    assert Path("a.png").read_bytes() == before


def test_damaged_cache_file_is_reported(forwarded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.db").write_text("no database")
    assert main(["score", "--cache=mine.db", "a.png"]) == 0
    assert (
        "warning: the cache of scores mine.db was damaged: it was renamed to mine.db.damaged-1"
        in capsys.readouterr().err
    )
    Path("mine.db").write_text("no database")
    assert main(["cache", "info", "--cache=mine.db"]) == 0
    captured = capsys.readouterr()
    assert "it was renamed to mine.db.damaged-2" in captured.err
    assert "scores     0\n" in captured.out


def test_pandas_scores_are_cached(forwarded: Path) -> None:
    frame = pd.DataFrame({"path": ["a.png", "b.png", "a.png", "c.png"]})
    first = frame.resmem.score("path", cache="mine.sqlite")
    assert forwarded.stat().st_size == 3
    pd.testing.assert_series_equal(frame.resmem.score("path", cache="mine.sqlite"), first)
    frame.resmem.top("path", n=1, cache="mine.sqlite")
    assert forwarded.stat().st_size == 3
