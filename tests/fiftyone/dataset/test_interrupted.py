"""An interrupted run that is started again is completed, and scores nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from resmem_plugin import Scorer
from resmem_plugin.fiftyone import compute_memorability
from tests.conftest import ROOT
from tests.models import Counted, Slow

RUN = """
import sys
import fiftyone as fo
from resmem_plugin import Scorer
from resmem_plugin.fiftyone import compute_memorability
from tests.models import Slow
name, forwarded = sys.argv[1:]
compute_memorability(fo.load_dataset(name), scorer=Scorer(device="cpu", model=Slow(forwarded), batch_size=4))
"""


@pytest.fixture
def many(dataset: Any, reds: list[str]) -> Any:
    dataset.persistent = True  # or the killed process would take it along
    dataset.add_samples([fo.Sample(filepath=path) for path in reds * 5])
    return dataset


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_run_is_resumed(many: Any, reds: list[str], tmp_path: Path, number: signal.Signals) -> None:
    forwarded = tmp_path / "forwarded"
    with subprocess.Popen(
        [sys.executable, "-c", RUN, many.name, str(forwarded)], cwd=ROOT, env=os.environ, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 120
        while not (many.has_field("memorability") and many.count("memorability")):
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
            many.reload()
        process.send_signal(number)
        assert process.wait(timeout=60) != 0
    many.reload()
    written = many.count("memorability")
    assert 0 < written < len(many)
    if number == signal.SIGINT:  # which can be caught: all but the batch in hand is written
        assert forwarded.stat().st_size - written <= 4

    again = Scorer(device="cpu", model=Slow(str(tmp_path / "again")), batch_size=4)
    summary = compute_memorability(many, scorer=again)
    assert (summary.skipped, summary.scored) == (written, len(many) - written)
    assert (tmp_path / "again").stat().st_size == len(many) - written
    expected = [score.memorability for score in Scorer(device="cpu", model=Counted(os.devnull)).score(reds)]
    assert many.values("memorability") == pytest.approx(expected * 5)
