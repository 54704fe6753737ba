"""Images with their scores, as HTML: in a notebook, or in a self-contained file."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from PIL import Image

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.images.reader import ImageReader, describe
from resmem_plugin.core.provenance import Provenance

if TYPE_CHECKING:
    import jinja2

    from resmem_plugin.explain import Explanation

_THUMBNAIL_PX = (320, 240)


@dataclass(frozen=True)
class Card:
    """One image of a gallery.

    Attributes:
        image: a path, URL, encoded bytes, PIL image or uint8 array.
        memorability: its score, or NaN.
        error: why it has no score, shown in place of the image; None if it has one.
        note: shown after its name.
        explanation: its map is laid over the image.
        row: of its table: images are read by row, which for a compressed archive's members is the archive's order.

    Examples:
        >>> from resmem_plugin.reports.gallery import Card
        >>> Card("coffee.png", 0.88)
        Card(image='coffee.png', memorability=0.88, error=None)
    """

    image: object
    memorability: float
    error: str | None = None
    row: int = field(default=0, repr=False, compare=False)
    note: str = field(default="", repr=False, compare=False)
    explanation: Explanation | None = field(default=None, repr=False, compare=False)


class Gallery:
    """Images with their scores. A notebook displays it; `save` writes it to a file.

    Images are embedded in the HTML as thumbnails. Maps share one scale of colours, shown below the heading.

    Args:
        cards: the images, in the order to show them.
        title: the heading.
        total: how many images they were chosen from; None: these are all.
        provenance: what produced the scores, shown below the images.
        storage_options: for images behind URLs, passed to fsspec.
        max_pixels: the most pixels of one image, as in `Scorer`.
        base64: text that is no URL is an image in base64, as in `Scorer`.
        exif_transpose: rotate images by their EXIF orientation. Maps lie on images as the scorer reads them.

    Examples:
        >>> from resmem_plugin import Scorer
        >>> from resmem_plugin.reports.gallery import Card, Gallery
        >>> scorer = Scorer()
        >>> paths = ["coffee.png", "chelsea.png"]
        >>> cards = [Card(path, score.memorability) for path, score in zip(paths, scorer.score(paths))]
        >>> Gallery(cards, title="Two photographs", provenance=scorer.provenance)
        <Gallery 'Two photographs': 2 of 2 images; .save(path) writes it to an HTML file>
    """

    def __init__(
        self,
        cards: Sequence[Card],
        *,
        title: str = "Memorability",
        total: int | None = None,
        provenance: Provenance | None = None,
        storage_options: Mapping[str, Any] | None = None,
        max_pixels: int | None = None,
        base64: bool = False,
        exif_transpose: bool = True,
    ) -> None:
        self.cards = list(cards)
        self.title = title
        self._total = len(self.cards) if total is None else total
        self._provenance = provenance
        self._reader_options: dict[str, Any] = {
            "storage_options": storage_options,
            "max_pixels": max_pixels,
            "base64": base64,
            "exif_transpose": exif_transpose,
        }
        self._limit = max((card.explanation.limit for card in self.cards if card.explanation), default=0.0)

    def __len__(self) -> int:
        return len(self.cards)

    def __repr__(self) -> str:
        return f"<Gallery {self.title!r}: {len(self)} of {self._total} images; .save(path) writes it to an HTML file>"

    def _repr_html_(self) -> str:
        return self._render("gallery.html.j2")

    def to_html(self) -> str:
        """Return the gallery as a self-contained HTML page.

        Examples:
            >>> from resmem_plugin.reports.gallery import Card, Gallery
            >>> Gallery([Card("coffee.png", 0.88)]).to_html().splitlines()[0]
            '<!doctype html>'
        """
        return self._render("page.html.j2")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the gallery to a self-contained HTML file, replacing one that exists.

        Examples:
            >>> from resmem_plugin.reports.gallery import Card, Gallery
            >>> Gallery([Card("coffee.png", 0.88)]).save("gallery.html")
        """
        with replacing(path) as unfinished:
            unfinished.write_text(self.to_html(), encoding="utf-8", errors="backslashreplace")

    def _render(self, template: str) -> str:
        return (
            templates()
            .get_template(template)
            .render(
                title=self.title,
                figures=self._figures,
                total=self._total,
                provenance=self._provenance,
                limit=self._limit,
            )
        )

    @cached_property
    def _figures(self) -> list[_Figure]:
        reader = ImageReader(decode="fast", **self._reader_options)
        threads = ThreadPoolExecutor()
        try:
            order = sorted(range(len(self.cards)), key=lambda number: self.cards[number].row)
            figures = threads.map(lambda number: _figure(self.cards[number], reader, self._limit), order)
            return [figure for _, figure in sorted(zip(order, figures, strict=True), key=lambda pair: pair[0])]
        finally:
            threads.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C do not wait for a server that hangs
            reader.close()


@dataclass(frozen=True)
class _Figure:
    """What the template shows of a card: an error, or else a thumbnail."""

    name: str
    score: str
    thumbnail: str
    error: str | None
    note: str

    @property
    def short_name(self) -> str:
        is_member = self.name.startswith(("zip://", "tar://"))
        name = self.name.rpartition("::")[0] if is_member else self.name  # of an archive
        return name.replace("\\", "/").rpartition("/")[2]


def _figure(card: Card, reader: ImageReader, limit: float) -> _Figure:
    thumbnail, error = "", card.error
    if error is None:
        try:
            shown = reader.read(card.image).image.copy()
            shown.thumbnail(_THUMBNAIL_PX)
            if card.explanation is not None:
                shown = card.explanation.overlay(shown, limit or None)
            thumbnail = _data_url(shown)
        except Exception as unreadable:  # shown in its place; the others are shown all the same
            error = str(unreadable)
    score = "–" if math.isnan(card.memorability) else f"{card.memorability:.3f}"
    return _Figure(describe(card.image), score, thumbnail, error, card.note)


def _data_url(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@cache
def templates() -> jinja2.Environment:
    """The templates of this package, which escape what they are given."""
    import jinja2  # here: only a gallery needs it, and commands start faster without

    loader = jinja2.PackageLoader("resmem_plugin.reports")
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
