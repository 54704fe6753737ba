"""Calls the plugin's operators as FiftyOne and its App do."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators.executor import ExecutionContext, Executor

PLUGIN = "@resmem/memorability"
APP: dict[str, Any] = {"sample_selection_style": {}}
"""Parameters that the App sends with every request."""


def get_operator(name: str) -> Any:
    """The plugin's operator of this name."""
    return foo.get_operator(f"{PLUGIN}/{name}")


def resolve_form(operator: str, dataset: Any, **params: Any) -> dict[str, Any]:
    """The properties of an operator's form, as the App would show it with these answers."""
    context = ExecutionContext(
        {"dataset_name": dataset.name if dataset is not None else None, "params": params}, executor=Executor()
    )
    schema = get_operator(operator).resolve_input(context).to_json()
    return dict(schema["type"]["properties"])


def execute_in_app(name: str, dataset: Any, **params: Any) -> list[dict[str, Any]]:
    """The requests that an operator sends to the App, in order."""
    request = {"dataset_name": dataset.name, "params": params, **APP}
    steps = get_operator(name).execute(ExecutionContext(request, executor=Executor()))
    return [step.body.to_json() for step in steps]
