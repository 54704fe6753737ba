"""What is missing on this machine to score images."""

from __future__ import annotations

import importlib.util

from resmem_plugin.core.errors import ResMemError
from resmem_plugin.core.network.weights import find_weights


def missing_requirement() -> str | None:
    """The missing package or weights, and how to install them; None if nothing is missing."""
    for package in ("torch", "torchvision", "safetensors", "platformdirs", "fsspec"):
        if importlib.util.find_spec(package) is None:
            return (
                f"The package {package} is not installed in FiftyOne's environment. Run "
                "`fiftyone plugins requirements @resmem/memorability --install`, then restart FiftyOne."
            )
    try:
        find_weights()
    except ResMemError as error:
        return f"{error}. Then restart FiftyOne."
    return None
