"""The command where containers and cron run it: without a home, with somebody else's, as an unknown user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

USER = 12345
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
ENVIRONMENTS = {
    "no home, as cron": {},
    "the root as home": {"HOME": "/"},
    "the home of somebody else": {"HOME": "{private}"},
    "a home that does not exist": {"HOME": "/nonexistent"},
    "a cache folder of somebody else": {"HOME": "/nonexistent", "RESMEM_CACHE_DIR": "{private}"},
    "a cache folder for everybody": {"HOME": "/nonexistent", "TMPDIR": "/nonexistent", "RESMEM_CACHE_DIR": "{open}"},
}


def _can_run_as_user() -> bool:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    check = [*AS_USER, sys.executable, "-c", "import resmem_plugin.core.scoring.scorer"]
    return subprocess.run(check, cwd="/", env={"PYTHONPATH": str(ROOT)}, capture_output=True).returncode == 0


@pytest.mark.weights
@pytest.mark.skipif(not _can_run_as_user(), reason="needs root, setpriv, and a checkout that every user can read")
@pytest.mark.parametrize("kind", ENVIRONMENTS)
def test_an_image_is_scored_with_one_warning_at_most(kind: str, photos: dict[str, Path], tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    variables = {
        name: value.format(private=private, open=tmp_path / "open") for name, value in ENVIRONMENTS[kind].items()
    }
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    command = [*AS_USER, sys.executable, "-m", "resmem_plugin.cli", "score", str(photos["coffee.png"])]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "coffee.png,0.88" in done.stdout
    assert done.stderr.count("warning") <= 1
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "open").iterdir())
    assert "RESMEM_CACHE_DIR" in done.stderr or "warning" not in done.stderr


_READ_ONLY = (
    "mount --make-rprivate / && for place in $(awk '{print $2}' /proc/mounts | grep -vE '^/(proc|sys|dev)'); do "
    'mount -o remount,bind,ro "$place" || exit 99; done; exec "$@"'
)
READ_ONLY = ["unshare", "--mount", "sh", "-c", _READ_ONLY, "sh"]


def _can_mount_read_only() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run([*READ_ONLY, "true"], capture_output=True).returncode == 0


@pytest.mark.weights
@pytest.mark.skipif(not _can_mount_read_only(), reason="needs root, and to mount file systems")
def test_an_image_is_scored_on_a_wholly_read_only_file_system(photos: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home")}
    command = [*READ_ONLY, sys.executable, "-m", "resmem_plugin.cli", "score", str(photos["coffee.png"])]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "coffee.png,0.88" in done.stdout
    assert done.stderr.count("warning") <= 1
    assert "Traceback" not in done.stderr
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "scores.csv")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "cannot be written to: name another" in done.stderr
    assert not list(tmp_path.rglob("*.*"))
