"""The report of a scored set of images: one self-contained HTML page, and its tables."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.reader import describe
from resmem_plugin.core.provenance import Provenance
from resmem_plugin.curation.domain import Domain
from resmem_plugin.curation.reference import Reference
from resmem_plugin.reports import curation_tables as tables_of
from resmem_plugin.reports.gallery import Card, Gallery, templates

_SHOWN_IMAGES = 12
_SHOWN_GROUPS, _SHOWN_REASONS = 30, 30
_WIDTH, _HEIGHT = 560, 220  # of the histogram, in pixels
_LEADING = 50  # of the most memorable images, among which others than photographs are pointed out


@dataclass(frozen=True, eq=False)
class Report:
    """A scored set of images, as tables and as a page. A notebook displays it; `save` writes it to a file.

    Attributes:
        tables: "summary", "distribution" and "percentiles", and, where they apply, "classes", "kinds",
            "near_duplicates", "failures" and "provenance".
        title: the page's heading.

    Examples:
        >>> import pandas as pd
        >>> from resmem_plugin.reports.curation import curation_report
        >>> frame = pd.DataFrame({"memorability": [0.6, 0.7, 0.8], "scene": ["wood", "wood", "street"]})
        >>> report = curation_report(frame, by="scene")
        >>> report.tables["summary"]["mean"].round(2).tolist()
        [0.7]
        >>> report.save("report.html")
    """

    tables: Mapping[str, pd.DataFrame]
    title: str
    _page: Mapping[str, Any] = field(repr=False)

    def to_html(self) -> str:
        """The page, with all that it shows in it."""
        return templates().get_template("curation.html.j2").render(self._page, title=self.title)

    def _repr_html_(self) -> str:
        import html

        return f'<iframe srcdoc="{html.escape(self.to_html())}" style="width: 100%; height: 800px; border: 0"></iframe>'

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, whole or not at all, replacing one that exists."""
        page = self.to_html()
        with replacing(path) as unfinished:
            unfinished.write_text(page, encoding="utf-8", errors="backslashreplace")


def curation_report(
    frame: pd.DataFrame,
    score: Hashable = "memorability",
    *,
    images: Hashable | None = None,
    errors: Hashable | None = None,
    by: Hashable | None = None,
    reference: Reference | None = None,
    kinds: Sequence[str | None] | None = None,
    features: npt.ArrayLike | None = None,
    domain: Domain | None = None,
    provenance: Provenance | None = None,
    title: str = "Memorability",
    storage_options: Mapping[str, Any] | None = None,
    base64: bool = False,
) -> Report:
    """Report on a scored set of images.

    Args:
        frame: one row for each image.
        score: its column of scores.
        images: its column of images, whose extremes are shown as pictures; None: no pictures.
        errors: its column of reasons why there is no score.
        by: its column of classes, splits or tags, which are compared.
        reference: a distribution to give percentiles of.
        kinds: of the images, as `image_kinds` finds them.
        features: (N, D), as `image_features`, to find near-duplicates with.
        domain: to tell with the features which images are unlike a reference.
        provenance: what produced the scores; None: that of `frame.attrs`, if it has one.
        title: the heading.
        storage_options: for images behind URLs, passed to fsspec.
        base64: text that is no URL is an image in base64, as in `Scorer`.

    Raises:
        OptionError: for a column that does not exist, or a reference of another provenance.

    Examples:
        >>> import pandas as pd
        >>> from resmem_plugin.reports.curation import curation_report
        >>> frame = pd.DataFrame({"memorability": [0.6, None, 0.8], "error": [None, "no such file", None]})
        >>> curation_report(frame, errors="error").tables["failures"].values.tolist()
        [['no such file', 1, '1']]
    """
    for name in (score, images, errors, by):
        if name is not None and sum(column == name for column in frame.columns) != 1:
            raise OptionError(f"there is no one column {name!r}; the columns are {list(frame.columns)}")
    if provenance is None:
        provenance = Provenance.from_record(frame.attrs.get("resmem"))
    try:
        scores = frame[score].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise OptionError(f"the column {score!r} is not numeric: name the column of scores") from error
    names = [describe(image) for image in frame[images]] if images is not None else [str(row) for row in frame.index]
    tables = {
        "summary": tables_of.summary(scores, None if errors is None else frame[errors]),
        "distribution": tables_of.distribution(scores),
        "percentiles": tables_of.percentile_table(scores, reference, provenance),
    }
    if by is not None:
        tables["classes"] = tables_of.classes(scores, frame[by])
    if kinds is not None:
        tables["kinds"] = tables_of.kinds(scores, kinds)
    groups = None
    if features is not None:
        groups = tables_of.groups(np.asarray(features, np.float32))
        tables["near_duplicates"] = tables_of.near_duplicates(scores, groups, names)
    if errors is not None:
        tables["failures"] = tables_of.failures(scores, frame[errors], names)
    if provenance is not None:
        record = provenance.to_record()
        tables["provenance"] = pd.DataFrame({"key": list(record), "value": [str(value) for value in record.values()]})
    galleries = [] if images is None else _galleries(frame[images], scores, storage_options, base64=base64)
    outside = None if domain is None or features is None else int(domain.is_outside(features).sum())
    rows = {name: table.to_dict("records") for name, table in tables.items()}
    page = {
        "summary": rows["summary"][0],
        "cautions": _cautions(scores, kinds, groups),
        "percentiles": rows["percentiles"],
        "reference": reference,
        "by": str(by),
        "classes": rows.get("classes", [])[: tables_of.COMPARED_CLASSES],
        "more_classes": max(0, len(rows.get("classes", [])) - tables_of.COMPARED_CLASSES),
        "kinds": [row for row in rows.get("kinds", []) if row["kind"] != "photograph"],
        "outside": outside,
        "near_duplicates": rows.get("near_duplicates"),
        "shown_groups": _SHOWN_GROUPS,
        "failures": rows.get("failures", [])[:_SHOWN_REASONS],
        "provenance": rows.get("provenance"),
        "galleries": galleries,
        "width": _WIDTH,
        "height": _HEIGHT,
        **_histogram(tables["distribution"]),
    }
    return Report(tables, title, page)


def _galleries(
    images: pd.Series[Any],
    scores: npt.NDArray[np.float64],
    storage_options: Mapping[str, Any] | None,
    *,
    base64: bool,
) -> list[str]:
    order = np.argsort(scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    galleries = []
    for title, rows in (("Most memorable", order[::-1]), ("Least memorable", order)):
        cards = [Card(images.iloc[row], float(scores[row]), row=row) for row in rows[:_SHOWN_IMAGES].tolist()]
        gallery = Gallery(cards, title=title, total=len(scores), storage_options=storage_options, base64=base64)
        galleries.append(gallery._repr_html_())
    return galleries if len(order) else []


def _cautions(
    scores: npt.NDArray[np.float64], kinds: Sequence[str | None] | None, groups: npt.NDArray[np.int64] | None
) -> list[str]:
    """What leads the ranking for no reason."""
    order = np.argsort(-scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    leading = order[: min(_LEADING, max(_LEADING // 5, len(order) // 10))]
    cautions = []
    if kinds is not None:
        others = sum(kinds[row] not in (None, "photograph") for row in leading.tolist())
        if others:
            cautions.append(
                f"{others} of the {len(leading)} most memorable images are blank, noise, flat or text: they score high "
                "for no reason that people would share."
            )
    if groups is not None:
        repeated = len(leading) - len(set(groups[leading]) - {-1}) - int((groups[leading] < 0).sum())
        if repeated:
            cautions.append(f"{repeated} of the {len(leading)} most memorable images are near-duplicates of others.")
    return cautions


def _histogram(distribution: pd.DataFrame) -> dict[str, Any]:
    if not len(distribution):
        return {"bars": [], "ticks": []}
    low, high = float(distribution["from"].iloc[0]), float(distribution["to"].iloc[-1])
    most = max(1, int(distribution["images"].max()))

    def x(value: float) -> float:
        return round((value - low) / (high - low) * _WIDTH, 1)

    bars = []
    for start, end, count in distribution.itertuples(index=False):
        height = round(count / most * _HEIGHT, 1)
        bars.append(
            {
                "x": x(start),
                "y": _HEIGHT - height,
                "width": round(max(x(end) - x(start) - 1, 0.5), 1),
                "height": height,
                "label": f"{start:.3f} to {end:.3f}: {count:,} images",
            }
        )
    ticks = [(x(value), f"{value:.2f}") for value in np.linspace(low, high, 6).tolist()]
    return {"bars": bars, "ticks": ticks}
