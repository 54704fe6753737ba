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
from tests.session import limit_threads, session_folder, session_lock

if TYPE_CHECKING:
    from resmem_plugin import Scorer
    from tests.http_server import WebServer

ROOT = Path(__file__).parents[1]

LONGEST_FILES = (
    "tests/browser/test_app.py",
    "tests/browser/test_panel.py",
    "tests/distributed/test_job.py",
    "tests/cli/test_distributed.py",
    "tests/jobs/test_checkpoint.py",
    "tests/distributed/test_ray.py",
    "tests/fiftyone/dataset/test_database_faults.py",
    "tests/fiftyone/app/test_kinds_of_view.py",
    "tests/core/test_parity.py",
    "tests/core/engines/openvino/test_quantization.py",
    "tests/core/engines/openvino/test_conversion.py",
    "tests/packaging/test_loading.py",
    "tests/fiftyone/setup/test_launch.py",
    "tests/fiftyone/dataset/test_killed.py",
    "tests/fiftyone/dataset/test_interrupted.py",
    "tests/core/scoring/test_pipeline.py",
    "notebooks/02_curate_with_fiftyone.ipynb",
    "notebooks/03_why_this_score.ipynb",
    "tests/explain/test_saliency.py",
)
"""Those that take longest, which start first: two workers then end at about the same time."""

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
    XDG_DATA_HOME=str(_FIFTYONE / "data"),  # of maps and weights that the App makes
    RAY_worker_niceness="0",  # it is 15: the other tests would take the cores
)


def pytest_configure(config: pytest.Config) -> None:
    """Share the cores and the cache folder among the workers, and keep away from the user's own settings."""
    limit_threads()
    os.environ["RESMEM_CACHE_DIR"] = str(session_folder() / "cache")
    os.environ.pop("RESMEM_WEIGHTS", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the `LONGEST_FILES`, and keep the order of the others."""
    rank = {name: number for number, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: rank.get(item.path.relative_to(ROOT).as_posix(), len(rank)))


@pytest.fixture(scope="session")
def cache_folder() -> Path:
    """The session's cache folder, in which the network has been converted for every engine, once for all workers."""
    from resmem_plugin.core.engines.openvino.conversion import load_converted
    from resmem_plugin.core.engines.openvino.engine import shared_core
    from resmem_plugin.core.network.pretrained import load_weights
    from resmem_plugin.core.network.weights import find_weights

    with session_lock("conversion"):
        load_converted(shared_core(), find_weights())
        load_weights(find_weights())
    return session_folder() / "cache"


@pytest.fixture(autouse=True)
def _converted_network(request: pytest.FixtureRequest) -> None:
    """Have the network converted, once, before a test that needs the weights, not by both workers during two tests."""
    if request.node.get_closest_marker("weights"):
        request.getfixturevalue("cache_folder")


@pytest.fixture
def skip_conversion(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenVINO's network would be converted again, take the session's: that takes seconds and is not the point.

    The weights are read and checked as for a conversion.
    """
    from resmem_plugin.core.engines.openvino import conversion
    from resmem_plugin.core.engines.openvino.engine import shared_core
    from resmem_plugin.core.network.pretrained import load_resmem
    from resmem_plugin.core.network.weights import WeightsFile, find_weights

    graph = cache_folder / conversion.converted_folder(find_weights()).name / "resmem.xml"

    def convert(weights: WeightsFile) -> object:
        load_resmem(weights, keep=False)
        return shared_core().read_model(graph)

    monkeypatch.setattr(conversion, "_convert", convert)


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """The address of a mongod for these tests alone; the plugins folder has a link to this repository."""
    with own_mongod(_FIFTYONE) as address:
        yield address


@pytest.fixture(scope="session")
def photos() -> dict[str, Path]:
    """Name -> path of the installed photographs."""
    return {path.name: path for path in photographs()}


@pytest.fixture(scope="session")
def scorer(cache_folder: Path) -> Scorer:
    """ResMem with the published weights, in fp32 on the CPU."""
    from resmem_plugin import Scorer

    return Scorer(device="cpu")


@pytest.fixture(scope="session")
def red() -> Scorer:
    """A scorer with a cheap model whose scores can be computed by hand: the mean of the red channel."""
    from resmem_plugin import Scorer
    from tests.models import Red

    return Scorer(device="cpu", model=Red(), batch_size=4)


@pytest.fixture
def photo_folder(tmp_path: Path, photos: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the photographs of `make_photo_folder`."""
    from tests.jobs.photo_folder import make_photo_folder

    monkeypatch.chdir(tmp_path)
    make_photo_folder(tmp_path, photos)
    return tmp_path


@pytest.fixture
def expected_scores(photo_folder: Path, scorer: Scorer) -> dict[str, float]:
    """Path -> score of the photographs in `photo_folder`."""
    from tests.jobs.photo_folder import score_photos

    return score_photos(scorer)


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A web server on this machine that misbehaves as the path of a request asks."""
    from tests.http_server import web_server

    with web_server() as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have measured and recorded with `record_property`, in whichever worker they ran."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


def flat(value: int) -> npt.NDArray[np.uint8]:
    """A small image of one colour, which `red` scores as value / 255."""
    return np.full((4, 4, 3), value, dtype=np.uint8)
