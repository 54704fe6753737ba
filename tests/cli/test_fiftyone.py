"""`resmem plugin` and `resmem app`: what they say, and their exit codes."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from resmem_plugin.cli import main
from tests.conftest import ROOT
from tests.packaging.environments import Environment, make_environment


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import fiftyone as fo

    monkeypatch.setattr(fo.config, "plugins_dir", str(tmp_path / "plugins"))
    monkeypatch.setenv("FIFTYONE_APP_CONFIG_PATH", str(tmp_path / "app_config.json"))
    return tmp_path / "plugins"


def test_plugin(plugins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugin", "path"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "install it with `resmem plugin install`" in captured.err
    folder = plugins / "@resmem" / "memorability"
    assert main(["plugin", "install"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{folder}\n"
    assert "next: `fiftyone app launch`" in captured.err
    assert main(["plugin", "path"]) == 0
    assert capsys.readouterr() == (f"{folder}\n", "")
    (folder / "fiftyone.yml").write_text('name: "@resmem/memorability"\n')
    assert main(["plugin", "path"]) == 0
    assert "update it with `resmem plugin install`" in capsys.readouterr().err
    assert main(["plugin", "uninstall"]) == 0
    assert f"removed {folder}" in capsys.readouterr().err
    assert main(["plugin", "uninstall"]) == 0
    assert "nothing to remove" in capsys.readouterr().err


def test_plugin_beside_another_copy(plugins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["plugin", "install"])
    (plugins / "zz").mkdir()
    shutil.copy(ROOT / "fiftyone.yml", plugins / "zz")
    capsys.readouterr()
    assert main(["plugin", "path"]) == 0
    assert f"another copy in {plugins / 'zz'}, which FiftyOne ignores" in capsys.readouterr().err
    assert main(["plugin", "install"]) == 1
    assert "has this plugin already" in capsys.readouterr().err


def test_plugin_switched_off(plugins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import fiftyone.plugins as fop

    main(["plugin", "install"])
    fop.disable_plugin("@resmem/memorability")
    capsys.readouterr()
    assert main(["plugin", "path"]) == 0
    assert "fiftyone plugins enable @resmem/memorability" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path: Path, photos: dict[str, Path]) -> Path:
    (tmp_path / "pictures").mkdir()
    shutil.copy(photos["coffee.png"], tmp_path / "pictures")
    return tmp_path / "pictures"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing"], "missing is not a folder"),
        (["pictures/coffee.png"], "is not a folder: name a folder of images"),
        (["empty"], "no images in the folder"),
        (["pictures", "--port", "{taken}"], "cannot be served at 127.0.0.1, port {taken}"),
        (["pictures", "--address", "192.0.2.1"], "cannot be served at 192.0.2.1"),
    ],
)
def test_app_refuses(
    arguments: list[str],
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("empty").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = listening.getsockname()[1]
        assert main(["app", *(argument.format(taken=taken) for argument in arguments)]) == 2
    assert said.format(taken=taken) in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_app_refuses_a_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["app", ".", "--port", port])
    assert "--port" in capsys.readouterr().err


@pytest.fixture(scope="module")
def without_fiftyone(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = make_environment(tmp_path_factory.mktemp("without") / "venv", without=["fiftyone"])
    (environment.site_packages / "checkout.pth").write_text(str(ROOT))
    return environment


@pytest.mark.parametrize("command", ["plugin install", "plugin uninstall", "plugin path", "app {folder}"])
def test_fiftyone_is_not_installed(command: str, without_fiftyone: Environment, folder: Path) -> None:
    arguments = command.format(folder=folder).split()
    done = without_fiftyone.run("-m", "resmem_plugin.cli", *arguments, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert 'FiftyOne is not installed: pip install "resmem-plugin[fiftyone]"' in done.stderr


@pytest.fixture
def without_mongod(tmp_path: Path) -> Environment:
    """FiftyOne as it is where the build of fiftyone-db could not download: without a mongod."""
    environment = make_environment(tmp_path / "venv", without=["fiftyone"])
    (environment.site_packages / "checkout.pth").write_text(str(ROOT))
    import fiftyone

    original = Path(fiftyone.__file__).parent
    package = environment.site_packages / "fiftyone"
    (package / "db" / "bin").mkdir(parents=True)
    (package / "db" / "bin" / "exception.txt").write_text("no network")
    shutil.copy(original / "db" / "__init__.py", package / "db")
    for entry in original.iterdir():
        if entry.name != "db":
            (package / entry.name).symlink_to(entry)
    for entry in original.parent.glob("fiftyone-*.dist-info"):
        (environment.site_packages / entry.name).symlink_to(entry)
    return environment


def test_there_is_no_mongod(without_mongod: Environment, folder: Path) -> None:
    done = without_mongod.run("-m", "resmem_plugin.cli", "app", folder, "--port", "5997", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "FiftyOne has no database: its package fiftyone-db was built without one" in done.stderr
    assert "FIFTYONE_DATABASE_URI" in done.stderr


def test_the_database_does_not_answer(without_mongod: Environment, folder: Path) -> None:
    """A server of one's own that is not there: found out before anything is scored."""
    without_mongod.variables["FIFTYONE_DATABASE_URI"] = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"
    done = without_mongod.run("-m", "resmem_plugin.cli", "app", folder, "--port", "5997", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "FiftyOne's database does not answer" in done.stderr


def test_the_commands_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("plugin", "app"):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert f"usage: resmem {command}" in capsys.readouterr().out
