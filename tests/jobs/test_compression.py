"""Tables of text, compressed or not, are read whole or not at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs import compression
from resmem_plugin.jobs.compression import _BINARY, read_content

CONTENT = "".join(f"images/{number}.png,{number * 7919 % 1000}\n" for number in range(2000)).encode()
COMPRESS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("suffix", COMPRESS)
def test_every_truncation_and_every_flipped_byte_of_the_middle_is_refused(suffix: str, tmp_path: Path) -> None:
    packed = COMPRESS[suffix](CONTENT)
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(packed)
    assert read_content(path, suffix) == CONTENT
    path.write_bytes(packed + packed)
    assert read_content(path, suffix) == CONTENT + CONTENT
    for end in range(1, len(packed), max(1, len(packed) // 50)):
        path.write_bytes(packed[:end])
        with pytest.raises(OptionError, match=r"a\.csv\S+ is (\w+ that is cut short|damaged)"):
            read_content(path, suffix)
    for place in range(len(packed) // 4, len(packed) // 2, 97):
        path.write_bytes(packed[:place] + bytes([packed[place] ^ 255]) + packed[place + 1 :])
        with pytest.raises(OptionError, match=r"a\.csv\S+ is (\w+ that is cut short|damaged)"):
            read_content(path, suffix)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=200), min_size=1, max_size=3).filter(
        lambda members: not b"".join(members).startswith(tuple(start for start, _ in _BINARY))
    ),
    st.sampled_from(sorted(COMPRESS)),
)
def test_any_bytes_in_any_number_of_members_come_out_unchanged(members: list[bytes], suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.csv{suffix}"
        path.write_bytes(b"".join(map(COMPRESS[suffix], members)))
        assert read_content(path, suffix) == b"".join(members)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_plain_text_with_the_suffix_of_a_compressed_file_is_told_to_drop_it(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(CONTENT)
    with pytest.raises(OptionError, match=f"or drop {suffix} from its name if it is not compressed"):
        read_content(path, suffix)


@pytest.mark.parametrize(
    ("content", "cure"),
    [
        (gzip.compress(CONTENT), "compressed with gzip: unpack it, or add .gz"),
        (lzma.compress(CONTENT), "compressed with xz: unpack it, or add .xz"),
        (b"PK\3\4" + CONTENT, "a zip archive or an Excel workbook: unpack it, or end its name in .xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook of the old format: save it as .xlsx"),
    ],
)
def test_a_binary_file_with_the_suffix_of_text_is_named(content: bytes, cure: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content))
    for name, compression_ in (("a.csv", ""), ("a.csv.gz", ".gz")):
        with pytest.raises(OptionError, match=rf"{name} does not hold text but is {cure}"):
            read_content(tmp_path / name, compression_)


def test_a_file_that_grows_past_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_MAX_BYTES", 1 << 25)
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(bytes(1 << 26)))
    assert path.stat().st_size < 1 << 17
    with pytest.raises(OptionError, match=r"bomb\.csv\.gz holds more than .* when unpacked: split it"):
        read_content(path, ".gz")
