"""The check for a database: FiftyOne's own, and programs that cannot run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from resmem_plugin.core.errors import MissingPackageError
from resmem_plugin.fiftyone.setup.database import FALLBACK_PACKAGE, find_database, has_fallback, main

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No server is configured, here or by a parent process."""
    for name in ("FIFTYONE_DATABASE_URI", "FIFTYONE_PRIVATE_DATABASE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FIFTYONE_CONFIG_PATH", str(tmp_path / "config.json"))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which FiftyOne looks for `mongod` first."""
    package = tmp_path / "site" / "fiftyone" / "db"
    (package / "bin").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    return package / "bin"


def program(folder: Path, script: str, mode: int = 0o755) -> Path:
    path = folder / "mongod"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)
    return path


def test_own_mongod_of_fiftyone_is_found() -> None:
    import fiftyone.core.service as fos

    assert find_database() == fos.DatabaseService.find_mongod()


def test_database_is_found_without_importing_fiftyone() -> None:
    code = (
        "import sys; from resmem_plugin.fiftyone.setup.database import main; code = main(); "
        "assert 'fiftyone' not in sys.modules; sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_configured_server_is_found(monkeypatch: pytest.MonkeyPatch, programs: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"database_uri": "mongodb://configured"}))
    assert find_database() == "mongodb://configured"
    monkeypatch.setenv("FIFTYONE_PRIVATE_DATABASE_PORT", "12345")
    assert find_database() == "mongodb://localhost:12345"
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", "mongodb://mine")
    assert find_database() == "mongodb://mine"


@pytest.mark.parametrize("content", ["", "[]", '{"database_uri": null}', "{"])
def test_configuration_without_server_is_ignored(content: str, programs: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    mongod = program(programs, "exit 0")
    assert find_database() == str(mongod)


def test_failed_download_of_mongod_is_reported(programs: Path) -> None:
    (programs / "exception.txt").write_text("no route to host")
    with pytest.raises(
        MissingPackageError, match=r"built without one .*exception\.txt.*FIFTYONE_DATABASE_URI"
    ) as error:
        find_database()
    assert (FALLBACK_PACKAGE in str(error.value)) == has_fallback()


def test_missing_mongod_is_reported(programs: Path) -> None:
    with pytest.raises(MissingPackageError, match=r"there is no .*mongod"):
        find_database()


@pytest.mark.parametrize(
    ("script", "mode", "message"),
    [
        ("exit 0", 0o644, "is not executable"),
        ("echo 'libcrypto.so.3: not found' >&2; exit 127", 0o755, r"cannot be started \(libcrypto.so.3: not found\)"),
        ("exit 4", 0o755, r"cannot be started \(exit code 4\)"),
        ("kill -ILL $$", 0o755, r"cannot be started \(exit code -4\)"),
    ],
)
def test_broken_mongod_is_reported(script: str, mode: int, message: str, programs: Path) -> None:
    program(programs, script, mode)
    with pytest.raises(MissingPackageError, match=f"does not run here.*{message}.*FIFTYONE_DATABASE_URI"):
        find_database()


def test_mongod_of_another_architecture_is_reported(programs: Path) -> None:
    (programs / "mongod").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    (programs / "mongod").chmod(0o755)
    with pytest.raises(MissingPackageError, match="does not run here"):
        find_database()


def test_exit_codes_for_the_makefile(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == (3 if has_fallback() else 1)
    assert "FiftyOne has no database" in capsys.readouterr().err
    mongod = program(programs, "exit 0")
    assert main() == 0
    assert capsys.readouterr().out == f"{mongod}\n"


@pytest.mark.skipif(not has_fallback(), reason="the fall-back is for Linux on x86-64")
def test_makefile_uses_the_fallback_package() -> None:
    assert f"--constraint constraints.txt --force-reinstall {FALLBACK_PACKAGE}" in (ROOT / "Makefile").read_text()
    assert f"\n{FALLBACK_PACKAGE}==" in (ROOT / "constraints.txt").read_text()
