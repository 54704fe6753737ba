"""Registration of `df.resmem` by an import hook that waits for pandas; see also tests/test_public.py."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def run(code: str) -> str:
    """The output of Python code run in another process."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_import_hook_is_removed_once_the_accessor_is_registered() -> None:
    code = """
import sys, resmem_plugin, pandas
hooks = [finder for finder in sys.meta_path if type(finder).__name__ == "_WhenPandasLoads"]
print(hasattr(pandas.Series, "resmem"), hasattr(pandas.DataFrame, "resmem"), hooks)
"""
    assert run(code) == "True True []"


def test_registering_twice_installs_one_import_hook() -> None:
    code = """
import sys
from resmem_plugin.pandas.registration import register_accessor
before = len(sys.meta_path)
register_accessor()
print(len(sys.meta_path) - before)
"""
    assert run(code) == "0"


def test_missing_pandas_raises_its_own_import_error() -> None:
    code = """
import sys, resmem_plugin
sys.path_importer_cache.clear()
sys.path[:] = []
try:
    import pandas
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run(code) == "pandas"
