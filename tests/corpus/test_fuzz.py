"""A short run of the fuzzer, and that it would catch what it looks for."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.corpus.fuzz import Check, mutated, run
from tests.corpus.seeds import seeds


def _raise(content: bytes, number: int) -> str | None:
    return f"{len(content)} bytes" if number == 3 else None


def _crash(content: bytes, number: int) -> str | None:
    if number == 3:
        os.abort()
    return None


def _hang(content: bytes, number: int) -> str | None:
    if number == 3:
        threading.Event().wait()
    return None


def _fill_the_memory(content: bytes, number: int) -> str | None:
    if number == 3:
        bytearray(600 << 20)
    return None


def test_fuzzing_two_thousand_files_finds_nothing(tmp_path: Path) -> None:
    assert run(2000, seed=1, folder=tmp_path) == []


@pytest.mark.parametrize(
    ("check", "what"),
    [
        (_raise, "bytes"),
        (_crash, "ended the process with code -6"),
        (_hang, "has not ended after 1.0 s"),
        (_fill_the_memory, "took 6"),
    ],
)
def test_the_fuzzer_finds_and_keeps_what_goes_wrong(check: Check, what: str, tmp_path: Path) -> None:
    (finding,) = run(6, seed=1, folder=tmp_path, check=check, longest_s=1.0 if check is _hang else 60.0)
    assert finding.number == 3
    assert what in finding.what
    assert (tmp_path / "1-3").read_bytes() == mutated(seeds(), 1, 3)
