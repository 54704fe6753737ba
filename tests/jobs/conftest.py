from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from resmem_plugin.core.scoring import scorer
from tests.conftest import flat
from tests.models import RedEngine

NAMES = ["=1+1.png", "two\nlines.png", 'a "quoted", one.png', "é.png"]


@pytest.fixture
def image_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with images/ of 40 files; every tenth is not an image."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for number, name in enumerate([*NAMES, *(f"{number:02}.png" for number in range(len(NAMES), 40))]):
        path = tmp_path / "images" / name
        if number % 10 == 5:
            path.write_text("not an image")
        else:
            Image.fromarray(flat(number)).save(path)
    return tmp_path


@pytest.fixture
def use_engine(monkeypatch: pytest.MonkeyPatch) -> Callable[[RedEngine], RedEngine]:
    """Let `resmem score` use the given engine, in this process."""

    def use(engine: RedEngine) -> RedEngine:
        monkeypatch.setattr(scorer, "load_engine", lambda *_: engine)
        return engine

    return use
