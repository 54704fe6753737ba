"""`resmem app`: the dataset of a folder is created or loaded, and the real App shows it until Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.setup.install import NAME, find_copies
from resmem_plugin.fiftyone.setup.launch import ensure_plugin, folder_dataset

if TYPE_CHECKING:
    from resmem_plugin import Scorer

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 180


@pytest.fixture
def folder(tmp_path: Path, photos: dict[str, Path], database: str) -> Iterator[Path]:
    """A folder with two images and a broken one; its datasets are deleted afterwards."""
    import fiftyone as fo

    folder = tmp_path / f"images-{uuid.uuid4().hex[:8]}"
    (folder / "sub").mkdir(parents=True)
    for name in ("coffee.png", "rocket.jpg"):
        shutil.copy(photos[name], folder)
    (folder / "broken.jpg").write_text("not an image")
    yield folder
    for name in fo.list_datasets():
        if fo.load_dataset(name).info.get("resmem_folder") == str(folder):
            fo.delete_dataset(name)


def images(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())


def test_folder_dataset_has_the_folders_name(folder: Path) -> None:
    dataset, skipped = folder_dataset(str(folder), images(folder))
    assert dataset.name == folder.name
    assert dataset.persistent
    assert sorted(dataset.values("filepath")) == images(folder)
    assert skipped == 0


def test_a_second_run_adds_only_new_images(
    folder: Path, photos: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _ = folder_dataset(str(folder), images(folder))
    ids = before.values("id")
    shutil.copy(photos["moon.png"], folder / "sub")
    monkeypatch.chdir(folder)
    after, _ = folder_dataset(".", [os.path.relpath(path, folder) for path in images(folder)])
    assert after.name == before.name
    assert sorted(after.values("filepath")) == images(folder)
    assert after.values("id")[:3] == ids


@pytest.mark.parametrize("earlier", [False, True])
def test_images_whose_suffix_fiftyone_does_not_know(folder: Path, red: Scorer, earlier: bool) -> None:
    import fiftyone as fo

    from resmem_plugin.fiftyone import compute_memorability

    for name in ("a.tga", "b.j2k"):
        Image.new("RGB", (64, 64), (51, 0, 0)).save(folder / name)
    if earlier:
        made = fo.Dataset(folder.name)
        made.info["resmem_folder"] = str(folder)
        made.add_sample(fo.Sample(filepath=str(folder / "a.tga")))
        made.save()
        made.persistent = True
    dataset, _ = folder_dataset(str(folder), images(folder))
    assert dataset.media_type == "image"
    assert len(dataset) == 5
    summary = compute_memorability(dataset, scorer=red)
    assert (summary.scored, summary.failed) == (4, 1)


def test_dataset_of_another_folder_is_not_reused(folder: Path, tmp_path: Path) -> None:
    folder_dataset(str(folder), images(folder))
    other = tmp_path / "other" / folder.name
    other.mkdir(parents=True)
    with pytest.raises(OptionError, match=rf"{folder.name}', created from {folder}: .*--name"):
        folder_dataset(str(other), ["a.jpg"])
    dataset, _ = folder_dataset(str(folder), images(folder), name=f"{folder.name}-2")
    assert len(dataset) == 3


def test_dataset_without_folder_is_not_reused(folder: Path, dataset: Any) -> None:
    import fiftyone as fo

    dataset.add_sample(fo.Sample(filepath="a.jpg"))
    with pytest.raises(OptionError, match=r"already has a dataset .*, created from something else"):
        folder_dataset(str(folder), images(folder), name=dataset.name)
    assert len(dataset) == 1
    assert not dataset.persistent


def test_empty_dataset_of_a_killed_run_is_reused(folder: Path) -> None:
    import fiftyone as fo

    fo.Dataset(folder.name)
    dataset, _ = folder_dataset(str(folder), images(folder))
    assert len(dataset) == 3
    assert dataset.persistent


@pytest.mark.parametrize(("path", "name"), [("/", None), (".", "??")])
def test_invalid_dataset_names_are_rejected(path: str, name: str | None, database: str) -> None:
    with pytest.raises(OptionError, match="--name"):
        folder_dataset(path, [], name=name)


def test_file_names_that_are_not_utf8_are_counted(folder: Path) -> None:
    dataset, skipped = folder_dataset(str(folder), [*images(folder), os.fsdecode(b"/tmp/\xff.jpg")])
    assert skipped == 1
    assert len(dataset) == 3


def test_ensure_plugin_keeps_installed_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fiftyone as fo
    import fiftyone.plugins as fop

    own = tmp_path / "plugins"
    (own / "theirs").mkdir(parents=True)
    (own / "theirs" / "fiftyone.yml").write_text("name: '@them/theirs'\n")
    monkeypatch.setattr(fo.config, "plugins_dir", str(own))
    monkeypatch.setenv("FIFTYONE_PLUGINS_DIR", str(own))
    with ensure_plugin() as known:
        assert not known
        assert set(fop.list_downloaded_plugins()) == {NAME, "@them/theirs"}
        passing = fo.config.plugins_dir
        assert os.environ["FIFTYONE_PLUGINS_DIR"] == passing
    assert fo.config.plugins_dir == os.environ["FIFTYONE_PLUGINS_DIR"] == str(own)
    assert not os.path.exists(passing)
    assert (own / "theirs" / "fiftyone.yml").exists()
    assert find_copies() == []


class Run:
    """`resmem app` in its own process group, as in a terminal."""

    def __init__(self, folder: Path, log: Path, plugins: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = int(listening.getsockname()[1])
        self.log = log
        command = [sys.executable, "-m", "resmem_plugin.cli", "app", str(folder), "--no-browser", "--recursive"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), "--device", "cpu"],
                cwd=ROOT,
                env={**os.environ, "FIFTYONE_PLUGINS_DIR": str(plugins)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, text: str) -> str:
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)
        return self.log.read_text()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return json.load(answer)

    def interrupt(self) -> int:
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=60)

    def stop(self) -> None:
        """End all processes, also after a failed test."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def start(folder: Path, tmp_path: Path) -> Iterator[Callable[[], Run]]:
    runs: list[Run] = []

    def one() -> Run:
        runs.append(Run(folder, tmp_path / f"{len(runs)}.log", tmp_path / "plugins"))
        return runs[-1]

    yield one
    for run in runs:
        run.stop()


@pytest.mark.weights
def test_the_app_from_start_to_ctrl_c(
    start: Callable[[], Run], folder: Path, tmp_path: Path, photos: dict[str, Path], scorer: Scorer
) -> None:
    import fiftyone as fo

    first = start()
    said = first.wait_for("Ctrl-C ends it")
    assert "2 of 3 scored, 1 failed: see the field memorability_error" in said
    assert f"http://127.0.0.1:{first.port}/" in said
    for what in ("starting FiftyOne and its database", "loading ResMem", "starting the App"):
        assert f"resmem: {what}" in said
    assert "Could not connect" not in said
    assert NAME in {plugin["name"] for plugin in first.get("/plugins")["plugins"]}
    dataset = fo.load_dataset(folder.name)
    paths = images(folder)
    expected = {path: score.memorability for path, score in zip(paths, scorer.score(paths, "coerce"), strict=True)}
    ranked = dataset.exists("memorability")
    for path, memorability in zip(*ranked.values(["filepath", "memorability"]), strict=True):
        assert memorability == pytest.approx(expected[path], abs=1e-6)
    assert "not an image" in dataset.exists("memorability", False).first()["memorability_error"]
    assert dataset.app_config.active_fields.paths == ["memorability"]
    first.wait_for("for this session only")
    assert first.interrupt() == 1  # one has failed
    assert "Traceback" not in first.log.read_text()
    assert not (tmp_path / "plugins").exists()

    (folder / "broken.jpg").unlink()
    shutil.copy(photos["china.jpg"], folder / "broken.jpg")
    shutil.copy(photos["moon.png"], folder / "sub")
    second = start()
    said = second.wait_for("Ctrl-C ends it")
    assert re.search("2 of 4 scored, 2 were scored already\n", said)
    assert second.interrupt() == 0
    assert "Traceback" not in second.log.read_text()
    dataset.reload()
    assert len(dataset.exists("memorability")) == 4
