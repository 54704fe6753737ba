from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError, WeightsNotFoundError
from resmem_plugin.core.network.weights import PUBLISHED_SHA256
from resmem_plugin.fiftyone.model import MemorabilityModel

SOURCE = Path(__file__).parents[2] / "resmem_plugin" / "fiftyone" / "zoo"
NAME = "resmem/memorability"
LICENCE = "University of Chicago ResMem Non-commercial License"


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty model zoo for the test."""
    import fiftyone as fo

    folder = tmp_path / "zoo"
    folder.mkdir()
    monkeypatch.setattr(fo.config, "model_zoo_dir", str(folder))
    return folder


def copy(folder: Path) -> Path:
    return shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__", "weights-found.json"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a web server on loopback, and the folder that it serves."""
    folder = tmp_path / "www"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", folder
        httpd.shutdown()
        thread.join()


def apply_as_the_operator_does(samples: Any, label_field: str, **form: Any) -> None:
    """Do what `@voxel51/zoo/apply_zoo_model` does with its form's parameters, in this process."""
    import fiftyone.zoo as foz

    zoo_model = foz.get_zoo_model(NAME)
    assert isinstance(zoo_model, foz.RemoteZooModel)
    params = dict(form)
    zoo_model.parse_parameters(None, params)
    samples.apply_model(
        foz.load_zoo_model(NAME, **params),
        label_field=label_field,
        confidence_thresh=None,
        store_logits=False,
        batch_size=None,
        num_workers=0,
        skip_failures=True,
        output_dir=None,
        rel_dir=None,
    )


@pytest.mark.weights
@pytest.mark.parametrize("linked", [False, True])
def test_a_folder_in_the_zoo_is_a_source(
    linked: bool, zoo: Path, tmp_path: Path, dataset: Any, scorer: Scorer, photos: dict[str, Path]
) -> None:
    import fiftyone as fo
    import fiftyone.zoo as foz

    folder = zoo / "resmem" / "memorability"
    if linked:
        folder.parent.mkdir()
        folder.symlink_to(copy(tmp_path / "checkout"))
    else:
        copy(folder)
    assert NAME in foz.list_zoo_models(license=LICENCE, tags=["embeddings", "torch"])
    assert not foz.is_zoo_model_downloaded(NAME)
    samples = [fo.Sample(filepath=str(photos[name])) for name in ("coffee.png", "rocket.jpg")]
    dataset.add_samples(samples, progress=False)
    apply_as_the_operator_does(dataset, "memorability", device="cpu", precision=None)
    assert isinstance(dataset.get_field("memorability"), fo.FloatField)
    expected = [score.memorability for score in scorer.score(dataset.values("filepath"))]
    assert dataset.values("memorability") == pytest.approx(expected, abs=1e-6)
    assert json.loads((folder / "weights-found.json").read_text())["sha256"] == PUBLISHED_SHA256
    assert foz.is_zoo_model_downloaded(NAME)


@pytest.mark.weights
@pytest.mark.parametrize("inside", ["", "resmem-plugin-main/resmem_plugin/fiftyone/zoo"])
def test_a_zip_on_the_web_is_a_source(inside: str, zoo: Path, server: tuple[str, Path], tmp_path: Path) -> None:
    """A zip of the folder, and one of a whole repository, as from GitHub."""
    import fiftyone.zoo as foz

    address, served = server
    copy(tmp_path / "tree" / inside)
    shutil.make_archive(str(served / "source"), "zip", tmp_path / "tree")
    url = f"{address}/source.zip"
    foz.register_zoo_model_source(url)
    assert foz.list_zoo_model_sources() == [url]
    assert foz.list_zoo_models(source=url) == [NAME]
    assert {path.name for path in (zoo / NAME).iterdir()} - {"source.zip"} == {"__init__.py", "manifest.json"}
    model = foz.load_zoo_model(NAME, device="cpu", batch_size=3)
    assert isinstance(model, MemorabilityModel)
    assert model.scorer.batch_size == 3
    assert foz.load_zoo_model(NAME, device="cpu", batch_size=3) is model  # FiftyOne's own cache
    assert foz.load_zoo_model(url, model_name=NAME, device="cpu").has_embeddings
    foz.delete_zoo_model_source(url)
    assert NAME not in foz.list_zoo_models()


def test_zoo_form_has_the_options(zoo: Path) -> None:
    import fiftyone.zoo as foz
    from fiftyone.operators import types

    copy(zoo / NAME)
    inputs = types.Object()
    inputs.add_property("remote_params", foz.get_zoo_model(NAME).resolve_input(None))
    properties = inputs.to_json()["properties"]["remote_params"]["type"]["properties"]
    assert {name: made["default"] for name, made in properties.items()} == {"device": "auto", "precision": "auto"}
    params = {"device": "cpu", "precision": None, "weights": ""}
    foz.get_zoo_model(NAME).parse_parameters(None, params)
    assert params == {"device": "cpu"}


def test_missing_weights_are_named_and_nothing_is_downloaded(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fiftyone.zoo as foz

    copy(zoo / NAME)
    monkeypatch.setenv("RESMEM_WEIGHTS", str(zoo / "none.pt"))
    with pytest.raises(WeightsNotFoundError, match=r'no weights file at .*pip install "resmem-plugin\[weights\]"'):
        foz.load_zoo_model(NAME)
    assert not foz.is_zoo_model_downloaded(NAME)


@pytest.mark.weights
def test_read_only_zoo_folder_is_ignored(zoo: Path) -> None:
    import fiftyone.zoo as foz

    (copy(zoo / NAME) / "weights-found.json").mkdir()  # also in the way of root
    assert foz.load_zoo_model(NAME, device="cpu").media_type == "image"


def test_options_are_checked(zoo: Path) -> None:
    import fiftyone.zoo as foz

    copy(zoo / NAME)
    (zoo / NAME / "weights-found.json").touch()
    with pytest.raises(OptionError, match="device must be"):
        foz.load_zoo_model(NAME, device="tpu")


@pytest.mark.parametrize(
    "call", ["download_model('resmem/memorability', 'x')", "load_model('resmem/memorability', 'x')"]
)
def test_a_missing_package_is_named(call: str, tmp_path: Path) -> None:
    """In a Python with its standard library only."""
    copy(tmp_path / "zoo")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import zoo; zoo.{call}"
    run = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=False, capture_output=True, text=True)
    assert run.returncode == 1
    assert 'is not installed: pip install "resmem-plugin[fiftyone,weights]"' in run.stderr.splitlines()[-1]
    assert list(tmp_path.glob("x")) == []


def test_manifest_has_no_url() -> None:
    """FiftyOne adds the URL of a downloaded copy."""
    manifest = json.loads((SOURCE / "manifest.json").read_text())
    assert "url" not in manifest
    assert manifest["name"] == manifest["models"][0]["base_name"] == NAME
