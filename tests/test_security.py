"""Hostile input: weights, file names, URLs and folders run no code, leak no secrets and control no terminal or page."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import pickle
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from markupsafe import escape
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.cli import main
from resmem_plugin.core.cache.folder import has_cache_folder
from resmem_plugin.core.errors import CacheWarning, ScoringError, WeightsCorruptError
from resmem_plugin.core.images.reader import describe
from resmem_plugin.core.network.weights import WeightsFile, verify
from resmem_plugin.core.sanitize import printable, without_secrets
from resmem_plugin.core.scoring import scorer as scorer_module
from resmem_plugin.reports.gallery import Card, Gallery
from tests.conftest import ROOT, flat
from tests.reports.test_gallery import Elements

HOSTILE = (
    "<img src=x onerror=alert(1)>.png",
    '"><script>alert(1)</script>.png',
    "' onmouseover='alert(1).png",
    "a\x1b]0;pwned\x07\x1b[2J.png",
    "a\rresmem: 9 of 9 scored\nb.png",
    "a\u202egnp.exe\u2066.png",
)
CONTROL = frozenset("\x00\x07\x1b\r\u202e\u2066\u2028")


class Order:
    """Creates a file when it is unpickled as the weights of a network."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.made,)


def _pickle(path: Path, order: Order) -> None:
    path.write_bytes(pickle.dumps({"fc12.bias": order}))


def _zip(path: Path, order: Order) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("evil/data.pkl", pickle.dumps({"fc12.bias": order}))
        archive.writestr("evil/version", "3")


@pytest.mark.parametrize("engine", ["pytorch", "openvino"])
@pytest.mark.parametrize("named", ["weights", "RESMEM_WEIGHTS"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("write", [_pickle, _zip])
def test_weights_pickles_are_not_executed(
    write: Callable[[Path, Order], None],
    suffix: str,
    named: str,
    engine: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, made = tmp_path / f"evil{suffix}", tmp_path / "made"
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(tmp_path / "cache"))
    write(path, Order(made))
    with pytest.raises(WeightsCorruptError) as caught:
        verify(WeightsFile(path=path))
    for reference in (str(path), str(caught.value).rpartition("weights='")[2].rstrip("'")):
        if named == "RESMEM_WEIGHTS":
            monkeypatch.setenv("RESMEM_WEIGHTS", reference)
        with pytest.raises(WeightsCorruptError, match=r"has SHA-256|without running code"):
            Scorer(device="cpu", engine=engine, weights=reference if named == "weights" else None)
    assert not made.exists()
    assert not (tmp_path / "cache").exists()


def test_payload_executes_when_unpickled(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps({"fc12.bias": Order(tmp_path / "made")}))
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_world_writable_cache_folder_is_not_used(mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("RESMEM_CACHE_DIR", str(folder))
    assert has_cache_folder()
    folder.chmod(mode)
    with pytest.warns(CacheWarning, match=r"everybody may write.*RESMEM_CACHE_DIR.*chmod o-w"):
        assert not has_cache_folder()
    assert not has_cache_folder()  # which is said once


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can give folders away")
@pytest.mark.parametrize(("owner", "refused"), [(0, False), (65534, False), (12345, True)])
def test_cache_folder_of_another_user_is_not_used(owner: int, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, owner, owner)
        monkeypatch.setenv("RESMEM_CACHE_DIR", folder)
        assert has_cache_folder()  # root may
        os.seteuid(65534)
        try:
            with pytest.warns(CacheWarning, match="belongs to another") if refused else contextlib.nullcontext():
                assert has_cache_folder() != refused
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_escaped_in_the_gallery(name: str, tmp_path: Path) -> None:
    image = tmp_path / name.replace("/", "_")
    Image.fromarray(flat(9)).save(image)
    gallery = Gallery([Card(str(image), 0.5), Card(name, 0.4, f"broken: {name}")], title=name)
    for page in (gallery.to_html(), gallery._repr_html_()):
        elements = Elements(page)
        assert set(elements.tags) <= {
            *("html", "head", "meta", "title", "style", "body"),
            *("div", "h2", "p", "figure", "img", "figcaption", "b"),
        }
        assert elements.tags.count("img") == 1
        assert not any(attribute.startswith("on") for attribute in elements.attributes)
        assert str(escape(describe(name))) in page
        assert not CONTROL & set(describe(name))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, red: Scorer, tmp_path: Path) -> Path:
    """Replaces ResMem with the mean of the red channel; returns the current folder."""
    monkeypatch.setattr(scorer_module, "load_engine", lambda *_: red.engine)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scorer_module, "find_weights", lambda *_: WeightsFile(path=tmp_path / "model.pt"))
    return tmp_path


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_escaped_in_terminal_messages(
    name: str, stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = name.replace("/", "_")
    Image.fromarray(flat(9)).save(name)
    main(["score", name, f"none {name}", "--html", f"{name}.html"])
    captured = capsys.readouterr()
    rows = list(csv.reader(io.StringIO(captured.out, newline="")))
    assert [row[0] for row in rows[1:]] == [name, f"none {name}"]  # results are not escaped
    messages = [captured.err]
    for arguments in (
        ["score", "--errors", "raise", f"none {name}"],
        ["score", name, "--html", f"{name}.html"],
        ["score", f"{name}.csv"],
        ["score", name, "-o", f"{name}/x.csv"],
        ["score", "-o", f"x.{name}", name],
    ):
        main(arguments)
        messages.append(capsys.readouterr().err)
    for text in messages:
        assert not CONTROL & set(text)
        assert text.startswith("resmem: ")
        assert len(text.splitlines()) == 1


def test_control_characters_in_arguments_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["score", "a.png", "--\x1b[2J\r"], ["score", "a.png", "--errors", "\x1b[2J"], ["\x1b[2J"]):
        with pytest.raises(SystemExit):
            main(arguments)
        message = capsys.readouterr().err
        assert r"\x1b[2J" in message
        assert not CONTROL & set(message)


def test_control_characters_in_errors_are_escaped(red: Scorer) -> None:
    with pytest.raises(ScoringError) as caught:
        red.score(["a\x1b[2J\n.png"])
    assert r"a\x1b[2J\n.png" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:hush@host/a.jpg", "https://...@host/a.jpg"),
        ("https://host/a.jpg?v=1&Token=hush&w=2", "https://host/a.jpg?v=1&Token=...&w=2"),
        ("https://token@host:8080/a.jpg?v=1", "https://...@host:8080/a.jpg?v=1"),
        ("zip://a.jpg::http://me:hush@host/a.zip", "zip://a.jpg::http://...@host/a.zip"),
        ("sftp://me:hush@host/a.jpg", "sftp://me:...@host/a.jpg"),
        ("abfs://box@account.example/a.jpg", "abfs://box@account.example/a.jpg"),
        ("https://h/a?id=7&X-Sig=0123456789abcdef&x=y", "https://h/a?id=7&X-Sig=...&x=y"),
        ("https://h/me@home.jpg", "https://h/me@home.jpg"),
        ("http://[::1]:80/a.jpg", "http://[::1]:80/a.jpg"),
        ("a?b=0123456789abcdefgh.jpg", "a?b=0123456789abcdefgh.jpg"),
    ],
)
def test_secrets_in_urls_are_redacted(url: str, shown: str) -> None:
    assert describe(url) == without_secrets(url) == shown
    page = Gallery([Card(url, 0.5, "why")])._repr_html_()
    assert "hush" not in page


def test_unicode_names_are_not_escaped() -> None:
    for name in ("Käse 日本\u3000語.jpg", "👩‍🚀.png", "a b\\c.png", "שלום.png"):
        assert printable(name) == describe(name) == name


def test_atomic_files_have_unguessable_names_and_keep_the_umask(tmp_path: Path) -> None:
    """Nobody can place a link where the temporary file will be: its name cannot be guessed."""
    script = (
        "import os, sys; from resmem_plugin.core.atomic import replacing; os.umask(0o077)\n"
        "with replacing(sys.argv[1]) as path: print(path.name); path.write_text('x')"
    )
    names = set()
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "out.csv")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        names.add(done.stdout)
    assert len(names) == 2
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o600
