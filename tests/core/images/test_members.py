"""Names, links and first bytes of archives, whatever their kind."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import UnreadableImageError
from resmem_plugin.core.images.members import Link, archive_advice, archive_protocol, follow, reference
from tests.archive_files import png, tar_file, zip_file


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("photos.zip", "zip"),
        ("a/PHOTOS.ZIP", "zip"),
        ("https://host/photos.zip?sig=1#top", "zip"),
        ("s3://bucket/photos.zip", "zip"),
        ("simplecache::https://host/photos.zip", "zip"),
        ("file:///a/photos.zip", "zip"),
        *((f"shard-000000{suffix}", "tar") for suffix in (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".TGZ")),
        ("zip://a.jpg::photos.zip", None),
        ("zip://inner.zip::photos.zip", None),
        ("https://host/image?of=photos.zip", None),
        ("photos.zip.jpg", None),
        ("a.tar.zst", None),
        ("data:,photos.zip", None),
    ],
)
def test_archives_are_known_by_their_suffix(given: str, expected: str | None) -> None:
    assert archive_protocol(given) == expected


def test_a_member_whose_name_looks_like_a_url_has_no_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is the archive's maker's: it must not send requests to addresses of his choice."""
    monkeypatch.chdir(tmp_path)
    zip_file(Path("a.zip"), [])
    assert reference("zip", "a::b.jpg", "a.zip") == "zip://a::b.jpg::a.zip"
    for name in ("x::http://127.0.0.1/a.zip?", "x::zip://y.zip", "x::file:///etc/a.zip", "x::simplecache", ""):
        assert reference("zip", name, "a.zip") is None


@pytest.mark.parametrize(
    ("start", "protocol"),
    [
        (lambda: _bytes_of("zip"), "zip"),
        (lambda: _bytes_of("tar"), "tar"),
        (lambda: gzip.compress(_bytes_of("tar")), "tar"),
        (lambda: bz2.compress(_bytes_of("tar")), "tar"),
        (lambda: lzma.compress(_bytes_of("tar")), "tar"),
    ],
)
def test_an_archive_in_the_place_of_an_image_says_what_to_do(start: object, protocol: str, red: Scorer) -> None:
    content = start()  # type: ignore[operator]
    error = str(red.score([content], errors="coerce")[0].error)
    assert error.startswith(
        f"a {protocol} archive, not an image: name an image in it, as in {protocol}://a.jpg::ARCHIVE"
    )
    assert "`resmem score ARCHIVE`" in error


def test_other_compressed_files_are_no_archives() -> None:
    for content in (
        gzip.compress(b"text" * 200),
        b"\x1f\x8b",
        b"BZh9 text",
        b"\xfd7zXZ\0" + bytes(20),
        b"",
        bytes(600),
    ):
        assert archive_advice(content) is None


def test_links_stay_in_their_archive() -> None:
    links = {
        "d/a": Link("../b", symbolic=True),
        "hard": Link("d/a", symbolic=False),
        "out": Link("../../etc/passwd", symbolic=True),
        "absolute": Link("/etc/passwd", symbolic=True),
        "self": Link("self", symbolic=True),
    }
    assert follow("hard", links.get) == "b"
    for name in ("out", "absolute"):
        with pytest.raises(UnreadableImageError, match="a link out of its archive"):
            follow(name, links.get)
    with pytest.raises(UnreadableImageError, match="leads back to itself"):
        follow("self", links.get)


def _bytes_of(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a.png", png(1))
    else:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            header = tarfile.TarInfo("a.png")
            header.size = len(png(1))
            tar.addfile(header, io.BytesIO(png(1)))
    return buffer.getvalue()


def test_both_kinds_give_the_same_reasons(tmp_path: Path, red: Scorer) -> None:
    members = [("d/a.png", png(1))]
    zipped, tarred = zip_file(tmp_path / "a.zip", members), tar_file(tmp_path / "a.tar.gz", members)
    for name in ("none.png", "d", "d/", "../a.png", ""):
        one, other = red.score([f"zip://{name}::{zipped}", f"tar://{name}::{tarred}"], errors="coerce")
        assert one.error == other.error
        assert one.error is not None
        assert ("a folder in its archive" if name.startswith("d") else "no such file in its archive") in one.error
