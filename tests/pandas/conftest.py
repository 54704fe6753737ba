from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.conftest import flat

VALUES = (0, 51, 102, 255)
EXPECTED = [value / 255 for value in VALUES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images named 0.png, 51.png, ... that score as value / 255."""
    folder = tmp_path_factory.mktemp("images")
    for value in VALUES:
        Image.fromarray(flat(value)).save(folder / f"{value}.png")
    return folder


@pytest.fixture
def df(folder: Path) -> pd.DataFrame:
    """The paths of the images in `folder`, in the column "path"."""
    return pd.DataFrame({"path": [str(folder / f"{value}.png") for value in VALUES]})
