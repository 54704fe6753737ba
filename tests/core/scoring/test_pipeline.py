"""The pipeline is lazy, keeps order, has bounded memory and stops at once."""

from __future__ import annotations

import gc
import http.server
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy.typing as npt
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.images.reader import ImageReader
from resmem_plugin.core.scoring import pipeline
from resmem_plugin.core.scoring.preparation import Prepared
from tests.conftest import flat
from tests.models import AsynchronousEngine, Red


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], capture_output=True, text=True, check=False
    )


def test_a_generator_is_read_only_a_few_images_ahead() -> None:
    read = 0

    def images() -> Iterator[npt.NDArray[object]]:  # type: ignore[type-var]
        nonlocal read
        while True:
            read += 1
            yield flat(read % 256)

    scores = Scorer(device="cpu", model=Red(), batch_size=4, num_workers=2).iter_scores(images())
    for _ in range(50):
        next(scores)
    assert read <= 50 + 3 * 4 + 16
    scores.close()


def test_an_error_of_the_callers_generator_is_raised(red: Scorer) -> None:
    def images() -> Iterator[object]:
        yield from (flat(value) for value in range(10))
        raise LookupError("the caller's own")

    scores = []
    with pytest.raises(LookupError, match="the caller's own"):  # noqa: PT012
        for score in red.iter_scores(images()):
            scores.append(score.memorability)  # noqa: PERF401 (what came before the error counts)
    assert scores == pytest.approx([value / 255 for value in range(10)], abs=1e-6)


MEMORY = """
    import sys
    import psutil
    from resmem_plugin import Scorer
    from resmem_plugin.core.scoring import scorer as module
    from tests.models import RedEngine

    def memory(): return psutil.Process().memory_info().rss / 1e6

    vars(module)["load_engine"] = lambda *_: RedEngine()
    scorer = Scorer(device="cpu", batch_size=64)
    list(scorer.iter_scores(sys.argv[1:] * 10))
    loaded, most, count = memory(), 0.0, 0
    for score in scorer.iter_scores(sys.argv[1 + i % len(sys.argv[1:])] for i in range(30_000)):
        assert score.ok and score.index == count
        count += 1
        if count % 500 == 0:
            most = max(most, memory())
    print(count, most - loaded)
"""


@pytest.mark.weights  # they are looked for, though an engine that costs little runs
def test_thirty_thousand_references_fit_into_300_mb(tmp_path: Path) -> None:
    from PIL import Image

    paths = []
    for number in range(4):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (64, 48), (number * 50, 0, 0)).save(paths[-1])
    done = _run(MEMORY, *map(str, paths))
    assert done.returncode == 0, done.stderr
    count, grown_mb = done.stdout.split()
    assert int(count) == 30_000
    assert float(grown_mb) < 300


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_a_failed_image_is_freed_without_garbage_collection(red: Scorer, photos: dict[str, Path]) -> None:
    """No reference cycle of an error, its frames and its future, which garbage collection would have to find."""
    content = photos["rocket.jpg"].read_bytes()
    scores = red.score([b"no image", content[: len(content) // 3]] * 20, errors="coerce")
    assert not any(score.ok for score in scores)
    deadline = time.monotonic() + 20  # the last ones are in the hands of threads that end
    while any(type(thing) is Prepared for thing in gc.get_objects()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


class _Hanging(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked.set()
        time.sleep(60)

    def log_message(self, *_: object) -> None:
        pass


asked = threading.Event()


def test_ctrl_c_stops_at_once_while_a_server_hangs() -> None:
    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

    asked.clear()
    with Server(("127.0.0.1", 0), _Hanging) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        code = """
            import sys
            from resmem_plugin import Scorer
            from tests.models import Red
            Scorer(device="cpu", model=Red()).score([sys.argv[1]])
        """
        url = f"http://127.0.0.1:{server.server_port}/a.jpg"
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), url], stderr=subprocess.PIPE, text=True
        )
        assert asked.wait(60)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        took_s = time.monotonic() - began
        server.shutdown()
    assert took_s < 5
    assert "KeyboardInterrupt" in errors
    assert "Fatal" not in errors


def test_an_asynchronous_engine_is_given_its_next_batch_before_the_first_is_collected() -> None:
    engine = AsynchronousEngine()
    outcomes = pipeline.run(
        [flat(value) for value in range(11)] + [None], reader=ImageReader(), engine=engine, batch_size=4, num_workers=2
    )
    found = [outcome.memorability for outcome in outcomes]
    assert found[:11] == pytest.approx([value / 255 for value in range(11)], abs=1e-6)
    assert len(found) == 12
    assert engine.events == ["submit 4", "submit 4", "finish", "submit 3", "finish", "finish"]


def test_threads_end_with_the_run(red: Scorer) -> None:
    before = threading.active_count()
    for _ in range(20):
        next(iter(red.iter_scores([flat(1)] * 100)))
    deadline = threading.Event()
    for _ in range(100):
        if threading.active_count() <= before:
            break
        deadline.wait(0.05)
    assert threading.active_count() <= before
