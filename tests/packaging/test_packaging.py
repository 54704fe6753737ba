"""What is shipped, and what installs it."""

from __future__ import annotations

import re
import zipfile
from importlib.metadata import metadata, requires, version
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.packaging.conftest import ROOT


def test_wheel_contains_package_and_licences_and_no_weights(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "resmem_plugin").rglob("*.py")}
    assert sources | {"resmem_plugin/py.typed"} <= set(names)
    assert {name.rpartition("/")[2] for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"resmem_plugin"}
    assert not [name for name in names if name.endswith((".pt", ".safetensors"))]
    assert wheel.stat().st_size < 1_000_000


def test_wheel_contains_fiftyones_files_once(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    inside = "resmem_plugin/fiftyone/plugin/"
    shipped = {name.removeprefix(inside) for name in archive.namelist() if name.startswith(inside)}
    icons = {"assets/memorability-light.svg", "assets/memorability-dark.svg"}
    assert shipped == {"fiftyone.yml", "requirements.txt", *icons}
    for name in shipped:
        assert archive.read(inside + name) == (ROOT / name).read_bytes()


def test_manifest_agrees_with_the_metadata() -> None:
    manifest = yaml.safe_load((ROOT / "fiftyone.yml").read_text())
    assert manifest["version"] == version("resmem-plugin")
    assert manifest["license"] == metadata("resmem-plugin")["License-Expression"]
    wanted = {str(requirement.specifier) for requirement in _requirements() if requirement.name == "fiftyone"}
    assert {str(SpecifierSet(manifest["fiftyone"]["version"]))} == wanted
    assert (ROOT / manifest["py_entry"]).is_file()


def test_requirements_are_the_dependencies_and_the_weights() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    listed = {str(Requirement(line)) for line in lines if not line.startswith("#")}
    wanted = [req for req in _requirements() if req.marker is None or req.name == "resmem"]
    for requirement in wanted:
        requirement.marker = None
    assert listed == {str(requirement) for requirement in wanted}


def test_icons_are_svg_of_24_pixels() -> None:
    for name in ("memorability-light.svg", "memorability-dark.svg"):
        drawing = ElementTree.parse(ROOT / "assets" / name).getroot()
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
        assert drawing.get("viewBox") == "0 0 24 24"


def _requirements() -> list[Requirement]:
    return [Requirement(line) for line in requires("resmem-plugin") or []]


def test_metadata_has_licence_dependencies_and_extras() -> None:
    assert metadata("resmem-plugin")["License-Expression"] == "Apache-2.0"
    base = {requirement.name for requirement in _requirements() if requirement.marker is None}
    assert base >= {"torch", "torchvision", "pillow", "numpy", "pandas", "tqdm", "fsspec", "safetensors"}
    extras = set(metadata("resmem-plugin").get_all("Provides-Extra") or [])
    assert extras >= {"weights", "fiftyone", "openvino", "all", "test", "dev"}


def test_constraints_contain_names_and_versions_only() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[^ /@]+(; python_version (>=|<) \"3\.11\")?", line), line


def test_constraints_cover_the_dependencies() -> None:
    constrained = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    for name in {requirement.name for requirement in _requirements()}:
        assert name == "resmem-plugin" or name in constrained, name


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_links_in_the_documents_exist(name: str) -> None:
    linked = re.findall(r"\]\((?!https?://|#)([^)#]+)", (ROOT / name).read_text())
    assert name != "README.md" or len(linked) > 5
    assert [path for path in linked if not (ROOT / path).exists()] == []
