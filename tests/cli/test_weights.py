"""`resmem weights`: the path, hash and licence of the weights."""

from __future__ import annotations

import pytest

from resmem_plugin.cli import main

pytestmark = pytest.mark.weights


def test_weights_command_verifies_the_hash(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["weights"]) == 0
    out = capsys.readouterr().out
    assert "model.pt" in out
    assert "8e4b8ab0ac338909add68a674e9bd4c1602350731abe7f97bc060dc159706a53 (verified)" in out
    assert "Non-commercial" in out
    monkeypatch.setenv("RESMEM_WEIGHTS", "none.pt")
    assert main(["weights"]) == 1
    assert "no weights file at none.pt" in capsys.readouterr().err
