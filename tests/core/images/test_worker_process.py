"""A worker process that decodes images: killed, out of memory, or misunderstood, it costs at most one image."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from resmem_plugin.core.errors import UnreadableImageError
from resmem_plugin.core.images import worker_process as decode_process
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.images.reader import ImageReader
from resmem_plugin.core.images.worker_process import DecodeProcess
from tests.core.worker_processes import find_worker_processes


@pytest.fixture
def process() -> Iterator[DecodeProcess]:
    process = DecodeProcess(ImageReader())
    yield process
    process.close()


def test_an_image_that_kills_two_worker_processes_is_an_error(
    process: DecodeProcess, mixed_images: list[object]
) -> None:
    content = mixed_images[3]
    assert isinstance(content, bytes)
    slow = io.BytesIO()
    Image.new("RGB", (12_000, 12_000)).save(slow, "PNG", compress_level=1)
    outcome: list[Exception] = []

    def decode() -> None:
        try:
            process.decode(slow.getvalue())
        except UnreadableImageError as error:
            outcome.append(error)

    thread = threading.Thread(target=decode)
    thread.start()
    killed: set[int] = set()
    until = time.monotonic() + 60
    while len(killed) < 2 and time.monotonic() < until:
        for decoder in find_worker_processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if decoder.pid not in killed and decoder.memory_info().rss > 150e6:  # which is the image's
                    killed.add(decoder.pid)
                    decoder.kill()
        time.sleep(0.005)
    thread.join(60)
    assert "ended (SIGKILL), and so did a second one" in str(outcome[0])
    decoded = process.decode(content)
    assert decoded is not None
    assert (decoded[0] == pixels(ImageReader().read(content).image)).all()


def test_max_image_pixels_holds_in_worker_processes(process: DecodeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    Image.new("RGB", (100, 100)).save(content, "PNG")
    assert process.decode(content.getvalue()) is not None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4999)
    assert process.decode(content.getvalue()) is None
    for most in (None, 1e9, float("inf"), 10**30):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        assert process.decode(content.getvalue()) is not None


def test_an_unread_answer_is_not_taken_for_the_next_image(
    process: DecodeProcess, mixed_images: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [Path(str(path)).read_bytes() for path in mixed_images[:3]]
    expected = [pixels(ImageReader().read(content).image) for content in contents]

    def full(*_: object) -> None:
        raise MemoryError

    assert process.decode(contents[0]) is not None
    with monkeypatch.context() as patch:
        patch.setattr(decode_process, "_read", full)
        with pytest.raises(MemoryError):
            process.decode(contents[0])
    for content, seen in zip(contents, expected, strict=True):
        decoded = process.decode(content)
        assert decoded is not None
        assert (decoded[0] == seen).all()


def test_a_fork_of_the_parent_keeps_no_worker_process_alive(process: DecodeProcess, mixed_images: list[object]) -> None:
    assert process.decode(Path(str(mixed_images[0])).read_bytes()) is not None
    (decoder,) = find_worker_processes()
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    began = time.monotonic()
    process.close()
    took_s = time.monotonic() - began
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert took_s < 10
    assert not decoder.is_running()


def test_out_of_memory_in_a_worker_process_is_an_error(process: DecodeProcess, mixed_images: list[object]) -> None:
    image = io.BytesIO()
    Image.new("RGB", (9_000, 9_000)).save(image, "PNG", compress_level=1)
    assert process.decode(Path(str(mixed_images[0])).read_bytes()) is not None
    (decoder,) = find_worker_processes()
    decoder.rlimit(psutil.RLIMIT_AS, (decoder.memory_info().vms + 100_000_000,) * 2)
    with pytest.raises(UnreadableImageError, match="more memory than is available"):
        process.decode(image.getvalue())
    assert process.decode(Path(str(mixed_images[0])).read_bytes()) is not None
