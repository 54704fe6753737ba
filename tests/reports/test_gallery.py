from __future__ import annotations

import gzip
import io
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.images import tar_archive
from resmem_plugin.reports.gallery import Card, Gallery
from tests.archive_files import png, tar_file
from tests.conftest import flat
from tests.sample_images import ENCODED

NASTY = '"><script>alert(1)</script>&.png'


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.sources: list[str] = []
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(key for key, _ in attrs)
        self.sources += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_saved_page_is_self_contained(tmp_path: Path, red: Scorer) -> None:
    path = tmp_path / "gallery.html"
    gallery = Gallery(
        [Card(flat(200), 0.784), Card(flat(3), 0.012)], title="A & B", total=1234, provenance=red.provenance
    )
    gallery.save(path)
    elements = Elements(path.read_text(encoding="utf-8"))
    assert elements.tags.count("figure") == 2
    assert all(source.startswith("data:image/jpeg;base64,") for source in elements.sources)
    assert "A & B" in elements.text
    assert "2 of 1,234 images" in elements.text
    assert "0.784" in elements.text
    assert red.provenance.id in elements.text
    assert [item.name for item in tmp_path.iterdir()] == ["gallery.html"]


def test_html_in_names_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / NASTY.replace("/", "_")
    Image.fromarray(flat(9)).save(path)
    page = Gallery([Card(str(path), 0.5), Card(f"no/{NASTY}", math.nan, f"broken {NASTY}")], title=NASTY).to_html()
    elements = Elements(page)
    assert "script" not in elements.tags
    assert "<script" not in page.replace("&lt;script", "")


def test_images_without_a_thumbnail_show_the_error(tmp_path: Path) -> None:
    html = Gallery([Card(tmp_path / "none.png", 0.7), Card("x.png", math.nan, "because")])._repr_html_()
    assert "no such file" in html
    assert "because" in html
    assert "0.700" in html


def test_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    Gallery([Card(b"\xff.png".decode(errors="surrogateescape"), math.nan, "why")]).save(tmp_path / "g.html")
    assert "why" in (tmp_path / "g.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["RGBA.png", "I16.png", "P-transparency.png", "CMYK.jpg", "wide.png"])
def test_thumbnails_of_every_image_mode(name: str) -> None:
    assert "data:image/jpeg" in Gallery([Card(ENCODED[name](), 0.5)])._repr_html_()


def test_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gallery.html"
    path.write_text("old")

    def disk_full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", disk_full)
    with pytest.raises(OSError, match="No space"):
        Gallery([]).save(path)
    monkeypatch.undo()
    assert [item.read_text() for item in tmp_path.iterdir()] == ["old"]


def test_repr() -> None:
    assert ".save(path)" in repr(Gallery([]))


def test_members_of_an_archive_are_shown_by_their_names_and_read_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_archive, "MAX_KEPT_BYTES", 1)
    path = tar_file(tmp_path / "a.tar.gz", [(f"d/{number}.png", png(number)) for number in range(40)])
    rewinds = []
    original = gzip.GzipFile.seek

    def seek(self: gzip.GzipFile, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET and offset < original(self, 0, io.SEEK_CUR):
            rewinds.append(offset)
        return original(self, offset, whence)

    monkeypatch.setattr(gzip.GzipFile, "seek", seek)
    rows = [*range(39, 0, -2), *range(0, 40, 2)]
    page = Gallery([Card(f"tar://d/{row}.png::{path}", row / 40, row=row) for row in rows])._repr_html_()
    assert re.findall(r"</b>(\d+)\.png</figcaption>", page) == [str(row) for row in rows]
    assert len(rewinds) < 20
