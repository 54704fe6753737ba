from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.engines.calibration import SAMPLE_SIZE, calibration_id, sample_of
from resmem_plugin.core.engines.openvino import conversion
from resmem_plugin.core.errors import CalibrationWarning, MissingPackageError, OptionError
from resmem_plugin.core.network.weights import find_weights
from tests.conftest import flat
from tests.models import Red

pytestmark = pytest.mark.weights

PARTS = [(0, 0, 1, 1), (0, 0, 0.7, 0.7), (0.3, 0, 1, 0.7), (0, 0.3, 0.7, 1), (0.3, 0.3, 1, 1), (0.2, 0.2, 0.8, 0.8)]


def _parts(paths: list[Path]) -> list[Image.Image]:
    """Each photograph, and five parts of it: left, top, right, bottom."""
    images = [Image.open(path).convert("RGB") for path in paths]
    sizes = [np.array([*image.size, *image.size]) for image in images]
    return [
        image.crop(tuple((size * part).astype(int)))
        for image, size in zip(images, sizes, strict=True)
        for part in PARTS
    ]


@pytest.fixture(scope="module")
def calibrating(photos: dict[str, Path]) -> list[Image.Image]:
    return _parts(list(photos.values())[::2])


@pytest.fixture(scope="module")
def int8(calibrating: list[Image.Image]) -> Scorer:
    return Scorer(device="cpu", precision="int8", calibration=calibrating)


def test_it_ranks_photographs_that_did_not_calibrate_as_fp32_does(
    int8: Scorer, scorer: Scorer, photos: dict[str, Path], record_property: Callable[[str, object], None]
) -> None:
    others = _parts(list(photos.values())[1::2])
    exact, quick = (
        np.array([score.memorability for score in each.score(others)], np.float64) for each in (scorer, int8)
    )
    rho = np.corrcoef(np.argsort(np.argsort([exact, quick]))).min()
    errors = np.abs(quick - exact)
    record_property("int8", f"rho {rho:.4f}, mean error {errors.mean():.4f}, largest {errors.max():.4f}")
    assert rho >= 0.99
    assert errors.mean() <= 0.01


def test_neighbours_and_batches_change_nothing(int8: Scorer, calibrating: list[Image.Image]) -> None:
    together = [score.memorability for score in int8.score(calibrating[:9])]
    alone = [int8.score([image])[0].memorability for image in calibrating[:3]]
    assert alone == pytest.approx(together[:3], abs=1e-6)


def test_the_provenance_tells_the_calibration_and_its_network_is_kept(
    int8: Scorer, calibrating: list[Image.Image], photos: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = int8.provenance
    assert (told.engine, told.precision) == ("openvino", "int8")
    assert told.calibration is not None
    folder = conversion.converted_folder(find_weights(), f"int8-{told.calibration}")
    assert conversion._is_complete(folder)
    monkeypatch.setitem(sys.modules, "nncf", None)  # from here on nothing may be calibrated
    expected = [score.memorability for score in int8.score(calibrating[:2])]
    for calibration in (calibrating, told.calibration):
        again = Scorer(device="cpu", precision="int8", calibration=calibration)
        assert again.provenance == told
        assert [score.memorability for score in again.score(calibrating[:2])] == expected
    lazy = Scorer(device="cpu", precision="int8")
    with pytest.raises(OptionError, match="calibrated on the first images"):
        _ = lazy.provenance
    assert lazy.score([]) == []
    nothing = pd.Series([None], dtype=object)
    assert nothing.resmem.score(device="cpu", precision="int8").isna().all()
    assert "not calibrated" in repr(lazy)
    assert len(lazy.score(calibrating)) == len(calibrating)  # the same images, so the network that is kept
    assert lazy.provenance == told
    new = Scorer(device="cpu", precision="int8")
    with pytest.warns(CalibrationWarning, match=r"on 1 image\(s\)"), pytest.raises(MissingPackageError, match="int8"):
        new.score([photos["coffee.png"]])
    with pytest.raises(OptionError, match="no int8 network of calibration '0123'"):
        Scorer(device="cpu", precision="int8", calibration="0123")


def test_calibrating_writes_nothing_among_results_and_leaves_logging_alone(
    photos: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    someones = logging.StreamHandler()
    logging.getLogger("nncf").addHandler(someones)
    with pytest.warns(CalibrationWarning):
        Scorer(device="cpu", precision="int8", calibration=[photos["moon.png"]])
    logging.getLogger("nncf").removeHandler(someones)
    assert capfd.readouterr().out == ""
    assert someones.level == logging.NOTSET
    assert logging.getLoggerClass() is logging.Logger


class Nameless:
    def __fspath__(self) -> str:
        raise LookupError("nameless")


def test_what_cannot_calibrate_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(OptionError, match="none can be read; the first: not an image"):
        Scorer(device="cpu", precision="int8", calibration=[tmp_path / "a.jpg"])
    with pytest.raises(OptionError, match=r"none can be read; the first: .*nameless"):
        Scorer(device="cpu", precision="int8", calibration=[Nameless()])
    with pytest.raises(OptionError, match="none can be read: name others"):
        Scorer(device="cpu", precision="int8", calibration=[])
    with pytest.raises(OptionError, match="calibration is for precision='int8'"):
        Scorer(device="cpu", calibration=[flat(1)])
    with pytest.raises(OptionError, match="for the published network, on a CPU"):
        Scorer(device="cpu", precision="int8", model=Red())


def test_a_sample_is_spread_over_a_list_and_heads_a_stream() -> None:
    assert sample_of(range(1000))[0] == [number * 1000 // SAMPLE_SIZE for number in range(SAMPLE_SIZE)]
    assert sample_of("ab")[0] == ["a", "b"]
    sample, everything = sample_of(iter(range(1000)))
    assert sample == list(range(SAMPLE_SIZE))
    assert list(everything) == list(range(1000))


def test_ids_name_contents() -> None:
    one, two = (np.zeros((size, 227, 227, 3), np.uint8) for size in (1, 2))
    assert calibration_id(one) == calibration_id(one.copy()) != calibration_id(two)
    assert calibration_id("0123456789abcdef") == "0123456789abcdef"
