from __future__ import annotations

from pathlib import Path

import pytest

from resmem_plugin.core.atomic import replacing


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    with replacing(link) as unfinished:
        unfinished.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="name another"), replacing(tmp_path):
        pass
    with pytest.raises(FileExistsError, match="name another"), replacing("/dev/null"):
        pass
    with pytest.raises(FileNotFoundError, match="create it first"), replacing(tmp_path / "none" / "a.csv"):
        pass


def test_after_an_error_nothing_has_changed(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(target) as unfinished:  # noqa: PT012 (that is what a context does)
        unfinished.write_text("half")
        raise KeyboardInterrupt
    assert [(item.name, item.read_text()) for item in tmp_path.iterdir()] == [("a.csv", "old")]
