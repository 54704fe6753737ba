"""Members of tar archives: limits, links, damage, threads, and time."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import ImageError, UnreadableImageError
from resmem_plugin.core.images import tar_archive
from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.images.remote import RemoteReader
from resmem_plugin.core.images.tar_archive import TarArchive
from tests.archive_files import png, special, tar_file

MEGABYTE = 1 << 20
SUFFIXES = [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"]


def _opened(path: str) -> TarArchive:
    return TarArchive(open(path, "rb"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_members_are_found_by_the_name_that_the_archive_has(suffix: str, tmp_path: Path) -> None:
    names = ["a.png", "./b.png", "/c.png", "../d.png", "e::f#?%20 é 猫.png", "caf\udce9.png", "x" * 300 + ".png"]
    members: list[tuple[str, bytes | tarfile.TarInfo]] = [
        ("folder", special(tarfile.DIRTYPE)),
        *((name, name.encode(errors="surrogateescape")) for name in names),
    ]
    archive = _opened(tar_file(tmp_path / f"a{suffix}", members))
    assert list(archive.names) == names
    for name in [*names, *reversed(names)]:
        assert archive.read(name, Limits()) == name.encode(errors="surrogateescape")
    archive.close()


def test_compression_is_known_by_the_first_bytes(tmp_path: Path) -> None:
    path = Path(tar_file(tmp_path / "a.tar.gz", [("a.png", b"content")]))
    assert _opened(str(path.rename(tmp_path / "a.tar"))).read("a.png", Limits()) == b"content"


def test_the_last_of_a_name_is_read(tmp_path: Path) -> None:
    archive = _opened(tar_file(tmp_path / "a.tar.gz", [("a.png", b"old"), ("b.png", b"b"), ("a.png", b"new")]))
    assert list(archive.names) == ["a.png", "b.png", "a.png"]
    assert [archive.read(name, Limits()) for name in ("a.png", "b.png", "a.png")] == [b"new", b"b", b"new"]


def test_archives_that_were_concatenated_are_read_to_the_end(tmp_path: Path) -> None:
    parts = [Path(tar_file(tmp_path / f"{name}.tar", [(name, name.encode())])) for name in "ab"]
    (tmp_path / "all.tar").write_bytes(b"".join(part.read_bytes() for part in parts))
    archive = _opened(str(tmp_path / "all.tar"))
    assert [archive.read(name, Limits()) for name in archive.names] == [b"a", b"b"]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_links_are_followed_within_the_archive_alone(suffix: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    members: list[tuple[str, bytes | tarfile.TarInfo]] = [
        ("d/a.png", b"content"),
        ("hard.png", special(tarfile.LNKTYPE, "d/a.png")),
        ("d/symbolic.png", special(tarfile.SYMTYPE, "../hard.png")),
        ("out.png", special(tarfile.SYMTYPE, str(secret))),
        ("up.png", special(tarfile.SYMTYPE, "../secret.png")),
        ("outer.png", special(tarfile.LNKTYPE, str(secret))),
        ("self.png", special(tarfile.SYMTYPE, "self.png")),
        ("gone.png", special(tarfile.SYMTYPE, "none.png")),
        ("zero.png", special(tarfile.CHRTYPE)),
        ("fifo.png", special(tarfile.FIFOTYPE)),
    ]
    archive = _opened(tar_file(tmp_path / f"a{suffix}", members))
    for name in ("d/a.png", "hard.png", "d/symbolic.png"):
        assert archive.read(name, Limits()) == b"content"
    reasons = {
        "out.png": "a link out of its archive",
        "up.png": "a link out of its archive",
        "outer.png": "no such file in its archive",
        "self.png": "leads back to itself",
        "gone.png": "no such file in its archive",
        "zero.png": "a pipe or a device",
        "fifo.png": "a pipe or a device",
    }
    for name, reason in reasons.items():
        with pytest.raises(ImageError, match=reason):
            archive.read(name, Limits())
    archive.close()


def test_links_are_followed_where_names_start_with_a_dot(tmp_path: Path) -> None:
    members = [
        ("./a.png", b"content"),
        ("./b.png", special(tarfile.SYMTYPE, "a.png")),
        ("./c.png", special(tarfile.SYMTYPE, "b.png")),
    ]
    archive = _opened(tar_file(tmp_path / "a.tar", members))  # type: ignore[arg-type]
    assert [archive.read(f"./{letter}.png", Limits()) for letter in "abc"] == [b"content"] * 3
    assert archive.read("c.png", Limits()) == b"content"


def _bomb(path: Path) -> str:
    """64 megabytes of zeros in 64 kilobytes."""
    return tar_file(path, [("a.png", bytes(64 * MEGABYTE))])


def _sparse(path: Path) -> str:
    header = special(tarfile.GNUTYPE_SPARSE)
    tar_file(path, [("a.png", header)])
    return str(path)


def _pax_sparse(path: Path) -> str:
    header = tarfile.TarInfo()
    header.pax_headers = {"GNU.sparse.size": str(1 << 50), "GNU.sparse.map": "0,0", "GNU.sparse.name": "a.png"}
    return tar_file(path, [("a.png", header)])


def _endless_name(path: Path) -> str:
    header = special(tarfile.GNUTYPE_LONGNAME)
    header.size = 1 << 40
    path.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(MEGABYTE)))
    return str(path)


def _huge_pax_header(path: Path) -> str:
    header = special(tarfile.XHDTYPE)
    header.size = 64 * MEGABYTE
    path.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(64 * MEGABYTE)))
    return str(path)


def _cut_in_content(path: Path) -> str:
    tar_file(path, [("a.png", random.Random(0).randbytes(100_000))])
    path.write_bytes(path.read_bytes()[:50_000])
    return str(path)


def _cut_in_header(path: Path) -> str:
    content = gzip.decompress(Path(tar_file(path, [("a.png", b"1"), ("b.png", b"2")])).read_bytes())
    path.write_bytes(gzip.compress(content[:1200]))
    return str(path)


def _damaged_header(path: Path) -> str:
    content = bytearray(gzip.decompress(Path(tar_file(path, [("a.png", b"1"), ("b.png", b"2")])).read_bytes()))
    content[1030] ^= 1
    path.write_bytes(gzip.compress(content))
    return str(path)


def _hole(path: Path) -> str:
    """As a download leaves that reserved the space of the file, and was interrupted."""
    content = gzip.decompress(Path(tar_file(path, [("a.png", b"1"), ("b.png", bytes([1]) * 9000)])).read_bytes())
    path.write_bytes(gzip.compress(content[:1024] + bytes(4096) + content[5120:]))
    return str(path)


def _text(path: Path) -> str:
    path.write_bytes(b"no archive " * 100)
    return str(path)


def _empty(path: Path) -> str:
    path.touch()
    return str(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_bomb, "larger than 1,048,576 bytes"),
        (_sparse, "a sparse file in its archive|archive is damaged"),
        (_pax_sparse, "a sparse file in its archive|larger than|archive is damaged"),
        (_endless_name, "archive is damaged.*a name or header of 1,099,511,627,776 bytes"),
        (_huge_pax_header, "archive is damaged.*a name or header of"),
        (_cut_in_content, "archive is damaged"),
        (_cut_in_header, "archive is damaged, or no tar .*at byte 1,024"),
        (_damaged_header, "archive is damaged, or no tar .*at byte 1,024"),
        (_hole, "archive is damaged, or no tar .*at byte 5,120"),
        (_text, "archive is damaged, or no tar"),
        (_empty, "archive is damaged, or no tar"),
    ],
)
def test_broken_and_hostile_archives_are_errors(make: Callable[[Path], str], message: str, tmp_path: Path) -> None:
    reader = RemoteReader(None, Limits(max_bytes=MEGABYTE))
    before = psutil.Process().memory_info().rss
    with pytest.raises(UnreadableImageError, match=message):
        reader.read(f"tar://a.png::{make(tmp_path / 'a.tar.gz')}")
    assert psutil.Process().memory_info().rss - before < 200 * MEGABYTE
    reader.close()


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_threads_read_the_members_of_one_archive(suffix: str, tmp_path: Path, red: Scorer) -> None:
    path = tar_file(tmp_path / f"a{suffix}", [(f"{number}.png", png(number % 256)) for number in range(400)])
    urls = [f"tar://{number}.png::{path}" for number in range(400)]
    expected = [score.memorability for score in red.score([png(number % 256) for number in range(400)])]
    random.Random(0).shuffle(order := list(range(400)))
    reader = RemoteReader()
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(reader.read, [urls[number] for number in order]))
    assert found == [png(number % 256) for number in order]
    reader.close()
    assert [score.memorability for score in red.score(urls)] == expected


def test_an_archive_whose_members_are_read_in_order_is_decompressed_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """Once to index it, and once to read it: the time is proportional to the number of members."""
    rewinds = []
    original = gzip.GzipFile.seek

    def seek(self: gzip.GzipFile, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET and offset < original(self, 0, io.SEEK_CUR):
            rewinds.append(offset)
        return original(self, offset, whence)

    monkeypatch.setattr(gzip.GzipFile, "seek", seek)
    monkeypatch.setattr(tar_archive, "MAX_KEPT_BYTES", 2 * MEGABYTE)  # 66 members
    took = []
    for count in (1000, 2000):
        noise = random.Random(0).randbytes(30_000)
        path = tar_file(tmp_path / f"{count}.tar.gz", ((f"{number}.png", noise) for number in range(count)))
        rewinds.clear()
        reader = RemoteReader()
        start = time.perf_counter()
        with ThreadPoolExecutor(16) as threads:
            contents = threads.map(reader.read, [f"tar://{number}.png::{path}" for number in range(count)])
            assert all(content == noise for content in contents)
        took.append(time.perf_counter() - start)
        reader.close()
        assert len(rewinds) < 20  # the one after the index, and where a thread was held up for long
    record_property("tar.gz", f"1,000 members {took[0]:.2f} s, 2,000 members {took[1]:.2f} s")


def test_what_is_kept_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_archive, "MAX_KEPT_BYTES", 1000)
    archive = _opened(tar_file(tmp_path / "a.tar.gz", [(f"{n}.png", bytes([n]) * 400) for n in range(20)]))
    for number in (19, 18, 3, 19, 0, 1):
        assert archive.read(f"{number}.png", Limits()) == bytes([number]) * 400
        assert sum(map(len, archive._kept.values())) == archive._kept_bytes <= 1000
    archive.close()
