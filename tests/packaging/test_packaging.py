"""What is shipped, and what installs it."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from importlib.metadata import metadata, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_package_and_its_licences_and_no_weights(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "resmem_plugin").rglob("*.py")}
    assert sources | {"resmem_plugin/py.typed"} <= set(names)
    assert {name.rpartition("/")[2] for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"resmem_plugin"}
    assert not [name for name in names if name.endswith((".pt", ".safetensors"))]
    assert wheel.stat().st_size < 1_000_000


def test_the_metadata_say_what_the_readme_says() -> None:
    assert metadata("resmem-plugin")["License-Expression"] == "Apache-2.0"
    requirements = [Requirement(line) for line in requires("resmem-plugin") or []]
    base = {requirement.name for requirement in requirements if requirement.marker is None}
    assert base >= {"torch", "torchvision", "pillow", "numpy", "pandas", "tqdm", "fsspec", "safetensors"}
    extras = set(metadata("resmem-plugin").get_all("Provides-Extra") or [])
    assert extras >= {"weights", "fiftyone", "openvino", "all", "test", "dev"}


def test_constraints_hold_names_and_versions_only() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[^ /@]+(; python_version (>=|<) \"3\.11\")?", line), line


def test_constraints_cover_the_dependencies() -> None:
    constrained = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    for line in requires("resmem-plugin") or []:
        name = Requirement(line).name
        assert name == "resmem-plugin" or name in constrained, name
