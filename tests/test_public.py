"""The public surface, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import resmem_plugin

HEAVY = ("torch", "torchvision", "openvino", "fiftyone", "pandas", "pyarrow")


def _loaded(code: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after running the code."""
    report = f"{code}; import sys; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_all_is_complete_and_sorted() -> None:
    names = ["Provenance", "ResMem", "Score", "Scorer", "ScorerOptions", "score_images", "transformer"]
    assert resmem_plugin.__all__ == names
    assert resmem_plugin.__all__ == sorted(resmem_plugin.__all__)
    for name in resmem_plugin.__all__:
        assert getattr(resmem_plugin, name).__name__ == name
    assert set(resmem_plugin.__all__) <= set(dir(resmem_plugin))


def test_unknown_attributes_raise_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_such"):
        resmem_plugin.nothing_such  # noqa: B018


def test_import_loads_no_heavy_package() -> None:
    assert _loaded("import resmem_plugin") == set()
    assert _loaded("from resmem_plugin import Score, Provenance, Scorer; import resmem_plugin.cli") == set()


def test_preprocessing_needs_no_torch() -> None:
    code = (
        "from PIL import Image; from resmem_plugin.core.images.preprocess import pixels; pixels(Image.new('L', (9, 9)))"
    )
    assert _loaded(code) == set()


def test_scoring_with_pytorch_needs_no_torchvision() -> None:
    """Which takes seconds to import; only JPEGs decoded on a card are worth that."""
    code = (
        "import numpy; from resmem_plugin import Scorer; from tests.models import Red;"
        "Scorer(device='cpu', model=Red()).score([numpy.zeros((9, 9, 3), numpy.uint8)])"
    )
    assert _loaded(code) == {"torch"}


def test_heavy_imports_are_detected() -> None:
    assert _loaded("from resmem_plugin import ResMem") == {"torch"}
    assert _loaded("import pandas") >= {"pandas"}


@pytest.mark.parametrize("imports", ["pandas, resmem_plugin", "resmem_plugin, pandas"])
def test_pandas_accessor_is_registered_in_either_import_order(imports: str) -> None:
    code = f"import {imports}; assert hasattr(pandas.DataFrame(), 'resmem')"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_find_spec_of_pandas_keeps_the_accessor() -> None:
    code = "import importlib.util as u, resmem_plugin; u.find_spec('pandas'); import pandas; pandas.DataFrame().resmem"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
