from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from examples.demo import photographs
from tests.mongod import own_mongod

if TYPE_CHECKING:
    from resmem_plugin import Scorer
    from tests.http_server import WebServer

ROOT = Path(__file__).parents[1]

# What a shell starts with & ignores Ctrl-C, and so would the processes that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# FiftyOne reads these when it is imported, which a test module may do at its top.
_FIFTYONE = Path(tempfile.mkdtemp(prefix="resmem-tests-"))
atexit.register(shutil.rmtree, _FIFTYONE, ignore_errors=True)
(_FIFTYONE / "plugins").mkdir()
(_FIFTYONE / "plugins" / "resmem").symlink_to(ROOT, target_is_directory=True)
os.environ.update(
    FIFTYONE_DATABASE_VALIDATION="false",
    FIFTYONE_DO_NOT_TRACK="true",
    FIFTYONE_MODEL_ZOO_DIR=str(_FIFTYONE / "models"),
    FIFTYONE_PLUGINS_DIR=str(_FIFTYONE / "plugins"),
    FIFTYONE_SHOW_PROGRESS_BARS="false",
)


@pytest.fixture(scope="session", autouse=True)
def cache_folder() -> Iterator[Path]:
    """A cache folder of the tests' own: the first load converts the weights, as on a new machine."""
    folder = Path(tempfile.mkdtemp())
    os.environ["RESMEM_CACHE_DIR"] = str(folder)
    os.environ.pop("RESMEM_WEIGHTS", None)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """The address of a mongod for these tests alone; the plugins folder holds a link to this repository."""
    with own_mongod(_FIFTYONE) as address:
        yield address


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


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A web server on this machine that misbehaves as it is asked to."""
    from tests.http_server import web_server

    with web_server() as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what tests have measured and given to `record_property`, wherever they ran."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


def flat(value: int) -> npt.NDArray[np.uint8]:
    """A small picture of one colour, which `red` scores as value / 255."""
    return np.full((4, 4, 3), value, dtype=np.uint8)
