"""The `resmem` command as a user starts it: closed and full streams, broken pipes, argparse's usage errors."""

from __future__ import annotations

import os
import subprocess

import pytest

from resmem_plugin.cli import main
from tests.jobs.photo_folder import read_scores
from tests.jobs.runs import COMMAND

pytestmark = pytest.mark.weights


@pytest.mark.parametrize("arguments", [[], ["score"], ["score", "a.jpg", "--errors", "ignore"], ["rank"]])
def test_argparse_usage_errors_exit_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", "<&- -", "2>&-"])
def test_closed_and_full_streams(redirection: str, expected_scores: dict[str, float]) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND[0]} score images {redirection}"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert "Traceback" not in done.stderr
    if redirection == "2>&-":
        assert done.returncode == 0
        assert len(read_scores(done.stdout)) == 2
    else:
        assert done.returncode in (1, 2)
        assert "error" in done.stderr


def test_broken_pipe_prints_no_traceback(expected_scores: dict[str, float]) -> None:
    command = f"{COMMAND[0]} score -r images images images | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
