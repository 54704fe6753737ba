"""Loading an engine: scorers of the same options share one network."""

from __future__ import annotations

import tempfile

import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.engines.temporary import temporary_folder_named


@pytest.mark.weights
def test_scorers_share_one_network() -> None:
    one, other = Scorer(device="cpu"), Scorer(device="cpu", batch_size=2, precision="fp32")
    assert one.engine is other.engine


def test_a_temporary_folder_is_named_only_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_folder_named():
        assert tempfile.tempdir == tempfile.gettempdir()
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nonexistent"])
    with temporary_folder_named():
        assert tempfile.gettempdir() == "/"
    with pytest.raises(FileNotFoundError):
        tempfile.gettempdir()
