from __future__ import annotations

from pathlib import Path

import pytest

from resmem_plugin import Scorer
from tests.jobs.photo_folder import make_photo_folder, score_photos


@pytest.fixture
def photo_folder(tmp_path: Path, photos: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the photographs of `make_photo_folder`."""
    monkeypatch.chdir(tmp_path)
    make_photo_folder(tmp_path, photos)
    return tmp_path


@pytest.fixture
def expected_scores(photo_folder: Path, scorer: Scorer) -> dict[str, float]:
    """Path -> score of the photographs in `photo_folder`."""
    return score_photos(scorer)
