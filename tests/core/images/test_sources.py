"""URLs: http, zip, memory and the rest of fsspec, read without surprises."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import fsspec
import psutil
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.images.sources import is_url, join_root
from tests.http_server import PICTURE, WebServer
from tests.models import Red
from tests.sample_images import ENCODED


def test_http_asks_once_for_each_image(web: WebServer, red: Scorer) -> None:
    expected = red.score([PICTURE])[0].memorability
    urls = [web.url(f"{name}.jpg?v={name}") for name in ("a", "b%20c", "d[1]", "e*")]
    assert [score.memorability for score in red.score(urls)] == pytest.approx([expected] * len(urls))
    assert all(request.startswith("GET") for request in web.requests)
    assert set(web.requests.values()) == {1}


def test_http_404_is_a_row_with_its_reason(web: WebServer, red: Scorer) -> None:
    score, good = red.score([web.url("none"), web.url("a.jpg")], errors="coerce")
    assert score.error is not None
    assert "nothing at this URL" in score.error
    assert good.ok


def test_storage_options_are_headers(web: WebServer, red: Scorer) -> None:
    url = web.url("private/a.jpg")
    assert "403" in str(red.score([url], errors="coerce")[0].error)
    options = {"headers": {"Authorization": "Bearer key"}}
    assert Scorer(device="cpu", model=Red(), storage_options=options).score([url])[0].ok


def test_storage_options_are_no_use_on_a_local_path(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(PICTURE)
    scorer = Scorer(device="cpu", model=Red(), storage_options={"key": "value"})
    assert "leave them out" in str(scorer.score([tmp_path / "a.jpg"], errors="coerce")[0].error)


def test_an_archive_is_opened_once(red: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "pictures.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(20):
            file.writestr(f"d/{number}.jpg", PICTURE)
    opened = []
    original = zipfile.ZipFile.__init__

    def count(self: zipfile.ZipFile, *arguments: Any, **options: Any) -> None:
        opened.append(arguments)
        original(self, *arguments, **options)

    monkeypatch.setattr(zipfile.ZipFile, "__init__", count)
    scorer = Scorer(device="cpu", model=Red(), num_workers=4)
    urls = [f"zip://d/{number}.jpg::{archive}" for number in range(20)]
    scores = scorer.score([*urls, f"zip://d/none.jpg::{archive}", f"zip://a.jpg::{tmp_path}/none.zip"], errors="coerce")
    assert all(score.ok for score in scores[:20])
    assert len(opened) == 1
    assert all("nothing at this URL" in str(score.error) for score in scores[20:])


def test_archives_are_closed_and_read_afresh(red: Scorer, tmp_path: Path) -> None:
    archives = [tmp_path / f"{number}.zip" for number in range(30)]
    for archive in archives:
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("a.jpg", PICTURE)
    before = psutil.Process().num_fds()
    assert all(score.ok for score in red.score([f"zip://a.jpg::{archive}" for archive in archives]))
    assert psutil.Process().num_fds() <= before
    with zipfile.ZipFile(archives[0], "w") as file:
        file.writestr("a.jpg", ENCODED["wide.png"]())
    old, new = red.score([PICTURE, f"zip://a.jpg::{archives[0]}"])
    assert old.memorability != new.memorability


def test_memory_and_chained_caches(red: Scorer) -> None:
    fsspec.filesystem("memory").pipe_file("/pictures/a.jpg", PICTURE)
    one, other = red.score(["memory://pictures/a.jpg", "simplecache::memory://pictures/a.jpg"])
    assert one.memorability == other.memorability


@pytest.mark.parametrize("path", [r"C:\a.jpg", "C://a.jpg", "a.jpg", "a:b.jpg", "/a://b.jpg", "./http://a"])
def test_local_paths_are_no_urls(path: str) -> None:
    assert not is_url(path)


def test_roots() -> None:
    assert join_root("/data", "a.jpg") == "/data/a.jpg"
    assert join_root("/data", "/b/a.jpg") == "/b/a.jpg"
    assert join_root("s3://bucket/x/", "a.jpg") == "s3://bucket/x/a.jpg"
    assert join_root("/data", "https://host/a.jpg") == "https://host/a.jpg"
    assert join_root(Path("data"), "a.jpg") == "data/a.jpg"
