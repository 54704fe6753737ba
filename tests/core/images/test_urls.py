"""The parts of URLs: chains, and URLs that hold their content."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import ScoringError, UnreadableImageError
from resmem_plugin.core.images.limits import Limits
from resmem_plugin.core.images.remote import RemoteReader
from resmem_plugin.core.images.urls import chain
from tests.http_server import IMAGE

BASE64 = base64.b64encode(IMAGE).decode()


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://h/a::b.jpg", ["http://h/a::b.jpg"]),
        ("http://h/i?id=urn::5", ["http://h/i?id=urn::5"]),
        ("http://[::1]:8000/a.jpg", ["http://[::1]:8000/a.jpg"]),
        ("S3://bucket/x::Y.jpg", ["s3://bucket/x::Y.jpg"]),
        ("zip://x::y.jpg::o.zip", ["zip://x::y.jpg", "o.zip"]),
        ("ZIP://A.jpg::HTTPS://h/b.zip?id=urn::5", ["zip://A.jpg", "https://h/b.zip?id=urn::5"]),
        ("zip://x::y.jpg::simplecache::http://[::1]/o.zip", ["zip://x::y.jpg", "simplecache", "http://[::1]/o.zip"]),
        ("SimpleCache::memory://a", ["simplecache", "memory://a"]),
        ("foo://a::b", ["foo://a::b"]),
    ],
)
def test_only_a_filesystem_that_reads_another_starts_a_chain(url: str, parts: list[str]) -> None:
    assert chain(url) == parts


def test_an_archive_whose_name_has_colons(tmp_path: Path) -> None:
    (tmp_path / "o::1.zip").touch()
    assert chain(f"zip://x::a.jpg::{tmp_path}/o::1.zip") == ["zip://x::a.jpg", f"{tmp_path}/o::1.zip"]


def test_fsspec_is_not_imported_for_names_without_colons() -> None:
    code = (
        "import sys\nfrom resmem_plugin.core.images.sources import is_url\n"
        "assert is_url('http://h/a.jpg') and not is_url('a.jpg') and not is_url('a:b.jpg')\n"
        "assert 'fsspec' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/jpeg;base64,{BASE64}",
        f"DATA:image/jpeg;charset=x;BASE64,{BASE64}",
        f"data:image/jpeg;base64,{BASE64.rstrip('=')}",
        f"data:image/jpeg;base64,{quote(BASE64, safe='')}",
        "data:;base64," + "\r\n".join(BASE64[start : start + 76] for start in range(0, len(BASE64), 76)),
        f"data:image/jpeg;base64,{base64.urlsafe_b64encode(IMAGE).decode()}",
        f"data:image/jpeg,{quote(IMAGE)}",
        f"data:,{quote(IMAGE, safe='')}",
    ],
)
def test_data_urls_are_decoded(url: str) -> None:
    assert RemoteReader().read(url) == IMAGE


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("data:image/png;base64", "without a comma"),
        ("data:image/png;base64,", "empty data URL"),
        ("data:image/png;base64,====", "empty data URL"),
        ("data:image/png;base64,AAAA*AAA", r"b'\*' at character 5 of its base64"),
        (f"data:image/png;base64,{'A' * 401}", "cut off after 401 characters"),
        ("data:image/png;base64,AAA\u732b", "which cannot be there"),
        (f"data:image/png;base64,{'A' * 2_000_000}", "larger than 1,048,576 bytes"),
        (f"data:image/png,{'A' * 2_000_000}", "larger than 1,048,576 bytes"),
        (f"data:image/png;base64,{'A' * 9_000_000}", "larger than 1,048,576 bytes"),
    ],
)
def test_a_malformed_data_url_is_an_error_that_names_what_is_wrong(url: str, message: str) -> None:
    with pytest.raises(UnreadableImageError, match=message) as caught:
        RemoteReader(None, Limits(max_bytes=1 << 20)).read(url)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        BASE64,
        BASE64.rstrip("="),
        BASE64.replace("+", "-").replace("/", "_"),
        "\r\n".join(BASE64[start : start + 76] for start in range(0, len(BASE64), 76)),
        f"data:image/jpeg;base64,{BASE64}",
    ],
)
def test_text_is_base64_on_request(text: str, red: Scorer) -> None:
    reading = Scorer(device="cpu", model=red.engine.model, base64=True)  # type: ignore[attr-defined]
    (expected,) = red.score([IMAGE])
    assert reading.score([text]) == [expected]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty text instead of base64"),
        ("abc!", "with b'!' at character 4 of its base64"),
        (BASE64[:5], "cut off after 5 characters"),
        ("a" * 400, "not an image that Pillow can read"),
        ("caf\xe9", "at character 4"),
    ],
)
def test_text_that_is_no_base64_is_named(text: str, reason: str, red: Scorer) -> None:
    reading = Scorer(device="cpu", model=red.engine.model, base64=True)  # type: ignore[attr-defined]
    assert reason in str(reading.score([text], errors="coerce")[0].error)


def test_base64_is_limited(red: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESMEM_MAX_BYTES", str(len(IMAGE) - 1))
    reading = Scorer(device="cpu", model=red.engine.model, base64=True)  # type: ignore[attr-defined]
    assert "RESMEM_MAX_BYTES" in str(reading.score([BASE64], errors="coerce")[0].error)


def test_base64_without_the_option_is_told_of_it(red: Scorer) -> None:
    with pytest.raises(ScoringError, match=r"/9j/.*looks like base64: set base64=True, or --base64"):
        red.score([BASE64])
    for text in (BASE64, BASE64 * 100):  # longer than a path may be
        assert "looks like base64" in str(red.score([text], errors="coerce")[0].error)
