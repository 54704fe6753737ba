"""Messages of the command on standard error."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from resmem_plugin.cli import main
from tests.conftest import flat

pytestmark = pytest.mark.weights


def test_warnings_are_one_line_each(photo_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray((flat(255).astype("uint16") * 257)[:, :, 0]).save("deep.png")
    assert main(["score", "deep.png"]) == 0
    assert "resmem: warning: 1 image(s) hold values outside 0-255" in capsys.readouterr().err
