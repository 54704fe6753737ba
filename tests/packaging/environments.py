"""Python environments of the tests' own, quickly: a new venv with links to what this one has installed."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

OURS = ("resmem-plugin",)


@dataclass(frozen=True)
class Environment:
    """A venv, and folders for FiftyOne's settings, plugins and database that nobody else uses."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.folder / "lib" / version / "site-packages"

    @property
    def plugins(self) -> Path:
        return self.folder / "plugins"

    def run(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments, in an empty folder, with nothing of this process's paths."""
        variables = {key: value for key, value in os.environ.items() if not key.startswith(("FIFTYONE_", "PYTHON"))}
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        done = subprocess.run(
            [str(self.python), *map(str, arguments)],
            cwd=empty,
            env={**variables, **self._fiftyone(), **self.variables},
            capture_output=True,
            text=True,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def _fiftyone(self) -> dict[str, str]:
        return {
            "FIFTYONE_PLUGINS_DIR": str(self.plugins),
            "FIFTYONE_DATABASE_DIR": str(self.folder / "database"),
            "FIFTYONE_DEFAULT_DATASET_DIR": str(self.folder / "datasets"),
            "FIFTYONE_CONFIG_PATH": str(self.folder / "config.json"),
            "FIFTYONE_APP_CONFIG_PATH": str(self.folder / "app_config.json"),
            "FIFTYONE_DO_NOT_TRACK": "true",
        }


def make_environment(folder: Path, *, without: Collection[str] = ()) -> Environment:
    """A venv that has what this Python has installed, but this package and the distributions `without`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    environment = Environment(folder)
    left_out = {name for absent in (*OURS, *without) for name in _top_level(absent)}
    for entry in os.scandir(sysconfig.get_path("purelib")):
        if entry.name not in left_out and not entry.name.endswith(".pth"):
            (environment.site_packages / entry.name).symlink_to(entry.path)
    environment.plugins.mkdir()
    return environment


def install_wheel(environment: Environment, wheel: Path) -> None:
    """Install a wheel, and nothing that it depends on."""
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "--python", str(environment.python), "install", *options, str(wheel)]
    subprocess.run(command, check=True)


def _top_level(name: str) -> set[str]:
    """What a distribution has put into site-packages, at the top."""
    files = distribution(name).files
    assert files, f"{name} does not list its files"
    return {file.parts[0] for file in files if file.parts[0] != ".."}
