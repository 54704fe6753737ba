"""The cache in the user's cache folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from resmem_plugin.core.cache.scores import ScoreCache
from resmem_plugin.core.errors import CacheError, CacheWarning
from tests.conftest import flat
from tests.core.cache.conftest import CountingScorers


def test_scoring_continues_without_a_cache_folder(
    counting: CountingScorers, image_files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in the way").touch()
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(tmp_path / "in the way" / "folder"))
    with pytest.warns(CacheWarning, match="cannot be used .*Not a directory.*RESMEM_CACHE_DIR") as caught:
        assert len(counting.scorer(cache=True).score(image_files)) == 30
    assert len(caught) == 1
    with pytest.raises(CacheError, match="cannot be used"):
        ScoreCache(path=tmp_path / "images", max_bytes=1).info()


def test_the_default_cache_is_one_file_in_the_cache_folder(
    counting: CountingScorers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(tmp_path / "new"))
    counting.scorer(cache=True).score([flat(1)])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["scores.sqlite"]  # closed, with no journal left
