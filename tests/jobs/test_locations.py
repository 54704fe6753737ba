"""What an input names: one name can be a file, a folder, an archive or a pattern."""

from __future__ import annotations

from pathlib import Path

import pytest

from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.locations import Locations
from tests.archive_files import png, zip_file


def test_each_input_is_what_its_name_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    zip_file(Path("a.zip"), [("a.png", png(1))])
    Path("folder.zip").mkdir()
    for name in ("folder.zip/b.png", "c.png", "d*.png"):
        Path(name).write_bytes(png(1))
    locations = Locations(exclude=("none",))
    given = ["a.zip", "folder.zip", "c.png", "d*.png", "*.zip", "-", "https://host/*.png", "none[1].png"]
    assert list(locations.expand(given)) == [*given[:4], "a.zip", *given[5:]]
    listed = [locations.list_images(name) for name in given[:4]]
    assert [listing and (listing.kind, listing.found) for listing in listed] == [
        ("archive", ["zip://a.png::a.zip"]),
        ("folder", ["folder.zip/b.png"]),
        None,
        None,
    ]
    with pytest.raises(OptionError, match="no file matches x"):
        list(locations.expand(["x*"]))
    with pytest.raises(OptionError, match=r"there is no archive b.zip"):
        locations.list_images("b.zip")
    locations.close()
