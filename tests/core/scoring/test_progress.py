"""Progress of a run: callbacks and the bar."""

from __future__ import annotations

import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.scoring.progress import Progress
from tests.conftest import flat


def test_progress_is_reported(red: Scorer, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[Progress] = []
    red.score([flat(0), b"bad", flat(1)], errors="coerce", progress=calls.append)
    assert [(call.iteration, call.total, call.failed) for call in calls] == [(1, 3, 0), (2, 3, 1), (3, 3, 1)]
    assert calls[-1].progress == 1
    assert capsys.readouterr() == ("", "")
    red.score([flat(0)], progress=None)  # not a terminal
    red.score([flat(0)], progress=False)
    assert capsys.readouterr() == ("", "")
    red.score([flat(0)], progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1/1" in captured.err
