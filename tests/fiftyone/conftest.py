from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.engines.calibration import Calibration, calibration_id
from resmem_plugin.core.engines.resolve import Choice
from resmem_plugin.core.network.weights import WeightsFile
from resmem_plugin.core.scoring import scorer
from tests.models import Red, RedEngine


def add_images(dataset: Any, paths: Iterable[Any], **fields: Any) -> None:
    """Add images to a dataset, with the same value of each field."""
    import fiftyone as fo

    dataset.add_samples([fo.Sample(filepath=str(path), **fields) for path in paths])


@pytest.fixture
def dataset(database: str) -> Iterator[Any]:
    """An empty FiftyOne dataset in the tests' database."""
    import fiftyone as fo

    made = fo.Dataset(f"test-{uuid.uuid4().hex[:12]}")
    yield made
    made.delete()


@pytest.fixture(scope="session")
def upright_red() -> Scorer:
    """As `red`, but with EXIF orientation applied, as patches need it."""
    return Scorer(device="cpu", model=Red(), batch_size=4, exif_transpose=True)


@pytest.fixture
def reds(tmp_path: Path) -> list[str]:
    """Ten images that `red` scores as 0, .1, ... .9."""
    paths = [tmp_path / f"{number}.png" for number in range(10)]
    for number, path in enumerate(paths):
        Image.new("RGB", (8, 8), (round(25.5 * number), 0, 0)).save(path)
    return [str(path) for path in paths]


@pytest.fixture
def calibrations(monkeypatch: pytest.MonkeyPatch) -> list[Calibration]:
    """Replaces ResMem in int8 by the mean of the red channel; lists the calibrations it is loaded with."""
    seen: list[Calibration] = []

    def load(weights: WeightsFile, choice: Choice, calibration: Calibration) -> RedEngine:
        seen.append(calibration)
        engine = RedEngine(batch_dependent=False)
        engine.name, engine.precision, engine.weights = choice.engine, choice.precision, weights.sha256
        engine.calibration = calibration_id(calibration)
        return engine

    monkeypatch.setattr(scorer, "load_engine", load)
    return seen


@pytest.fixture
def bad(tmp_path: Path, photos: dict[str, Path]) -> dict[str, str]:
    """Files that cannot be read as images, by what is wrong with them."""
    paths = {name: tmp_path / f"{name}.jpg" for name in ("missing", "truncated", "text", "empty")}
    content = photos["rocket.jpg"].read_bytes()
    paths["truncated"].write_bytes(content[: len(content) // 3])
    paths["text"].write_text("not an image")
    paths["empty"].touch()
    shutil.copy(photos["rocket.jpg"], tmp_path / "good.jpg")
    return {name: str(path) for name, path in paths.items()}
