from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from examples.demo import main, photographs
from resmem_plugin.core.errors import MissingPackageError


@pytest.mark.weights
def test_demo_scores_and_ranks_the_photographs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(str(tmp_path)) == 0
        out = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "scores.csv")
    assert len(table) == len(photographs()) >= 12
    ranked = [line.split()[1] for line in out.splitlines() if line.strip().startswith("0.")]
    assert ranked == [Path(path).name for path in table.sort_values("memorability", ascending=False)["path"]]
    assert (tmp_path / "gallery.html").stat().st_size > 50_000
    assert "Next" in out


def test_missing_photographs_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=r"pip install \"resmem-plugin\[all\]\""):
        photographs()
