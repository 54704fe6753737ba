"""Names that nearly match a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resmem_plugin.core.errors import ImageNotFoundError
from resmem_plugin.core.images import near_names
from resmem_plugin.core.images.near_names import NearNames
from resmem_plugin.core.images.sources import Sources


@pytest.mark.parametrize(
    ("there", "given"),
    [
        ("e\u0301.jpg", "\xe9.jpg"),
        ("\xe9.jpg", "e\u0301.jpg"),
        ("a.jpg", "a.jpg  "),
        (" a.jpg", "a.jpg"),
        ("A.JPG", "a.jpg"),
        ("d/a.jpg", ".\\d\\A.jpg"),
        ("\xe9/a.jpg", "e\u0301/a.jpg"),
    ],
)
def test_the_reason_names_the_file_that_is_there(
    tmp_path: Path, there: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).touch()
    found = NearNames().find(given)
    assert found is not None
    assert os.path.samefile(found, there)
    with pytest.raises(ImageNotFoundError, match=r"^no such file: did you mean '.*'\? Check the path, and the folder "):
        Sources().read(given)


def test_a_url_with_one_slash() -> None:
    assert NearNames().find("http:/host/a.jpg") == "http://host/a.jpg"
    with pytest.raises(ImageNotFoundError, match=r"did you mean 'https://host/a\.jpg'"):
        Sources().read(Path("https://host/a.jpg"))


@pytest.mark.parametrize("path", ["", "b.jpg", "none/a.jpg", "a.jpg/b.jpg", "\0.jpg", "\ud800.jpg", "/"])
def test_other_names_are_not_near(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").touch()
    (tmp_path / "link.jpg").symlink_to("nothing.jpg")
    assert NearNames().find(path) is None
    assert NearNames().find("link.jpg") is None


def test_a_folder_is_listed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = []
    original = near_names._listed

    def count(folder: str) -> dict[str, str]:
        listed.append(folder)
        return original(folder)

    monkeypatch.setattr(near_names, "_listed", count)
    (tmp_path / "A.jpg").touch()
    os.utime(tmp_path, (1, 1))
    near = NearNames()
    assert all(near.find(f"{tmp_path}/{number}.jpg") is None for number in range(100))
    assert listed == [str(tmp_path)]
    (tmp_path / "B.jpg").touch()
    assert near.find(f"{tmp_path}/b.jpg") == f"{tmp_path}/B.jpg"
    assert len(listed) == 2


def test_large_folders_are_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_names, "MAX_ENTRIES", 2)
    for name in ("A.jpg", "B.jpg", "C.jpg"):
        (tmp_path / name).touch()
    assert NearNames().find(f"{tmp_path}/a.jpg") is None
