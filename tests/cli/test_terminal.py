"""Messages of the command on standard error: prefixed, one line each, control characters escaped."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from resmem_plugin.cli import main
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


def test_parser_errors_are_escaped_and_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Parser(prog="resmem").parse_args(["\x1b[2J"])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert "\x1b" not in message
    assert r"unrecognized arguments: \x1b[2J" in message
