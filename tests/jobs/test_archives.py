"""Archives as inputs of `resmem score`: their members are named in the results, and scored as they are named."""

from __future__ import annotations

import json
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from resmem_plugin import Scorer
from resmem_plugin.cli import main
from resmem_plugin.core.errors import OptionError, SkippedFilesWarning
from resmem_plugin.core.images.remote import RemoteReader
from resmem_plugin.jobs.archives import expand_shards, list_archive, match_members
from resmem_plugin.jobs.inputs import read_inputs
from tests.archive_files import png, special, tar_file, zip_file
from tests.http_server import WebServer
from tests.models import RedEngine

ODD_NAMES = ["a::b.png", "x::y::z.png", "c#1?a=%20&b.png", " d e .png", "é 猫 e\u0301.png", "./f.png", "/g.png"]
ODD_NAMES += ["../../h.png", "d//i.png", "=1+1.png", "two\nlines.png", "[j]*{k}.png", "sub/folder/l.PNG", "zip::m.png"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(*inputs: str, exclude: tuple[str, ...] = (), recursive: bool = False) -> list[object]:
    return read_inputs(inputs, path_column="path", root=None, recursive=recursive, null=False, exclude=exclude)[1]


@pytest.mark.parametrize(
    "name", ["a.zip", "a::1.zip", "zip::a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz"]
)
def test_members_of_any_name_are_scored_as_they_stand_in_the_results(
    name: str, red: Scorer, use_engine: Callable[[RedEngine], RedEngine]
) -> None:
    make = zip_file if name.endswith(".zip") else tar_file
    protocol = "zip" if name.endswith(".zip") else "tar"
    names = ODD_NAMES if protocol == "zip" else [*ODD_NAMES, "caf\udce9.png"]
    make(Path(name), [(member, png(number)) for number, member in enumerate(names)])
    given = f"./{name}" if "::" in name else name
    expected = [f"{protocol}://{member}::{given}" for member in names]
    use_engine(RedEngine())
    assert main(["score", name, "-q", "-o", "out.jsonl"]) == 0
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["path"] for row in rows] == expected
    again = red.score(expected)
    assert [score.memorability for score in again] == [
        score.memorability for score in red.score(map(png, range(len(names))))
    ]
    assert [row["memorability"] for row in rows] == pytest.approx([score.memorability for score in again], abs=1e-5)
    assert main(["score", name, "-q", "-o", "out.jsonl", "--resume"]) == 0  # its rows are the same


def test_what_is_no_image_is_left_out_and_counted_as_in_a_folder() -> None:
    members = [
        *((name, png(1)) for name in ("b.png", "a.png", "no suffix", "s/c.jpg")),
        *((name, b"text") for name in ("d.txt", "README", "inner.zip", "s/.hidden.png", "._a.png", "Thumbs.db")),
        *((f"__MACOSX/{number}.png", b"text") for number in range(3)),
        *((f".git/{number}.png", b"text") for number in range(3)),
        ("cache/e.png", png(1)),
        ("s/thumb_f.png", png(1)),
        ("s/", b""),
    ]
    zip_file(Path("a.zip"), members)
    tar_file(Path("a.tar.gz"), [(name, content) for name, content in members if not name.endswith("/")])
    for protocol, archive in (("zip", "a.zip"), ("tar", "a.tar.gz")):
        with pytest.warns(SkippedFilesWarning) as caught:
            found = read(archive, exclude=("cache", "thumb_*"))
        names = ("b.png", "a.png", "no suffix", "s/c.jpg")  # in the archive's order
        assert found == [f"{protocol}://{name}::{archive}" for name in names]
        assert [str(warning.message) for warning in caught] == [
            f"{archive}: 3 files left out: 1 .txt, 1 .zip, 1 without a suffix; 3 in __MACOSX; 1 ._*, 1 Thumbs.db; "
            "2 hidden; 2 excluded; name them themselves to score them"
        ]


def test_members_of_one_name_are_one_row_and_counted() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own
        zip_file(Path("a.zip"), [("a.png", png(1)), ("b.png", png(2)), ("a.png", png(3))])
    tar_file(Path("a.tar"), [("a.png", png(1)), ("b.png", png(2)), ("a.png", png(3))])
    for protocol, archive in (("zip", "a.zip"), ("tar", "a.tar")):
        with pytest.warns(SkippedFilesWarning, match="left out: 1 replaced by a later file of the same name"):
            assert read(archive) == [f"{protocol}://{name}.png::{archive}" for name in "ba"]


def test_members_whose_name_would_be_read_as_a_url_are_counted(web: WebServer) -> None:
    names = ["a.png", f"x::{web.url('b.zip')}::y.png"]
    zip_file(Path("a.zip"), [(name, png(1)) for name in names])
    with pytest.warns(SkippedFilesWarning, match="left out: 1 whose name would be read as a URL"):
        assert read("a.zip") == ["zip://a.png::a.zip"]
    assert not web.requests


def test_links_are_listed_and_their_rows_say_what_is_wrong(red: Scorer) -> None:
    members: list[tuple[str, bytes | tarfile.TarInfo]] = [
        ("a.png", png(7)),
        ("link.png", special(tarfile.SYMTYPE, "a.png")),
        ("link without a suffix", special(tarfile.LNKTYPE, "a.png")),
        ("out.png", special(tarfile.SYMTYPE, "/etc/passwd")),
        ("zero.png", special(tarfile.CHRTYPE)),
    ]
    tar_file(Path("a.tar"), members)
    found = read("a.tar")
    assert found == [f"tar://{name}::a.tar" for name, _ in members]
    errors = [score.error or "" for score in red.score(found, errors="coerce")]
    assert errors[:3] == [""] * 3
    assert "a link out of its archive" in errors[3]
    assert "a pipe or a device" in errors[4]


def test_an_archive_without_images_is_as_an_empty_folder() -> None:
    zip_file(Path("a.zip"), [("a.txt", b"text")])
    zip_file(Path("b.zip"), [])
    with pytest.raises(OptionError, match=r"^no images in the archive a.zip; 1 file left out: 1 .txt$"):
        read("a.zip")
    Path("c.png").write_bytes(png(1))
    with pytest.warns(SkippedFilesWarning, match="no images in the archive b.zip"):
        assert read("b.zip", "c.png") == ["c.png"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.zip", b"text", "the archive a.zip cannot be listed: its archive is damaged, or no zip"),
        ("a.tar", b"text" * 1000, "the archive a.tar cannot be listed: its archive is damaged, or no tar"),
        ("a.tar.gz", b"\x1f\x8b" + bytes(100), "the archive a.tar.gz cannot be listed: its archive is damaged"),
        ("a.tar.xz", b"\xfd7zXZ\0" + bytes(100), "the archive a.tar.xz cannot be listed: its archive is damaged"),
        ("a.tar.bz2", b"BZh9" + bytes(100), "the archive a.tar.bz2 cannot be listed: its archive is damaged"),
        ("a.zip", None, "there is no archive a.zip: correct its path"),
        ("https://127.0.0.1:9/a.zip", None, "the archive https://127.0.0.1:9/a.zip cannot be listed: "),
        ("shard-{0..999999999}.tar", None, "names more than 100,000 archives"),
    ],
)
def test_an_archive_that_cannot_be_listed_is_wrong_usage(
    name: str, content: bytes | None, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resmem_plugin.core.images.http._BACKOFF_BASE_S", 0.01)
    if content is not None:
        Path(name).write_bytes(content)
    assert main(["score", name]) == 2
    assert message in capsys.readouterr().err


def test_archives_behind_urls_are_listed(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    zip_file(Path("a.zip"), [("s/a b.png", png(1))])
    tar_file(Path("a.tar.gz"), [("s/a b.png", png(1))])
    for name in ("a.zip", "a.tar.gz"):
        fsspec.filesystem("memory").pipe_file(f"/archives/{name}", Path(name).read_bytes())
    urls = [web.url("b.zip?sig=0123456789abcdef"), "memory://archives/a.zip", "memory://archives/a.tar.gz"]
    found = read(*urls, Path("a.zip").absolute().as_uri())
    assert found == [
        f"zip://a.jpg::{urls[0]}",
        f"zip://s/a b.png::{urls[1]}",
        f"tar://s/a b.png::{urls[2]}",
        f"zip://s/a b.png::file://{Path('a.zip').absolute()}",
    ]
    reader = RemoteReader()
    assert all(reader.read(str(url)) for url in found)
    reader.close()
    options = {"http": {"headers": {"Authorization": web.private}}}
    private = [web.url("private/a.zip")]
    arguments = {"path_column": "path", "root": None, "recursive": False, "null": False}
    with pytest.raises(OptionError, match=r"cannot be listed: .*403"):
        read_inputs(private, **arguments)  # type: ignore[arg-type]
    assert read_inputs(private, storage_options=options, **arguments)[1] == [f"zip://a.jpg::{private[0]}"]  # type: ignore[arg-type]


def test_shards_are_expanded() -> None:
    for number in range(3):
        tar_file(Path(f"shard-{number:06}.tar"), [(f"{number}.png", png(number)), (f"{number}.json", b"{}")])
    with pytest.warns(SkippedFilesWarning, match="1 .json"):
        found = read("shard-{000000..000002}.tar")
    assert found == [f"tar://{number}.png::shard-{number:06}.tar" for number in range(3)]
    with pytest.warns(SkippedFilesWarning):
        assert read("shard-*.tar") == found
    with pytest.raises(OptionError, match=r"there is no archive shard-000003.tar"), pytest.warns(SkippedFilesWarning):
        read("shard-{000002..000003}.tar")
    assert expand_shards("{a,b}.tar") == ["{a,b}.tar"]
    assert expand_shards("x{1..2}-{9..11}.tar") == [f"x{a}-{b}.tar" for a in (1, 2) for b in (9, 10, 11)]
    assert expand_shards("https://h/{2..1}.tar?x=1") == ["https://h/2.tar?x=1", "https://h/1.tar?x=1"]
    assert expand_shards("{1..2}.jpg") == ["{1..2}.jpg"]
    Path("{1..2}.tar").touch()
    assert expand_shards("{1..2}.tar") == ["{1..2}.tar"]


def test_patterns_and_folders_within_an_archive() -> None:
    names = ["a.png", "s/b.png", "s/t/c.png", "s/.d.png", "e.txt", "f[1].png"]
    zip_file(Path("a.zip"), [(name, png(1)) for name in names])
    reader = RemoteReader()

    def matched(pattern: str, exclude: tuple[str, ...] = ()) -> list[str] | None:
        found = match_members(f"zip://{pattern}::a.zip", reader, exclude)
        return found and [reference.removeprefix("zip://").removesuffix("::a.zip") for reference in found]

    assert matched("*.png") == ["a.png", "f[1].png"]
    assert matched("s/*.png") == ["s/b.png"]
    assert matched("**/*.png", ("c.*",)) == ["a.png", "s/b.png", "f[1].png"]
    assert matched("f[1].png") == ["f[1].png"]
    assert matched("s/.*") == ["s/.d.png"]
    assert matched("none*") == []
    assert match_members("zip://a.png::a.zip", reader) is None
    with pytest.warns(SkippedFilesWarning, match="1 hidden"):
        assert read("zip://s/::a.zip") == ["zip://s/b.png::a.zip", "zip://s/t/c.png::a.zip"]
    with pytest.raises(OptionError, match=r"no file matches zip://x\*::a.zip"):
        read("zip://x*::a.zip")
    assert read("zip://a.png::a.zip") == ["zip://a.png::a.zip"]
    listing = list_archive("zip://::a.zip", reader)
    assert listing is not None
    assert len(listing.found) == 4
    assert list_archive("a.png", reader) is None


def test_encrypted_and_nested_members_are_rows_with_their_reasons(red: Scorer) -> None:
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.writestr("a.png", png(1))
        archive.writestr("b.png", png(2), zipfile.ZIP_LZMA)
    content = bytearray(Path("a.zip").read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    Path("a.zip").write_bytes(content)
    first, second = (score.error for score in red.score(read("a.zip"), errors="coerce"))
    assert first is not None
    assert first.startswith("encrypted in its archive")
    assert second is not None
    assert second.startswith("compressed in its archive by another method")
