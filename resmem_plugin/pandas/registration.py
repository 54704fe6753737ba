"""Registers `df.resmem` without importing pandas, which takes longer than a score: it waits for that import."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_ACCESSOR = "resmem_plugin.pandas.accessor"


def register_accessor() -> None:
    """Register the accessor, now if pandas is imported, else when it is."""
    if "pandas" in sys.modules:
        importlib.import_module(_ACCESSOR)
    elif not any(isinstance(finder, _WhenPandasLoads) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenPandasLoads())


class _WhenPandasLoads(MetaPathFinder):
    """Finds pandas as Python does, and makes its loader import the accessor afterwards."""

    _searching = False

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002
        if name != "pandas" or self._searching:
            return None
        self._searching = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._searching = False
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            importlib.import_module(_ACCESSOR)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
