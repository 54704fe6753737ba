from __future__ import annotations

from typing import Any

import fiftyone as fo
from fiftyone.operators.executor import ExecutionContext, Executor


class PanelDriver:
    """A panel as the App drives it: events in, state, data and requests out."""

    def __init__(self, panel: Any, dataset: Any) -> None:
        self.panel, self.dataset, self.view = panel, dataset, dataset.view()
        self.state: dict[str, Any] = {}
        self.data: dict[str, Any] = {}
        self.layout: Any = None

    def event(self, method: str, **params: Any) -> list[str]:
        """Send an event; returns the operators that the panel asked the App to run."""
        executor = Executor()
        request = {
            "dataset_name": self.dataset.name,
            "view": self.view._serialize(),
            "params": {"panel_id": "p", "panel_state": self.state, "__method__": method, **params},
        }
        self.panel.execute(ExecutionContext(request, executor=executor))
        asked = []
        for invoked in executor.to_json()["requests"]:
            asked.append(invoked["operator_uri"])
            params = invoked["params"]
            if asked[-1] == "patch_panel_state":
                self.state.update(params["state"])
            elif asked[-1] == "patch_panel_data":
                self.data.update(params["data"])
            elif asked[-1] == "show_panel_output":
                self.layout = params["output"]
            elif asked[-1] == "set_view":
                self.view = fo.DatasetView._build(self.dataset, params["view"])
        return asked
