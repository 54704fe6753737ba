from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from resmem_plugin.demo import photographs

if TYPE_CHECKING:
    from resmem_plugin import Scorer


@pytest.fixture(scope="session", autouse=True)
def cache_folder() -> Iterator[Path]:
    """A cache folder of the tests' own: the first load converts the weights, as on a new machine."""
    folder = Path(tempfile.mkdtemp())
    os.environ["RESMEM_CACHE_DIR"] = str(folder)
    os.environ.pop("RESMEM_WEIGHTS", None)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def photos() -> dict[str, Path]:
    """Name -> path of the installed photographs."""
    return {path.name: path for path in photographs()}


@pytest.fixture(scope="session")
def scorer() -> Scorer:
    """The real thing, in fp32 on the CPU."""
    from resmem_plugin import Scorer

    return Scorer(device="cpu")


@pytest.fixture(scope="session")
def red() -> Scorer:
    """A scorer with a cheap model that can be reckoned by hand: the mean of the red channel."""
    from resmem_plugin import Scorer
    from tests.models import Red

    return Scorer(device="cpu", model=Red(), batch_size=4)


def flat(value: int) -> npt.NDArray[np.uint8]:
    """A small picture of one colour, which `red` scores as value / 255."""
    return np.full((4, 4, 3), value, dtype=np.uint8)
