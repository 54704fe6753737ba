from __future__ import annotations

from pathlib import Path

import pytest

from resmem_plugin.core.atomic import replacing


def test_atomic_replace_keeps_symlinks_and_permissions(tmp_path: Path) -> None:
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    with replacing(link) as unfinished:
        unfinished.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_folders_and_devices_are_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="name another"), replacing(tmp_path):
        pass
    with pytest.raises(FileExistsError, match="name another"), replacing("/dev/null"):
        pass
    with pytest.raises(FileNotFoundError, match="create it first"), replacing(tmp_path / "none" / "a.csv"):
        pass


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(target) as unfinished:  # noqa: PT012 (that is what a context does)
        unfinished.write_text("half")
        raise KeyboardInterrupt
    assert [(item.name, item.read_text()) for item in tmp_path.iterdir()] == [("a.csv", "old")]
