"""The entry module, run as FiftyOne's loader runs it, in separate processes."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENTRY = ROOT / "resmem_plugin" / "fiftyone" / "entry.py"

LOAD = f"""
import importlib.util, sys

def load(path={str(ENTRY)!r}):
    spec = importlib.util.spec_from_file_location("fiftyone.plugins.orgs.resmem.memorability", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

"""
# What is installed, without the .pth file that makes a checkout importable.
NOT_INSTALLED = f"import sys; sys.path.append({sysconfig.get_path('purelib')!r})\n"


def run(code: str, *options: str) -> str:
    command = [sys.executable, *options, "-c", LOAD + code]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout.strip()


def test_installed_package_is_found() -> None:
    run("before = list(sys.path); load(); load(); assert sys.path == before")


def test_entry_imports_neither_torch_nor_fiftyone() -> None:
    assert run("load(); print(*{'torch', 'torchvision', 'fiftyone'} & set(sys.modules))") == ""


def test_entry_has_the_packages_register() -> None:
    run("first, second = load(), load(); import resmem_plugin.fiftyone as home; assert first is not second\n"
        "assert first.register is second.register is home.register")  # fmt: skip


def test_a_checkout_is_found_once_and_last() -> None:
    found = run(f"{NOT_INSTALLED}load(); load(); print(sys.path.count({str(ROOT)!r}), sys.path[-1])", "-I", "-S")
    assert found == f"1 {ROOT}"


def test_linked_checkout_is_found(tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(ROOT)
    entry = tmp_path / "linked" / ENTRY.relative_to(ROOT)
    found = run(f"{NOT_INSTALLED}load({str(entry)!r}); print(sys.modules['resmem_plugin'].__file__)", "-I", "-S")
    assert found == str(ROOT / "resmem_plugin" / "__init__.py")


def test_a_folder_of_the_same_name_does_not_hide_the_package(tmp_path: Path) -> None:
    (tmp_path / "resmem_plugin").mkdir()
    found = run(
        f"{NOT_INSTALLED}sys.path.insert(0, {str(tmp_path)!r}); load(); print(sys.modules['resmem_plugin'].__file__)",
        "-I",
        "-S",
    )
    assert found == str(ROOT / "resmem_plugin" / "__init__.py")


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    alone = tmp_path / "resmem_plugin" / "fiftyone" / "entry.py"
    alone.parent.mkdir(parents=True)
    alone.write_bytes(ENTRY.read_bytes())
    command = [sys.executable, "-I", "-S", "-c", f"{LOAD}load({str(alone)!r})"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode
    assert f"the plugin in {tmp_path} needs the package resmem-plugin, which is not installed" in done.stderr
