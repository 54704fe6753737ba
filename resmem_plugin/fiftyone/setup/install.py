"""Installs the plugin: writes a small folder into FiftyOne's plugins folder that imports this package."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import MissingPackageError, ResMemError
from resmem_plugin.core.provenance import package_version

NAME = "@resmem/memorability"
"""The plugin's name, as in fiftyone.yml."""

_ENTRY = "resmem_plugin/fiftyone/entry.py"
_FILES = ("requirements.txt", "assets/memorability-light.svg", "assets/memorability-dark.svg", _ENTRY, "fiftyone.yml")
_MARKER = "installed-by-resmem.json"
"""The file that marks a folder as written by `install`, not linked, downloaded or copied."""


@dataclass(frozen=True)
class PluginCopy:
    """A copy of the plugin in FiftyOne's plugins folder.

    Attributes:
        folder: its path.
        ours: whether `install` wrote it.
    """

    folder: Path
    ours: bool

    @property
    def current(self) -> bool:
        """Whether its files are those of the installed package; always True for copies that `install` did not write."""
        return not self.ours or all(_content(self.folder / name) == _content(_source(name)) for name in _FILES)

    @property
    def removal(self) -> str:
        """The command that removes it."""
        if self.ours:
            return "resmem plugin uninstall"
        plugins = plugins_folder()
        paths = [path for path in (self.folder, *self.folder.parents) if path.is_relative_to(plugins)]
        link = next((path for path in paths if path != plugins and path.is_symlink()), None)
        return f"rm '{link}', a link" if link else f"fiftyone plugins delete {NAME}"


def find_copies() -> list[PluginCopy]:
    """The copies of the plugin that FiftyOne finds; it loads the first and ignores the others.

    Raises:
        MissingPackageError: if FiftyOne is not installed.
    """
    import_fiftyone()
    import fiftyone.plugins as fop

    found = fop.list_plugins(enabled="all", builtin=False, shadowed="all")
    folders = [Path(os.path.abspath(plugin.directory)) for plugin in found if plugin.name == NAME]
    return [PluginCopy(folder, ours=_is_ours(folder)) for folder in folders]


def is_disabled() -> bool:
    """Whether the plugin is disabled in FiftyOne's settings."""
    import_fiftyone()
    import fiftyone.plugins as fop

    return NAME in fop.list_disabled_plugins()


def install() -> Path:
    """Write the plugin into FiftyOne's plugins folder, or update it; returns its folder.

    Raises:
        MissingPackageError: if FiftyOne is not installed.
        ResMemError: if FiftyOne has another copy of the plugin, the folder exists with other content, or it cannot be
            written.
    """
    folder = _plugin_folder()
    for copy in find_copies():
        if not copy.ours:
            raise ResMemError(
                f"FiftyOne has this plugin already, in {copy.folder}, not from `resmem plugin install`: use that copy, "
                f"or remove it ({copy.removal}) and install again"
            )
    if os.path.lexists(folder) and not _is_ours(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ResMemError(f"{folder} exists, but is not from `resmem plugin install`: move it elsewhere")
    try:
        write(folder)
    except OSError as error:
        raise ResMemError(
            f"{folder} cannot be written ({error.strerror or error}): fix its permissions, or set FIFTYONE_PLUGINS_DIR "
            "to a folder that can be written"
        ) from error
    return folder


def uninstall() -> Path | None:
    """Remove the files that `install` wrote, and no others; returns the folder, or None if there was none.

    Raises:
        MissingPackageError: if FiftyOne is not installed.
        ResMemError: if FiftyOne has the plugin, but not from `install`.
    """
    copies = find_copies()
    removed = [copy.folder for copy in copies if copy.ours]
    if copies and not removed:
        raise ResMemError(
            f"the plugin in {copies[0].folder} is not from `resmem plugin install`, and was not removed; to remove it: "
            f"{copies[0].removal}"
        )
    for folder in removed:
        _remove(folder)
    return removed[0] if removed else None


def write(folder: Path) -> None:
    """Write the plugin's files, the manifest last, so that FiftyOne never finds an incomplete plugin."""
    folder.mkdir(parents=True, exist_ok=True)
    marker = {"package": "resmem-plugin", "version": package_version(), "files": _FILES}
    _write(folder / _MARKER, json.dumps(marker, indent=2).encode())
    for name in _FILES:
        _write(folder / name, _source(name).read_bytes())


def _write(path: Path, content: bytes) -> None:
    if _content(path) == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _source(name: str) -> Path:
    """The path of a file of the plugin, in the wheel or in the checkout of an editable install."""
    package = Path(__file__).resolve().parents[1]
    if name == _ENTRY:
        return package / "entry.py"
    shipped = package / "plugin"
    return (shipped if shipped.is_dir() else package.parents[1]) / name


def plugins_folder() -> Path:
    """The folder in which FiftyOne looks for plugins."""
    return Path(os.path.abspath(import_fiftyone().config.plugins_dir))


def _plugin_folder() -> Path:
    """The same folder that `fiftyone plugins download` would use."""
    return plugins_folder().joinpath(*NAME.split("/"))


def _is_ours(folder: Path) -> bool:
    return not folder.is_symlink() and (folder / _MARKER).is_file()


def _remove(folder: Path) -> None:
    real = folder.resolve()
    for name in _manifest_files(folder):
        path = folder / name
        if path.parent.resolve().is_relative_to(real):  # not through a link to another folder
            path.unlink(missing_ok=True)
    for compiled in (folder / _ENTRY).parent.glob("__pycache__/entry.*.pyc"):
        compiled.unlink()
    (folder / _MARKER).unlink(missing_ok=True)
    emptied = [path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()]
    for empty in [*sorted(emptied, reverse=True), folder, folder.parent]:
        with contextlib.suppress(OSError):  # it has other files
            empty.rmdir()


def _manifest_files(folder: Path) -> Iterator[str]:
    try:
        names = json.loads((folder / _MARKER).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        names = _FILES
    return (str(name) for name in names)


def import_fiftyone() -> Any:
    """Import FiftyOne, which takes seconds; returns the module.

    Raises:
        MissingPackageError: if it is not installed.
    """
    try:
        import fiftyone
    except ModuleNotFoundError as error:
        if error.name != "fiftyone":
            raise
        raise MissingPackageError('FiftyOne is not installed: pip install "resmem-plugin[fiftyone]"') from error
    return fiftyone
