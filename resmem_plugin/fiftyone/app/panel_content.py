"""What the panel shows of a view, computed in one request: figures, charts, menus, and what is active."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from resmem_plugin.fiftyone.app.charts import MAX_SPLIT
from resmem_plugin.fiftyone.app.shown import Shown
from resmem_plugin.fiftyone.app.text import escape_markdown, format_score
from resmem_plugin.fiftyone.dataset.class_means import ClassMean, counts_by_class, means_by_class
from resmem_plugin.fiftyone.dataset.description import describe_view, own_stages, shows_failed, sort_direction
from resmem_plugin.fiftyone.dataset.distribution import (
    Distribution,
    describe_mixture,
    describe_provenance,
    distribution,
    failure_reasons,
)
from resmem_plugin.fiftyone.dataset.schema import label_fields
from resmem_plugin.fiftyone.dataset.views import class_paths, scored_label_fields, sortable_fields

_MAX_UNSCORED = 3
_MAX_REASONS = 8


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a person has chosen in the menus.

    Attributes:
        field: the memorability field; None: nothing chosen yet.
        class_field: the field whose classes are shown.
        times: how often something was chosen.
    """

    field: str | None = None
    class_field: str | None = None
    times: int = 0


@dataclass(frozen=True, kw_only=True)
class PanelContent:
    """Everything that the panel shows of one view.

    Attributes:
        unit: what the view holds: "images", "patches" or "frames".
        fields: the memorability fields of the view.
        field: the one that is shown: the chosen one, or the first if the view does not have that.
        class_fields: the fields that assign classes.
        class_field: the one that is shown; None if there is none.
        times_chosen: how often something was chosen in the menus.
        objects: the label fields whose objects have scores that this view does not show one by one.
        unscored: some of those whose objects have none.
        found: the distribution; None without a field.
        means: the means by class.
        split: the counts in the histogram's bins of its largest classes, if there are several.
        provenance: what produced the scores.
        caution: why some scores may have another provenance.
        active: the stages of the view in words.
        filtered: the paths that the sidebar filters by.
        order: "most" or "least" if the view is sorted by the field.
        failed_only: whether the view is cut to the failed ones.
        reasons: where nothing is scored, why, and how many there are of each reason.
        is_cut: whether the view has stages that can be taken back.
        problem: why nothing could be computed.
    """

    unit: str = "images"
    fields: tuple[str, ...] = ()
    field: str | None = None
    class_fields: tuple[str, ...] = ()
    class_field: str | None = None
    times_chosen: int = 0
    objects: tuple[str, ...] = ()
    unscored: tuple[str, ...] = ()
    found: Distribution | None = None
    means: tuple[ClassMean, ...] = ()
    split: tuple[tuple[str, tuple[int, ...]], ...] = ()
    provenance: str = ""
    caution: str = ""
    active: tuple[str, ...] = ()
    filtered: tuple[str, ...] = ()
    order: str | None = None
    failed_only: bool = False
    reasons: tuple[tuple[str, int], ...] = ()
    is_cut: bool = False
    problem: str | None = None


def panel_content(shown: Shown, choices: Choices) -> PanelContent:
    """Compute what the panel shows."""
    view = shown.view
    fields = sortable_fields(view)
    field = _chosen(choices.field, fields)
    objects = scored_label_fields(view)
    others = label_fields(view) if view.media_type == "image" and not view._is_patches else []
    common = PanelContent(
        unit=_unit(view),
        objects=tuple(sorted(objects)),
        unscored=tuple(name for name in others if name not in objects)[:_MAX_UNSCORED],
        active=tuple(describe_view(shown.base, fields)),
        filtered=shown.filtered,
        is_cut=bool(own_stages(shown.base)),
    )
    if field is None:
        return common
    class_fields = list(class_paths(view))
    class_field = _chosen(choices.class_field, class_fields)
    found = distribution(view, field)
    means = means_by_class(view, field, class_field) if class_field is not None else []
    return replace(
        common,
        fields=tuple(fields),
        field=field,
        class_fields=tuple(class_fields),
        class_field=class_field,
        times_chosen=choices.times,
        found=found,
        reasons=tuple(failure_reasons(view, field)) if found.failed and not found.scored else (),
        means=tuple(means),
        split=_split(view, field, class_field, means, found),
        provenance=describe_provenance(view, field),
        caution=describe_mixture(view, field),
        order=sort_direction(shown.base, field),
        failed_only=shows_failed(shown.base, field),
    )


def _split(
    view: Any, field: str, class_field: str | None, means: list[ClassMean], found: Distribution
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    largest = [each.name for each in sorted(means, key=lambda each: -each.count)[:MAX_SPLIT]]
    if class_field is None or len(largest) < 2 or len(found.counts) < 2:
        return ()
    return tuple(counts_by_class(view, field, class_field, largest, found.edges).items())


def shown_field(shown: Shown, choices: Choices) -> str | None:
    """The memorability field that the panel shows of a view."""
    return _chosen(choices.field, sortable_fields(shown.view))


def problem_content(error: Exception) -> PanelContent:
    """What the panel shows if nothing could be computed."""
    return PanelContent(problem=f"{type(error).__name__}: {error}")


def statistics_text(content: PanelContent) -> str:
    """The figures, in one line of Markdown."""
    found = content.found
    if found is None:
        return ""
    if not found.scored:
        return _empty_text(content)
    lower, median, upper = (format_score(value) for value in found.quartiles)
    return (
        f"**{found.scored:,}** of {found.total:,} {content.unit} scored · **{found.failed:,}** failed · "
        f"mean **{format_score(found.mean)}** · quartiles {lower} · {median} · {upper}"
    )


def _empty_text(content: PanelContent) -> str:
    """What is said instead of the figures where there are none."""
    if not content.found or not content.found.total:
        return f"There are no {content.unit} in this view. *Back* or *Reset* shows more."
    lines = [f"No scores here: **{content.found.failed:,}** of {content.found.total:,} {content.unit} failed"]
    more = len(content.reasons) - _MAX_REASONS
    lines += [f"- {count:,}: {escape_markdown(reason)}" for reason, count in content.reasons[:_MAX_REASONS]]
    return "\n".join([*lines, f"- and {more:,} other reasons"] if more > 0 else lines)


def active_text(content: PanelContent) -> str:
    """What cuts or sorts the view, in Markdown."""
    parts = [f"View: {' · '.join(map(escape_markdown, content.active)) or f'all {content.unit}'}"]
    if content.filtered:
        paths = ", ".join(map(escape_markdown, content.filtered))
        parts.append(f"Sidebar filters: {paths}")
    return "  \n".join(parts)


def objects_text(content: PanelContent) -> str:
    """Where the scores of objects are, and which can be scored, in Markdown; empty without any."""
    parts = []
    if content.objects:
        parts.append(
            f"The objects of {_names(content.objects)} have scores. To see them on the images, open the field in the "
            "sidebar (the arrow beside its name) and switch on the eye beside the name of the scores, such as "
            "**memorability**. To see their distribution, open their patches."
        )
    if content.unscored:
        parts.append(
            f"To score the objects of {_names(content.unscored)}, open their patches, and compute memorability."
        )
    return "\n\n".join(parts)


def _names(fields: tuple[str, ...]) -> str:
    return " and ".join(f"**{escape_markdown(name)}**" for name in fields)


def _chosen(choice: str | None, values: list[str]) -> str | None:
    return choice if choice in values else next(iter(values), None)


def _unit(view: Any) -> str:
    return "patches" if view._is_patches else "frames" if view._is_frames else "images"
