from __future__ import annotations

import uuid
from typing import Any

import fiftyone as fo
from fiftyone.operators.executor import ExecutionContext, Executor


class PanelDriver:
    """A panel as the App drives it: events in, state, data and requests out."""

    def __init__(self, panel: Any, dataset: Any) -> None:
        self.panel, self.dataset, self.view = panel, dataset, dataset.view()
        self.id = uuid.uuid4().hex
        self.filters: dict[str, Any] = {}
        self.state: dict[str, Any] = {}
        self.data: dict[str, Any] = {}
        self.layout: Any = None

    def event(self, method: str, **params: Any) -> list[str]:
        """Send an event; returns the operators that the panel asked the App to run."""
        executor = Executor()
        self.panel.execute(self._context(executor, __method__=method, **params))
        asked = []
        for invoked in executor.to_json()["requests"]:
            asked.append(invoked["operator_uri"])
            params = invoked["params"]
            if asked[-1] == "patch_panel_state":
                self.state.update(params["state"])
            elif asked[-1] == "patch_panel_data":
                self.data = params["data"]
            elif asked[-1] == "show_panel_output":
                self.layout = params["output"]
            elif asked[-1] == "clear_sidebar_filters":
                self.filters = {}
            elif asked[-1] == "set_view":
                self.view = fo.DatasetView._build(self.dataset, params["view"])
        return asked

    def render(self) -> list[str]:
        """The names of what the App's own request for the layout gets."""
        return list(self.panel.render(self._context(Executor())).to_json()["type"]["properties"])

    def _context(self, executor: Executor, **params: Any) -> ExecutionContext:
        request = {
            "dataset_name": self.dataset.name,
            "view": self.view._serialize(),
            "filters": self.filters,
            "params": {"panel_id": self.id, "panel_state": self.state, **params},
        }
        return ExecutionContext(request, executor=executor)

    def menu(self, name: str) -> list[str]:
        """The values of a menu, that which is shown first; empty if it is not there."""
        row = self.layout["type"]["properties"].get(f"{name}_row")
        if row is None:
            return []
        [menu] = [each for key, each in row["type"]["properties"].items() if key != "label"]
        values: list[str] = menu["view"]["text"]
        return values

    def buttons(self) -> dict[str, Any]:
        """The buttons by their labels."""
        rows = [
            row["type"]["properties"].values()
            for row in self.layout["type"]["properties"].values()
            if row["view"] and row["view"]["name"] == "HStackView"
        ]
        views = [found["view"] for row in rows for found in row]
        return {view["label"]: view for view in views if view["name"] == "Button"}
