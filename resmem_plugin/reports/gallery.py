"""Pictures with their scores, as HTML: in a notebook, or in a file that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import io
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from PIL import Image

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.images.reader import ImageReader, describe
from resmem_plugin.core.provenance import Provenance

_THUMBNAIL = (320, 240)

_STYLE = """
.resmem { font: 14px/1.4 system-ui, sans-serif; color: inherit }
.resmem h2 { font-size: 1.25em; margin: 0 0 .1em }
.resmem p { margin: 0 0 1em; opacity: .7 }
.resmem-provenance { margin-top: 1.5em !important; font-size: .8em; overflow-wrap: anywhere }
.resmem-grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); gap: 12px }
.resmem figure { margin: 0; border: 1px solid #8884; border-radius: 8px; overflow: hidden }
.resmem img, .resmem-none { display: block; width: 100%; height: 150px; object-fit: cover; background: #8882 }
.resmem-none { box-sizing: border-box; padding: 10px; overflow: auto; overflow-wrap: anywhere; font-size: .85em }
.resmem figcaption { padding: 6px 10px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
.resmem figcaption b { font-variant-numeric: tabular-nums; margin-right: .6em }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>:root {{ color-scheme: light dark }} body {{ margin: 24px }}</style>
</head>
<body>
{body}
</body>
</html>
"""


@dataclass(frozen=True)
class Card:
    """One picture of a gallery.

    Attributes:
        image: anything that counts as an image.
        memorability: its score, or NaN.
        error: why it has no score, shown in the picture's place.
    """

    image: object
    memorability: float
    error: str | None = None


class Gallery:
    """Pictures with their scores. A notebook shows it; `save` writes it to a file.

    Pictures are shown upright, by their EXIF orientation, as thumbnails inside the HTML.

    Args:
        cards: the pictures, in the order to show them.
        title: the heading.
        total: how many images they were chosen from.
        provenance: what produced the scores, told below the pictures.
        storage_options: for images behind URLs.
    """

    def __init__(
        self,
        cards: Sequence[Card],
        *,
        title: str = "Memorability",
        total: int | None = None,
        provenance: Provenance | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.cards = list(cards)
        self.title = title
        self._total = len(self.cards) if total is None else total
        self._provenance = provenance
        self._storage_options = storage_options

    def __len__(self) -> int:
        return len(self.cards)

    def __repr__(self) -> str:
        return f"<Gallery {self.title!r}: {len(self)} of {self._total} images; .save(path) writes it to an HTML file>"

    def _repr_html_(self) -> str:
        return self._body

    def to_html(self) -> str:
        """The gallery as a page of its own."""
        return _PAGE.format(title=html.escape(self.title), body=self._body)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the gallery to an HTML file that needs nothing beside it."""
        with replacing(path) as unfinished:
            unfinished.write_text(self.to_html(), encoding="utf-8", errors="backslashreplace")

    @cached_property
    def _body(self) -> str:
        reader = ImageReader(decode="fast", exif_transpose=True, storage_options=self._storage_options)
        threads = ThreadPoolExecutor()
        try:
            figures = "\n".join(threads.map(lambda card: _figure(card, reader), self.cards))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C do not wait for a server that hangs
            reader.close()
        footer = ""
        if self._provenance is not None:
            told = ", ".join(f"{key} {value}" for key, value in self._provenance.to_dict().items())
            footer = f'<p class="resmem-provenance">provenance {self._provenance.id}: {html.escape(told)}</p>'
        return (
            f'<div class="resmem"><style>{_STYLE}</style><h2>{html.escape(self.title)}</h2>'
            f"<p>{len(self):,} of {self._total:,} images</p>"
            f'<div class="resmem-grid">\n{figures}\n</div>{footer}</div>'
        )


def _figure(card: Card, reader: ImageReader) -> str:
    name = describe(card.image)
    error = card.error
    picture = ""
    if error is None:
        try:
            picture = f'<img loading="lazy" src="{_thumbnail(reader.read(card.image).image)}" alt="">'
        except Exception as unreadable:  # one picture must not cost the others
            error = str(unreadable)
    if error is not None:
        picture = f'<div class="resmem-none">{html.escape(error)}</div>'
    score = "–" if math.isnan(card.memorability) else f"{card.memorability:.3f}"
    short = html.escape(name.replace("\\", "/").rpartition("/")[2])
    return f'<figure title="{html.escape(name)}">{picture}<figcaption><b>{score}</b>{short}</figcaption></figure>'


def _thumbnail(image: Image.Image) -> str:
    image = image.copy()
    image.thumbnail(_THUMBNAIL)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
