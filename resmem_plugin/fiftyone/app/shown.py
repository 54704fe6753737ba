"""What the App shows at an event: the view, the sidebar's filters on top of it, and a key that changes with them."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

from fiftyone.server.view import get_extended_view, get_view

from resmem_plugin.fiftyone.dataset.schema import root_dataset

_TAG_FILTERS = {"_label_tags": "label tags", "_temporal_tags": "temporal tags"}


@dataclass(frozen=True)
class Shown:
    """What the App shows.

    Attributes:
        base: the view without the sidebar's filters.
        view: the view with the sidebar's filters, as the grid shows it.
        filtered: the paths that the sidebar filters by.
    """

    base: Any
    view: Any
    filtered: tuple[str, ...]

    @staticmethod
    def of(ctx: Any) -> Shown | None:
        """What is shown at an event; None if no dataset is open.

        `ctx.view` ignores the sidebar's filters of a saved view.
        """
        if ctx.dataset is None:
            return None
        request = ctx.request_params
        filters, extended = (copy.deepcopy(request.get(name)) for name in ("filters", "extended"))
        base = get_view(ctx.dataset, view_name=request.get("view_name"), stages=request.get("view"))
        view = get_extended_view(base, filters, extended_stages=extended) if filters or extended else base
        paths = tuple(_TAG_FILTERS.get(path, path) for path in filters or {} if _is_active(filters[path]))
        return Shown(base, view, paths)

    @staticmethod
    def key(ctx: Any) -> str:
        """A text that is the same for all events of one change: of the view, the filters, or the data."""
        request = ctx.request_params
        parts = [request.get(name) for name in ("view", "view_name", "filters", "extended")]
        return json.dumps([ctx.dataset.name, ctx.dataset.group_slice, _without_ids(parts)], sort_keys=True, default=str)

    def version(self) -> tuple[Any, ...]:
        """Changes whenever samples are added, changed or deleted, or fields are."""
        found: list[Any] = []
        for dataset in {id(each): each for each in (root_dataset(self.view), self.view._dataset)}.values():
            found.append(dataset._doc.last_modified_at)
            found.append(tuple(dataset.get_field_schema(flat=True)))
            for samples in (dataset._sample_collection, dataset._frame_collection):
                if samples is not None:
                    newest = samples.find_one({}, {"last_modified_at": 1}, sort=[("last_modified_at", -1)])
                    found += [samples.estimated_document_count(), (newest or {}).get("last_modified_at")]
        return tuple(found)


def _is_active(sidebar_filter: Any) -> bool:
    return sidebar_filter not in (None, {}, [])


def _without_ids(value: Any) -> Any:
    """Without the ids that the App gives to stages, which differ between events."""
    if isinstance(value, dict):
        return {name: _without_ids(each) for name, each in value.items() if name != "_uuid"}
    return [_without_ids(each) for each in value] if isinstance(value, list) else value
