"""The four ways to install the plugin in FiftyOne, each in separate processes."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.conftest import ROOT
from tests.packaging.environments import Environment, install_wheel, make_environment

NAME = "@resmem/memorability"
OPERATORS = [
    "compute_memorability",
    "delete_memorability",
    "explain_memorability",
    "fine_tune_memorability",
    "memorability_info",
    "memorability_kendall",
    "memorability_pearson",
    "memorability_percentiles",
    "memorability_spearman",
    "select_by_memorability",
    "sort_by_memorability",
]
PANELS = ["memorability_panel"]

# What FiftyOne's server does at every request: build the registry again.
REPORT = f"""
import json, os, sys
import fiftyone.operators as foo, fiftyone.plugins as fop
from fiftyone.operators.registry import OperatorRegistry

for request in range(2):
    registry = OperatorRegistry()
mine = lambda type: sorted(each.name for each in registry.list_operators(type=type) if each.plugin_name == {NAME!r})
print(json.dumps(dict(
    plugins=[plugin.name for plugin in fop.list_plugins()],
    errors=registry.list_errors(),
    operators=mine("operator"),
    panels=mine("panel"),
    uri=foo.get_operator("{NAME}/compute_memorability").uri if mine("operator") else None,
    heavy=[name for name in ("torch", "torchvision", "openvino", "safetensors", "fsspec") if name in sys.modules],
    packages=[name for name in sys.modules if name.split(".")[-1] == "resmem_plugin"],
    files=[module.__file__ for module in list(sys.modules.values())
        if str(getattr(module, "__file__", None)).endswith(os.path.join("resmem_plugin", "__init__.py"))],
)))
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Nothing of ours installed, but all that we depend on."""
    return make_environment(tmp_path_factory.mktemp("bare") / "venv")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    """The wheel installed, as pip does it."""
    environment = make_environment(tmp_path_factory.mktemp("installed") / "venv")
    install_wheel(environment, wheel)
    return environment


@pytest.fixture(autouse=True)
def no_plugins(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in {"bare", "installed"} & set(request.fixturenames):
        plugins = request.getfixturevalue(name).plugins
        shutil.rmtree(plugins)
        plugins.mkdir()


def report(environment: Environment) -> dict[str, Any]:
    last = environment.run("-c", REPORT).stdout.splitlines()[-1]
    found: dict[str, Any] = json.loads(last)
    return found


def assert_loaded(environment: Environment, package: Path) -> None:
    """The plugin is there, whole, and the package once, from the folder `package`."""
    found = report(environment)
    assert found["errors"] == []
    assert NAME in found["plugins"]
    assert found["operators"] == OPERATORS
    assert found["panels"] == PANELS
    assert found["uri"] == f"{NAME}/compute_memorability"
    assert found["heavy"] == []
    assert found["packages"] == ["resmem_plugin"]
    assert found["files"] == [str(package / "__init__.py")]


def test_plugin_linked_from_a_checkout(bare: Environment) -> None:
    assert bare.run("-c", "import resmem_plugin", check=False).returncode
    (bare.plugins / "memorability").symlink_to(ROOT)
    assert_loaded(bare, ROOT / "resmem_plugin")


def test_plugin_linked_from_a_checkout_beside_the_installed_package(installed: Environment) -> None:
    (installed.plugins / "memorability").symlink_to(ROOT)
    assert_loaded(installed, installed.site_packages / "resmem_plugin")


@pytest.fixture
def archive_url(tmp_path: Path) -> Iterator[str]:
    """The address of a zip of the checkout, as code hosts make them: all in one folder."""
    built = {"build", "demo", "dist"}
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        tops = [top for top in ROOT.iterdir() if top.name not in built and not top.name.startswith(".")]
        for path in (path for top in tops for path in (top, *top.rglob("*"))):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, Path("resmem-plugin-main") / path.relative_to(ROOT))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/archive.zip"
        server.shutdown()


def test_plugin_downloaded_by_fiftyone(bare: Environment, archive_url: str) -> None:
    fiftyone = "from fiftyone.core.cli import main; main()"
    bare.run("-c", fiftyone, "plugins", "download", archive_url)
    assert_loaded(bare, bare.plugins / "@resmem" / "memorability" / "resmem_plugin")
    requirements = bare.run("-c", fiftyone, "plugins", "requirements", NAME, "--print").stdout.splitlines()
    assert set(requirements) >= {"torch>=2.9", "resmem==1.1.6"}


def test_plugin_installed_by_the_command(installed: Environment) -> None:
    resmem = installed.folder / "bin" / "resmem"
    assert report(installed)["operators"] == []
    folder = Path(installed.run(resmem, "plugin", "install").stdout.strip())
    assert folder == installed.plugins / "@resmem" / "memorability"
    assert_loaded(installed, installed.site_packages / "resmem_plugin")
    assert installed.run(resmem, "plugin", "path").stdout.strip() == str(folder)
    for name in ("fiftyone.yml", "requirements.txt", "assets/memorability-light.svg", "assets/memorability-dark.svg"):
        assert (folder / name).read_bytes() == (ROOT / name).read_bytes()
    installed.run(resmem, "plugin", "uninstall")
    assert list(installed.plugins.iterdir()) == []


@pytest.mark.parametrize(
    "absent",
    [("torch", "torchvision"), ("resmem",), ("safetensors", "fsspec", "platformdirs")],
    ids=["torch", "weights", "small"],
)
def test_plugin_registers_without_its_dependencies(absent: tuple[str, ...], tmp_path: Path) -> None:
    """What is missing is for the form to say."""
    environment = make_environment(tmp_path / "venv", without=absent)
    (environment.plugins / "memorability").symlink_to(ROOT)
    assert_loaded(environment, ROOT / "resmem_plugin")


def test_plugin_without_its_package_is_an_error_that_names_it(bare: Environment, installed: Environment) -> None:
    installed.run(installed.folder / "bin" / "resmem", "plugin", "install")
    shutil.copytree(installed.plugins / "@resmem", bare.plugins / "@resmem")
    found = report(bare)
    assert found["operators"] == []
    (error,) = found["errors"]
    said = error.strip().splitlines()[-1]
    assert "ImportError" in said
    assert "needs the package resmem-plugin, which is not installed" in said
    assert "pip install" in said


def test_manifest_lists_the_registered_operators_and_panels() -> None:
    manifest = yaml.safe_load((ROOT / "fiftyone.yml").read_text())
    assert sorted(manifest["operators"]) == OPERATORS
    assert manifest["panels"] == PANELS
    assert manifest["name"] == NAME
