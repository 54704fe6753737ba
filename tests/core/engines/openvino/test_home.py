"""The home folder while OpenVINO and NNCF are imported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resmem_plugin.core.engines.openvino.home import usable_home


def test_unknown_home_is_replaced_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with usable_home():
        assert Path.home() == Path(os.devnull)
    assert "HOME" not in os.environ


def test_home_that_cannot_be_written_is_replaced_and_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with usable_home():
        assert os.environ["HOME"] == str(tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)
    with usable_home():
        assert os.environ["HOME"] == os.devnull
    assert os.environ["HOME"] == str(tmp_path)
