"""`resmem plugin` and `resmem app`: messages and exit codes."""

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


def test_plugin_install_path_and_uninstall(plugins: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_second_copy_of_the_plugin_is_reported(plugins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["plugin", "install"])
    (plugins / "zz").mkdir()
    shutil.copy(ROOT / "fiftyone.yml", plugins / "zz")
    capsys.readouterr()
    assert main(["plugin", "path"]) == 0
    assert f"another copy in {plugins / 'zz'}, which FiftyOne ignores" in capsys.readouterr().err
    assert main(["plugin", "install"]) == 1
    assert "has this plugin already" in capsys.readouterr().err


def test_disabled_plugin_is_reported(plugins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import fiftyone.plugins as fop

    main(["plugin", "install"])
    fop.disable_plugin("@resmem/memorability")
    capsys.readouterr()
    assert main(["plugin", "path"]) == 0
    assert "fiftyone plugins enable @resmem/memorability" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path: Path, photos: dict[str, Path]) -> Path:
    (tmp_path / "images").mkdir()
    shutil.copy(photos["coffee.png"], tmp_path / "images")
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "missing is not a folder"),
        (["images/coffee.png"], "is not a folder: name a folder of images"),
        (["empty"], "no images in the folder"),
        (["images", "--port", "{taken}"], "cannot be served at 127.0.0.1, port {taken}"),
        (["images", "--address", "192.0.2.1"], "cannot be served at 192.0.2.1"),
    ],
)
def test_app_with_wrong_arguments_exits_with_2(
    arguments: list[str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("empty").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = listening.getsockname()[1]
        assert main(["app", *(argument.format(taken=taken) for argument in arguments)]) == 2
    assert message.format(taken=taken) in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_app_rejects_invalid_ports(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["app", ".", "--port", port])
    assert "--port" in capsys.readouterr().err


@pytest.fixture(scope="module")
def without_fiftyone(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = make_environment(tmp_path_factory.mktemp("without") / "venv", without=["fiftyone"])
    (environment.site_packages / "checkout.pth").write_text(str(ROOT))
    return environment


@pytest.mark.parametrize("command", ["plugin install", "plugin uninstall", "plugin path", "app {folder}"])
def test_commands_without_fiftyone_name_the_extra(command: str, without_fiftyone: Environment, folder: Path) -> None:
    arguments = command.format(folder=folder).split()
    done = without_fiftyone.run("-m", "resmem_plugin.cli", *arguments, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error") == 1
    assert 'FiftyOne is not installed: pip install "resmem-plugin[fiftyone]"' in done.stderr


@pytest.fixture
def without_mongod(tmp_path: Path) -> Environment:
    """FiftyOne without a mongod, as when fiftyone-db was built without network access."""
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


def test_app_without_mongod(without_mongod: Environment, folder: Path) -> None:
    done = without_mongod.run("-m", "resmem_plugin.cli", "app", folder, "--port", "5997", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "FiftyOne has no database: its package fiftyone-db was built without one" in done.stderr
    assert "FIFTYONE_DATABASE_URI" in done.stderr


def test_app_with_an_unreachable_database(without_mongod: Environment, folder: Path) -> None:
    """The server in FIFTYONE_DATABASE_URI is not running; this is reported before any image is scored."""
    without_mongod.variables["FIFTYONE_DATABASE_URI"] = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"
    done = without_mongod.run("-m", "resmem_plugin.cli", "app", folder, "--port", "5997", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "FiftyOne's database does not answer" in done.stderr


def test_help_of_plugin_and_app(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("plugin", "app"):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert f"usage: resmem {command}" in capsys.readouterr().out
