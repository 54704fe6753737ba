"""Messages of the command on standard error: prefixed, one line each, control characters escaped."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

import pytest
from PIL import Image

from resmem_plugin.cli import main, terminal
from resmem_plugin.cli.terminal import Parser, echo_err
from tests.conftest import flat


@pytest.mark.weights
def test_warnings_are_one_line_each(photo_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray((flat(255).astype("uint16") * 257)[:, :, 0]).save("deep.png")
    assert main(["score", "deep.png"]) == 0
    assert "resmem: warning: 1 image(s) hold values outside 0-255" in capsys.readouterr().err


def test_echo_err_prefixes_and_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    echo_err("error: a\x1b[2J\nb.png")
    assert capsys.readouterr() == ("", "resmem: error: a\\x1b[2J\\nb.png\n")


def test_what_takes_long_is_said_and_goes_on_with_dots(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "_DOT_INTERVAL_S", 0.05)
    with contextlib.suppress(KeyboardInterrupt), terminal.working("counting\x1b[2J sheep"):
        time.sleep(0.5)
        raise KeyboardInterrupt
    said = capsys.readouterr().err
    assert re.fullmatch(r"resmem: counting\\x1b\[2J sheep \.\.\.\.{2,10}\n", said)
    time.sleep(0.2)
    assert capsys.readouterr().err == ""


def test_parser_errors_are_escaped_and_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Parser(prog="resmem").parse_args(["\x1b[2J"])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert "\x1b" not in message
    assert r"unrecognized arguments: \x1b[2J" in message
