"""The cache in the user's cache folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from resmem_plugin.core.cache.folder import has_cache_folder
from resmem_plugin.core.cache.scores import ScoreCache
from resmem_plugin.core.errors import CacheError, CacheWarning, OptionError
from resmem_plugin.core.network.pretrained import load_weights
from resmem_plugin.core.network.weights import find_weights
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


def test_nothing_is_read_from_an_untrusted_folder(
    counting: CountingScorers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    (folder / "scores.sqlite").write_text("no database")
    folder.chmod(0o777)
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(folder))
    with pytest.warns(CacheWarning, match=r"everybody may write.*RESMEM_CACHE_DIR.*chmod o-w") as caught:
        counting.scorer(cache=True).score([flat(1), flat(2)])
    assert len(caught) == 1
    counting.scorer(cache=True).score([flat(1), flat(2)])  # without another warning
    assert counting.forwarded() == 4
    assert [path.name for path in folder.iterdir()] == ["scores.sqlite"]  # neither renamed nor written
    with pytest.raises(CacheError, match="RESMEM_CACHE_DIR"):
        ScoreCache.of(True).info()
    with pytest.raises(CacheError, match="RESMEM_CACHE_DIR"):
        ScoreCache.of(True).clear()


@pytest.mark.weights
def test_an_untrusted_folder_holds_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from safetensors.torch import save_file

    monkeypatch.setenv("RESMEM_CACHE_DIR", str(tmp_path))
    found = find_weights()
    save_file({"forged": torch.zeros(1)}, found.cached, metadata={"sha256": found.sha256})
    tmp_path.chmod(0o777)
    with pytest.warns(CacheWarning, match="its files are trusted"):
        assert len(load_weights(found)) == 956
    assert [path.name for path in tmp_path.iterdir()] == [found.cached.name]


def test_no_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RESMEM_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with pytest.warns(CacheWarning, match="no home folder.*RESMEM_CACHE_DIR"):
        assert not has_cache_folder()


def test_null_character_in_the_name_of_a_cache_is_an_error() -> None:
    with pytest.raises(OptionError, match="null character"):
        ScoreCache.of("a\0.sqlite")
