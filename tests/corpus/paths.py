"""Names and places: what a path may be made of, lead to, and turn into while it is being read."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from resmem_plugin.core.images.sources import MAX_FILE_BYTES
from tests.corpus.contents import encoded
from tests.corpus.encoded import DAMAGED
from tests.corpus.kinds import Kind, file

NO_FILE = "^no such file: check the path, and the folder that relative paths start from$"
NOT_REGULAR = r"^not a regular file \(a pipe or a device\): copy its content to a file$"
UNOPENED = r"^cannot be opened \(.*{}.*\): check its name and folder$"
WRITE_ONLY = "/proc/sys/vm/compact_memory"  # of the kernel's, for root too


def _at(name: str, make: Callable[[str], object]) -> Callable[[Path], str]:
    def made(folder: Path) -> str:
        path = os.path.join(folder, name)
        make(path)
        return path

    return made


def _named(name: str) -> Kind:
    return file(lambda: encoded("JPEG"), name=name)


def _spelled(name: str, spell: Callable[[str], str], reason: str | None = None) -> Kind:
    """A file that is given in another spelling than its path."""
    return Kind(lambda folder: spell(str(_named(name).make(folder))), reason)


def _near(name: str) -> str:
    return f"^no such file: did you mean '.*{name}'. Check the path, and the folder that relative paths start from$"


def _linked_to(target: str, reason: str | None = None) -> Kind:
    def link(path: str) -> None:
        Path(path).with_name("target.jpg").write_bytes(encoded("JPEG"))
        os.symlink(target, path)

    return Kind(_at("link.jpg", link), reason)


def _bind(path: str) -> None:
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/{os.path.basename(path)}")  # a socket's own path may be no longer than 108
    os.close(folder)


def _forbid(path: str) -> None:
    if os.geteuid() == 0:
        os.symlink(WRITE_ONLY, path)
    else:
        Path(path).write_bytes(encoded("JPEG"))
        os.chmod(path, 0)


def _sparse(path: str) -> None:
    with open(path, "wb") as opened:
        opened.truncate(MAX_FILE_BYTES + 1)


def _rewrite(path: str) -> None:
    Path(path).write_bytes(encoded("PNG"))


def _shorten(path: str) -> None:
    os.truncate(path, 3000)


def _becomes(make: Callable[[str], object]) -> Callable[[str], None]:
    def become(path: str) -> None:
        os.remove(path)
        make(path)

    return become


class Nameless(os.PathLike[str]):
    """A path whose name cannot be read."""

    def __fspath__(self) -> str:
        raise LookupError("it has none")


def _changing(after_listing: Callable[[str], None], reason: str | None) -> Kind:
    return replace(_named("image.jpg"), reason=reason, after_listing=after_listing)


PATH_KINDS: dict[str, Kind] = {
    "name with spaces": _named(" a  b .jpg"),
    "name with line ends": _named("a\nb\r\nc.jpg"),
    "name with quotes": _named("a\"b'c`d.jpg"),
    "name like a formula": _named("=1+1.jpg"),
    "name like an option": _named("--errors.jpg"),
    "name like a pattern": _named("a[1]*?%20{b}.jpg"),
    "name like HTML": _named("<img src=x onerror=alert(1)>.jpg"),
    "name like a drive": _named("C:a.jpg"),
    "name with backslashes": _named("a\\b.jpg"),
    "name in other scripts": _named("猫 ‮🐈 e\u0301.jpg"),
    "name without a suffix": _named("image"),
    "name of 255 bytes": _named("a" * 251 + ".jpg"),
    "name of 255 bytes in other scripts": _named("猫" * 83 + "ab.jpg"),
    "name of 256 bytes": Kind(lambda folder: str(folder / ("a" * 252 + ".jpg")), UNOPENED.format("too long")),
    "name of other bytes than UTF-8": _named(os.fsdecode(b"caf\xe9.jpg")),
    "name of a lone surrogate": Kind(lambda folder: str(folder / "\ud800.jpg"), UNOPENED.format("surrogates")),
    "name with NUL": Kind(lambda folder: f"{folder}/a\0b.jpg", UNOPENED.format("null byte")),
    "empty name": Kind(lambda folder: "", NO_FILE),
    "PNG named .jpg": file(lambda: encoded("PNG")),
    "JPEG named .png": file(lambda: encoded("JPEG"), name="image.png"),
    "path object": Kind(lambda folder: Path(str(_named("a.jpg").make(folder)))),
    "path object without a name": Kind(lambda folder: Nameless(), "^cannot be read as an image: .*it has none"),
    "file URL": Kind(lambda folder: Path(str(_named("a.jpg").make(folder))).as_uri()),
    "file URL of a name with blanks and accents": _spelled("a b é%.jpg", lambda path: Path(path).as_uri()),
    "file URL that is not encoded": _spelled("a%20b é.jpg", "file://{}".format),
    "file URL with one slash": _spelled("a b.jpg", lambda path: Path(path).as_uri().replace("///", "/")),
    "file URL with a host": _spelled("a.jpg", "file://localhost{}".format),
    "file URL in capitals": _spelled("a.jpg", "FILE://{}".format),
    "file URL of nothing": Kind(lambda folder: f"file://{folder}/none.jpg", NO_FILE),
    "name with colons": _named("foo::1.jpg"),
    "name like a chain": _named("zip::a.jpg"),
    "name in another case": _spelled("A.jpg", lambda path: path.replace("A.jpg", "a.jpg"), _near("A.jpg")),
    "name in another Unicode form": _spelled(
        "e\u0301.jpg", lambda path: path.replace("e\u0301", "\xe9"), _near(".+.jpg")
    ),
    "missing": Kind(_at("image.jpg", lambda path: None), NO_FILE),
    "missing folder": Kind(_at("none/image.jpg", lambda path: None), NO_FILE),
    "file in the place of a folder": Kind(
        lambda folder: f"{_named('a.jpg').make(folder)}/b.jpg", UNOPENED.format("Not a directory")
    ),
    "folder": Kind(_at("image.jpg", os.mkdir), "^a folder, not an image: give the files in it$"),
    "link": _linked_to("target.jpg"),
    "link to nothing": _linked_to("none.jpg", NO_FILE),
    "link to itself": _linked_to("link.jpg", UNOPENED.format("symbolic links")),
    "FIFO": Kind(_at("fifo.jpg", os.mkfifo), NOT_REGULAR),
    "socket": Kind(_at("socket.jpg", _bind), NOT_REGULAR),
    "device without an end": _linked_to("/dev/zero", NOT_REGULAR),
    "device that waits": _linked_to("/dev/tty", NOT_REGULAR),
    "permission denied": Kind(
        _at("image.jpg", _forbid), "^permission denied: make the file and its folders readable to this user$"
    ),
    "file of more than can be read": Kind(_at("image.jpg", _sparse), "^a file of .* bytes, more than the limit of "),
    "vanishes": _changing(os.remove, NO_FILE),
    "turns into another image": _changing(_rewrite, None),
    "is cut short": _changing(_shorten, DAMAGED),
    "is emptied": _changing(lambda path: os.truncate(path, 0), "^empty file"),
    "turns into a folder": _changing(_becomes(os.mkdir), "^a folder, not an image"),
    "turns into a FIFO": _changing(_becomes(os.mkfifo), NOT_REGULAR),
    "its folder vanishes": _changing(lambda path: shutil.rmtree(os.path.dirname(path)), NO_FILE),
}
