"""The images that int8 is calibrated on: how they are sampled, named and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.engines.calibration import SAMPLE_SIZE, calibration_id, sample_of
from resmem_plugin.core.errors import OptionError
from tests.conftest import flat
from tests.models import Red


class Nameless:
    """A path-like object whose path cannot be read."""

    def __fspath__(self) -> str:
        raise LookupError("nameless")


@pytest.mark.weights
def test_calibration_without_readable_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
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


def test_a_sample_is_spread_over_a_list_and_taken_from_the_start_of_a_stream() -> None:
    assert sample_of(range(1000))[0] == [number * 1000 // SAMPLE_SIZE for number in range(SAMPLE_SIZE)]
    assert sample_of("ab")[0] == ["a", "b"]
    sample, everything = sample_of(iter(range(1000)))
    assert sample == list(range(SAMPLE_SIZE))
    assert list(everything) == list(range(1000))


def test_calibration_id_is_a_hash_of_the_images() -> None:
    one, two = (np.zeros((size, 227, 227, 3), np.uint8) for size in (1, 2))
    assert calibration_id(one) == calibration_id(one.copy()) != calibration_id(two)
    assert calibration_id("0123456789abcdef") == "0123456789abcdef"
