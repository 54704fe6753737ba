"""`resmem plugin install` and `uninstall`; for other ways to load the plugin see tests/packaging."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from resmem_plugin.core.errors import ResMemError
from resmem_plugin.fiftyone.setup.install import NAME, find_copies, install, is_disabled, uninstall

ROOT = Path(__file__).parents[3]
FILES = {
    "fiftyone.yml": ROOT / "fiftyone.yml",
    "requirements.txt": ROOT / "requirements.txt",
    "assets/memorability-light.svg": ROOT / "assets/memorability-light.svg",
    "assets/memorability-dark.svg": ROOT / "assets/memorability-dark.svg",
    "resmem_plugin/fiftyone/entry.py": ROOT / "resmem_plugin/fiftyone/entry.py",
}
MARK = "installed-by-resmem.json"


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FiftyOne's plugins folder, which does not exist yet."""
    import fiftyone as fo

    folder = tmp_path / "plugins"
    monkeypatch.setattr(fo.config, "plugins_dir", str(folder))
    monkeypatch.setenv("FIFTYONE_APP_CONFIG_PATH", str(tmp_path / "app_config.json"))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_install_writes_manifest_icons_and_entry(plugins: Path) -> None:
    folder = install()
    assert folder == plugins / "@resmem" / "memorability"
    written = content(folder)
    assert set(written) == {*FILES, MARK}
    assert {name: written[name] for name in FILES} == {name: path.read_bytes() for name, path in FILES.items()}
    assert [(copy.folder, copy.ours, copy.current) for copy in find_copies()] == [(folder, True, True)]


def test_second_install_changes_nothing(plugins: Path) -> None:
    folder = install()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert install() == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_install_updates_another_versions_files(plugins: Path) -> None:
    folder = install()
    (folder / "fiftyone.yml").write_text(f'name: "{NAME}"\noperators: []\n')
    (folder / "assets/memorability-dark.svg").unlink()
    assert [copy.current for copy in find_copies()] == [False]
    assert install() == folder
    assert [copy.current for copy in find_copies()] == [True]
    assert set(content(folder)) == {*FILES, MARK}


def test_interrupted_install_is_completed(plugins: Path) -> None:
    folder = install()
    (folder / "fiftyone.yml").unlink()  # the last to be written
    assert find_copies() == []
    assert install() == folder
    assert set(content(folder)) == {*FILES, MARK}


def test_uninstall_removes_everything(plugins: Path) -> None:
    folder = install()
    (folder / "resmem_plugin/fiftyone/__pycache__").mkdir()
    (folder / "resmem_plugin/fiftyone/__pycache__/entry.cpython-311.pyc").touch()  # the loader's
    assert uninstall() == folder
    assert list(plugins.iterdir()) == []
    assert uninstall() is None


def test_uninstall_keeps_other_files(plugins: Path, tmp_path: Path) -> None:
    folder = install()
    (folder / "notes.txt").write_text("mine")
    other = tmp_path / "elsewhere"
    shutil.move(folder / "assets", other)
    (folder / "assets").symlink_to(other)
    mark = json.loads((folder / MARK).read_text())
    mark["files"] += ["../../precious", str(tmp_path / "precious")]
    (folder / MARK).write_text(json.dumps(mark))
    (tmp_path / "precious").write_text("mine")
    (plugins / "precious").write_text("mine")
    assert uninstall() == folder
    assert set(content(folder)) == {"notes.txt"}
    assert len(list(other.iterdir())) == 2
    assert (tmp_path / "precious").exists()
    assert (plugins / "precious").exists()


def test_linked_checkout_is_not_replaced(plugins: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copy(ROOT / "fiftyone.yml", checkout)
    plugins.mkdir()
    (plugins / "linked").symlink_to(checkout)
    with pytest.raises(ResMemError, match=r"has this plugin already, in .*linked.*rm '.*linked', a link"):
        install()
    with pytest.raises(
        ResMemError, match=r"not from `resmem plugin install`, and was not removed.*rm '.*linked', a link"
    ):
        uninstall()
    assert [entry.name for entry in plugins.iterdir()] == ["linked"]
    assert (checkout / "fiftyone.yml").is_file()


def test_linked_checkout_in_the_plugins_folder_is_not_replaced(plugins: Path, tmp_path: Path) -> None:
    install()
    checkout = tmp_path / "checkout"
    shutil.move(plugins / "@resmem" / "memorability", checkout)  # with the mark in it
    (plugins / "@resmem" / "memorability").symlink_to(checkout)
    before = content(checkout)
    for action in (install, uninstall):
        with pytest.raises(ResMemError, match="a link"):
            action()
    assert content(checkout) == before


def test_downloaded_plugin_is_not_replaced(plugins: Path) -> None:
    download = plugins / "@resmem" / "memorability"
    download.mkdir(parents=True)
    shutil.copy(ROOT / "fiftyone.yml", download)
    for action in (install, uninstall):
        with pytest.raises(ResMemError, match="fiftyone plugins delete @resmem/memorability"):
            action()
    assert set(content(download)) == {"fiftyone.yml"}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_other_content_in_the_folder_is_not_replaced(kind: str, plugins: Path) -> None:
    place = plugins / "@resmem" / "memorability"
    place.parent.mkdir(parents=True)
    if kind == "file":
        place.write_text("mine")
    else:
        place.mkdir()
        (place / "mine.txt").write_text("mine")
    before = content(plugins)
    with pytest.raises(ResMemError, match="move it elsewhere"):
        install()
    assert content(plugins) == before


def test_unwritable_plugins_folder_is_rejected(plugins: Path) -> None:
    plugins.write_text("not a folder")
    with pytest.raises(ResMemError, match=r"cannot be written .*FIFTYONE_PLUGINS_DIR"):
        install()
    assert plugins.read_text() == "not a folder"


def test_disabled_plugin_is_detected(plugins: Path) -> None:
    import fiftyone.plugins as fop

    install()
    assert not is_disabled()
    fop.disable_plugin(NAME)
    assert is_disabled()
    assert [copy.ours for copy in find_copies()] == [True]
