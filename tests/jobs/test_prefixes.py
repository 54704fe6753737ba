"""Folders behind URLs, and patterns in URLs, as inputs of `resmem score`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from resmem_plugin import Scorer
from resmem_plugin.cli import main
from resmem_plugin.core.errors import OptionError, SkippedFilesWarning
from resmem_plugin.core.images.remote import RemoteReader
from resmem_plugin.jobs.inputs import read_inputs
from resmem_plugin.jobs.prefixes import is_prefix, list_prefix, match_urls
from tests.archive_files import png
from tests.http_server import WebServer
from tests.models import RedEngine

NAMES = ["a.png", "b #?%20[1]*.png", "c::d.png", "é 猫.png", "no suffix"]


@pytest.fixture
def bucket() -> Iterator[str]:
    """The URL of a folder in memory."""
    memory = fsspec.filesystem("memory")
    url = f"memory:///{uuid.uuid4().hex}"  # fsspec reads `::` in names after three slashes alone
    for number, name in enumerate([*NAMES, "s/e.png", "s/.hidden/f.png", "s/__MACOSX/g.png"]):
        memory.pipe_file(f"{url}/{name}", png(number))
    memory.pipe_file(f"{url}/notes.txt", b"text")
    yield url
    memory.rm(url, recursive=True)


def read(*inputs: str, exclude: tuple[str, ...] = (), recursive: bool = False) -> list[object]:
    return read_inputs(inputs, path_column="path", root=None, recursive=recursive, null=False, exclude=exclude)[1]


@pytest.mark.parametrize("end", ["", "/"])
def test_the_images_in_a_folder_are_scored_as_they_stand_in_the_results(
    end: str,
    bucket: str,
    tmp_path: Path,
    red: Scorer,
    use_engine: Callable[[RedEngine], RedEngine],
    capsys: pytest.CaptureFixture[str],
) -> None:
    use_engine(RedEngine())
    out = tmp_path / "out.jsonl"
    assert main(["score", f"{bucket}{end}", "-q", "-o", str(out)]) == 0
    assert f"{bucket}{end}: 1 file left out: 1 .txt; " in capsys.readouterr().err
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["path"] for row in rows] == [f"{bucket}/{name}" for name in sorted(NAMES)]
    again = [score.memorability for score in red.score([row["path"] for row in rows])]
    assert [row["memorability"] for row in rows] == pytest.approx(again, abs=1e-5)


def test_subfolders_are_listed_if_asked_for(bucket: str) -> None:
    with pytest.warns(SkippedFilesWarning, match="1 in __MACOSX; 1 hidden; 2 excluded"):
        found = read(bucket, recursive=True, exclude=("a.png", "c*"))
    assert found == [f"{bucket}/{name}" for name in ("b #?%20[1]*.png", "no suffix", "s/e.png", "é 猫.png")]
    assert read(f"simplecache::{bucket}/s/") == [f"simplecache::{bucket}/s/e.png"]


def test_a_prefix_that_holds_no_images_or_is_not_there_is_wrong_usage(bucket: str) -> None:
    fsspec.filesystem("memory").pipe_file(f"{bucket}/t/u/a.txt", b"text")
    with pytest.raises(OptionError, match=rf"no images in the folder {bucket}/t/ \(--recursive"):
        read(f"{bucket}/t/")
    with pytest.raises(OptionError, match=rf"no images in the folder {bucket}/t; 1 file left out: 1 .txt"):
        read(f"{bucket}/t", recursive=True)
    with pytest.raises(OptionError, match="the folder memory://nowhere/ cannot be listed: nothing at this URL"):
        read("memory://nowhere/")
    with pytest.raises(OptionError, match="the folder nothing://a/ cannot be listed: "):
        read("nothing://a/")


def test_what_is_no_prefix_stays_an_image(bucket: str, web: WebServer) -> None:
    urls = [f"{bucket}/a.png", f"{bucket}/no suffix", f"{bucket}/none", web.url("folder/"), web.url("a?b=[1]*")]
    assert read(*urls) == urls
    assert not web.requests
    reader = RemoteReader()
    assert not any(is_prefix(url, reader) for url in [*urls, "photos/", "data:,a/", "zip://a/::b.zip", "dask://a"])
    with pytest.raises(OptionError, match="unsupported URL scheme dask"):
        list_prefix("dask://a/", reader, recursive=False)


def test_a_url_of_a_local_folder_is_that_folder(tmp_path: Path, red: Scorer) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    for name in ("%41.png", "c.png"):
        (folder / name).write_bytes(png(1))
    expected = [f"file://{folder}/%41.png", f"file://{folder}/c.png"]
    assert read(folder.as_uri()) == read(f"file://{folder}/") == read(f"file://{folder}/*.png") == expected
    assert all(score.ok for score in red.score(expected))


def test_patterns_in_urls(bucket: str) -> None:
    assert read(f"{bucket}/*.png") == [f"{bucket}/{name}" for name in sorted(NAMES) if name.endswith(".png")]
    assert read(f"{bucket}/**/[ae].png") == [f"{bucket}/a.png", f"{bucket}/s/e.png"]
    assert read(f"{bucket}/?.png") == [f"{bucket}/a.png"]
    assert read(f"{bucket}/b #?%20[1]*.png") == [f"{bucket}/b #?%20[1]*.png"]  # its name
    assert read(f"simplecache::{bucket}/s/*.png") == [f"simplecache::{bucket}/s/e.png"]
    with pytest.raises(OptionError, match=r"no file matches .* that --exclude leaves: correct the pattern"):
        read(f"{bucket}/a*", exclude=("a.png",))
    with pytest.raises(OptionError, match=r"no file matches .*none\*.png: correct the pattern"):
        read(f"{bucket}/none*.png")
    for missing in (f"{bucket}/none?.png", f"{bucket}/none[1].png"):
        assert read(missing) == [missing]
    assert match_urls("https://host/*.png", RemoteReader()) is None
