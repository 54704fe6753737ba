from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.engines.openvino import conversion
from resmem_plugin.core.errors import CalibrationWarning, MissingPackageError, OptionError
from resmem_plugin.core.network.weights import find_weights

pytestmark = pytest.mark.weights

# Left, top, right and bottom of the whole and of five parts.
PARTS = [(0, 0, 1, 1), (0, 0, 0.7, 0.7), (0.3, 0, 1, 0.7), (0, 0.3, 0.7, 1), (0.3, 0.3, 1, 1), (0.2, 0.2, 0.8, 0.8)]


def _parts(paths: list[Path], count: int = len(PARTS)) -> list[Image.Image]:
    """Each photograph, and parts of it: so many images of each."""
    images = [Image.open(path).convert("RGB") for path in paths]
    sizes = [np.array([*image.size, *image.size]) for image in images]
    return [
        image.crop(tuple((size * part).astype(int)))
        for image, size in zip(images, sizes, strict=True)
        for part in PARTS[:count]
    ]


@pytest.fixture(scope="module")
def calibrating(photos: dict[str, Path]) -> list[Image.Image]:
    """36 images, hardly more than the 32 below which calibration warns: more would only take longer."""
    return _parts(list(photos.values())[::2], count=4)


class Calibrated(NamedTuple):
    """An int8 scorer, and what calibrating it has left behind."""

    scorer: Scorer
    stdout: str
    handler: logging.Handler
    logger_class: type[logging.Logger]


@contextlib.contextmanager
def _stdout_to(file: IO[bytes]) -> Iterator[None]:
    """Write to a file what Python and native code write to stdout."""
    stdout = os.dup(1)
    os.dup2(file.fileno(), 1)
    try:
        with open(1, "w", closefd=False) as redirected, contextlib.redirect_stdout(redirected):
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


@pytest.fixture(scope="module")
def calibrated(
    calibrating: list[Image.Image], cache_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Calibrated]:
    """Calibrated once for all tests here, in a cache folder that holds the converted network."""
    folder = tmp_path_factory.mktemp("int8") / "cache"
    shutil.copytree(cache_folder, folder, copy_function=os.link)
    handler = logging.StreamHandler()
    logging.getLogger("nncf").addHandler(handler)
    with pytest.MonkeyPatch.context() as environment, tempfile.TemporaryFile() as stdout:
        environment.setenv("RESMEM_CACHE_DIR", str(folder))
        with _stdout_to(stdout):
            scorer = Scorer(device="cpu", precision="int8", calibration=calibrating)
        stdout.seek(0)
        logging.getLogger("nncf").removeHandler(handler)
        yield Calibrated(scorer, stdout.read().decode(), handler, logging.getLoggerClass())
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def int8(calibrated: Calibrated) -> Scorer:
    return calibrated.scorer


def test_int8_ranks_photographs_that_did_not_calibrate_as_fp32_does(
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


def test_int8_scores_do_not_depend_on_the_batch(int8: Scorer, calibrating: list[Image.Image]) -> None:
    together = [score.memorability for score in int8.score(calibrating[:9])]
    alone = [int8.score([image])[0].memorability for image in calibrating[:3]]
    assert alone == pytest.approx(together[:3], abs=1e-6)


def test_provenance_records_the_calibration_and_its_network_is_cached(
    int8: Scorer, calibrating: list[Image.Image], photos: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    provenance = int8.provenance
    assert (provenance.engine, provenance.precision) == ("openvino", "int8")
    assert provenance.calibration is not None
    folder = conversion.converted_folder(find_weights(), f"int8-{provenance.calibration}")
    assert conversion._is_complete(folder)
    monkeypatch.setitem(sys.modules, "nncf", None)  # from here on nothing may be calibrated
    expected = [score.memorability for score in int8.score(calibrating[:2])]
    for calibration in (calibrating, provenance.calibration):
        again = Scorer(device="cpu", precision="int8", calibration=calibration)
        assert again.provenance == provenance
        assert [score.memorability for score in again.score(calibrating[:2])] == expected
    lazy = Scorer(device="cpu", precision="int8")
    with pytest.raises(OptionError, match="calibrated on the first images"):
        _ = lazy.provenance
    assert lazy.score([]) == []
    nothing = pd.Series([None], dtype=object)
    assert nothing.resmem.score(device="cpu", precision="int8").isna().all()
    assert "not calibrated" in repr(lazy)
    assert len(lazy.score(calibrating)) == len(calibrating)  # the same images, so the network that is kept
    assert lazy.provenance == provenance
    new = Scorer(device="cpu", precision="int8")
    with pytest.warns(CalibrationWarning, match=r"on 1 image\(s\)"), pytest.raises(MissingPackageError, match="int8"):
        new.score([photos["coffee.png"]])
    with pytest.raises(OptionError, match="no int8 network of calibration '0123'"):
        Scorer(device="cpu", precision="int8", calibration="0123")


def test_calibration_writes_nothing_to_stdout_and_leaves_logging_as_it_was(calibrated: Calibrated) -> None:
    assert calibrated.stdout == ""
    assert calibrated.handler.level == logging.NOTSET
    assert calibrated.logger_class is logging.Logger
