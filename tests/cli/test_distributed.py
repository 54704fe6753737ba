"""`resmem score --distributed` and `resmem merge`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resmem_plugin.cli import main
from tests.distributed.images import rows
from tests.jobs.runs import COMMAND


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--distributed", "ray"], "--distributed writes a folder of shards: name it with -o"),
        (["--distributed", "ray", "-o", "out.csv"], "writes a folder of parquet files, not out.csv"),
        (["--distributed", "dask", "-o", "out", "--overwrite"], "never replaces shards"),
        (["--distributed", "dask", "-o", "out", "--html", "a.html"], "--html is not written by --distributed"),
        (["--distributed", "dask", "-o", "out", "--columns", "clipped"], "--columns is not written by --distributed"),
        (["--distributed", "dask", "-o", "out", "--errors", "raise"], "records failures as rows"),
        (["--distributed", "dask", "-o", "out", "--precision", "int8"], "each worker would take others"),
        (["--distributed", "dask", "-o", "out", "--address", "tcp://a:1", "--workers", "2"], "has its own workers"),
        (["--workers", "2"], "--workers needs --distributed ray or --distributed dask"),
        (["--shard-size", "2"], "--shard-size needs --distributed"),
        (["--address", "auto"], "--address needs --distributed"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["score", "a.png", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cluster", "address"),
    [("ray", "127.0.0.1:9"), ("ray", "ray://127.0.0.1:9"), ("ray", "nonsense"), ("dask", "tcp://127.0.0.1:9")],
)
def test_a_cluster_that_does_not_answer_is_told(
    cluster: str, address: str, photos: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["score", str(photos["coffee.png"]), "--distributed", cluster, "-o", str(tmp_path / "shards")]
    assert main([*run, "--address", address]) == 2
    assert f"there is no {cluster.capitalize()} cluster at {address}" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "1.5", "x"])
def test_numbers_are_positive(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["score", "a.png", "--distributed", "ray", "-o", "out", "--workers", number])
    assert "must be at least 1" in capsys.readouterr().err


def test_an_output_that_exists_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out.csv").touch()
    assert main(["merge", str(tmp_path), "-o", str(tmp_path / "out.csv")]) == 2
    assert "exists: name another file, or use --overwrite" in capsys.readouterr().err


@pytest.mark.weights
@pytest.mark.parametrize("cluster", ["ray", "dask"])
def test_a_cluster_writes_the_rows_of_a_plain_run(
    cluster: str, photos: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = rows(photos, tmp_path)[:30]
    table, shards, output = (str(tmp_path / name) for name in ("table.parquet", "shards", "out.parquet"))
    plain = str(tmp_path / "plain.parquet")
    frame.to_parquet(table)
    run = ["score", table, "--distributed", cluster, "-o", shards, "--shard-size", "20", "--device", "cpu", "-q"]
    assert main(run) == 1
    assert f"27 of 30 scored, 3 failed: see the error column; 2 shards are in {shards}" in capsys.readouterr().err
    assert main(["merge", shards, "-o", output]) == 0
    assert main(["score", table, "-o", plain, "--device", "cpu", "-q"]) == 1
    merged, expected = pd.read_parquet(output), pd.read_parquet(plain)
    np.testing.assert_allclose(merged["memorability"], expected["memorability"], atol=1e-6)
    pd.testing.assert_frame_equal(
        merged.drop(columns="memorability"), expected.drop(columns="memorability"), check_dtype=False
    )
    assert merged.attrs == expected.attrs

    shutil.copy(photos["coffee.png"], tmp_path / "text.jpg")
    assert main(run) == 1
    assert "2 of 2 shards were done already" in capsys.readouterr().err
    assert main([*run, "--retry-failed"]) == 1
    assert "28 of 30 scored, 2 failed" in capsys.readouterr().err


POISON = b"POISON"
KILLS_ITS_PROCESS = f"""
import os, signal
from PIL import Image
Image.register_open(
    "POISON", lambda *_: os.kill(os.getpid(), signal.SIGKILL), lambda start: start.startswith({POISON!r})
)
"""


@pytest.mark.weights
@pytest.mark.parametrize("cluster", ["ray", "dask"])
def test_a_file_that_kills_its_decoder_costs_its_row(cluster: str, photos: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(KILLS_ITS_PROCESS)  # every Python that is started gets this decoder
    (tmp_path / "poison.png").write_bytes(POISON)
    paths = [str(photos["coffee.png"]), str(tmp_path / "poison.png"), str(photos["rocket.jpg"])]
    pd.DataFrame({"path": paths}).to_parquet(tmp_path / "table.parquet")
    command = [*COMMAND, "score", "table.parquet", "--distributed", cluster, "-o", "shards", "--device", "cpu"]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    assert "2 of 3 scored, 1 failed" in run.stderr
    scored = pd.read_parquet(tmp_path / "shards")
    assert scored["memorability"].notna().tolist() == [True, False, True]
    assert "the process that decoded it ended (SIGKILL)" in scored["error"][1]
