"""Decoding in a worker process: without the caller's GIL, and a crash of the decoder does not crash the caller.

The process is not started by `multiprocessing`, which would run the caller's main module again. It gets the bytes of
a file and returns pixels, both through pipes. What it cannot decode, the caller decodes itself, to get the reason.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import UnreadableImageError
from resmem_plugin.core.images.decoding import NEEDS_MEMORY, pixel_limit
from resmem_plugin.core.images.preprocess import INPUT_SHAPE, pixels
from resmem_plugin.core.images.reader import DecodeMode, ImageReader
from resmem_plugin.core.scores import Flaw

_CODE = f"import sys; sys.path[:] = sys.argv[3:]; from {__name__} import serve; serve(*sys.argv[1:3])"
_READY = b"resmem-plugin decodes\n"
_REQUEST = struct.Struct("<qQ")  # the limit of pixels; bytes of the file that follows
_DECODED, _FAILED, _MEMORY = b"+", b"-", b"m"
_ANSWER_BYTES = math.prod(INPUT_SHAPE)
_MAX_TRIES = 2
_PIPE_BYTES = 1 << 20
_EXIT_TIMEOUT_S = 5


class _Running(NamedTuple):
    process: subprocess.Popen[bytes]
    requests: IO[bytes]
    answers: IO[bytes]


class DecodeProcess:
    """Decodes for one thread, in a process that is started when needed, and again after it was killed.

    Args:
        reader: the decode mode and EXIF policy.
    """

    def __init__(self, reader: ImageReader) -> None:
        self._max_pixels = reader.max_pixels
        self._options = (reader.decode, str(int(reader.exif_transpose)))
        self._running: _Running | None = None
        self._can_start = bool(sys.executable) and not getattr(
            sys, "frozen", False
        )  # where -c would start the frozen program

    def decode(self, content: bytes) -> tuple[npt.NDArray[np.uint8], Flaw] | None:
        """Decode the first image of a file.

        Returns:
            uint8 (227, 227, 3), and what is wrong with the image; None if the process cannot decode it, or cannot be
            started.

        Raises:
            UnreadableImageError: if it needs more memory than is available, or two processes were killed while
                decoding it.
        """
        exit_code = 0
        for _ in range(_MAX_TRIES):
            if self._running is None and not self._start():
                return None
            try:
                return _ask(cast("_Running", self._running), content, self._max_pixels)
            except (BrokenPipeError, EOFError):
                exit_code = self.close(timeout_s=_EXIT_TIMEOUT_S)
            except UnreadableImageError:
                raise
            except BaseException:
                self.close()  # its late answer would be taken for the next one
                raise
        raise UnreadableImageError(
            f"the process that decoded it ended ({_cause(exit_code)}), and so did a second one: it may need more "
            "memory than is available, so scale it down, or decode fewer at once with num_workers"
        )

    def close(self, timeout_s: float = 0) -> int:
        """End the process, and return its exit code, or the negative number of the signal that killed it.

        Args:
            timeout_s: seconds to wait for it to end by itself.
        """
        running, self._running = self._running, None
        if running is None:
            return 0
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(timeout_s)
        running.process.kill()  # closing its pipe is not enough: a forked process may hold that open
        with contextlib.suppress(BrokenPipeError), running.process:  # which closes the pipes
            pass
        return running.process.returncode

    def _start(self) -> bool:
        """Start the process, and wait until it is ready; after a failure it is not tried again."""
        if not self._can_start:
            return False
        self._can_start = False
        package = str(Path(__file__).parents[3])  # an empty entry of sys.path would be the current folder
        try:
            process = subprocess.Popen(  # noqa: S603 (this package's own code)
                [sys.executable, "-c", _CODE, *self._options, *filter(None, map(str, sys.path)), package],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is handled by the caller
            )
        except (OSError, ValueError):
            return False
        self._running = _Running(process, cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout))
        if sys.platform == "linux":
            import fcntl

            for pipe in self._running[1:]:
                with contextlib.suppress(OSError):  # at a user's limit; default pipes are only slower
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        for line in self._running.answers:  # something else may print while Python starts
            if line.endswith(_READY):
                self._can_start = True
                return True
        self.close()
        return False


def _ask(running: _Running, content: bytes, max_pixels: int | None) -> tuple[npt.NDArray[np.uint8], Flaw] | None:
    limit = int(min(max_pixels or pixel_limit(), 1 << 62))
    running.requests.write(_REQUEST.pack(limit, len(content)))
    running.requests.write(content)
    running.requests.flush()
    verdict = _read(running.answers, 1)
    if verdict == _MEMORY:
        raise UnreadableImageError(NEEDS_MEMORY)
    if verdict == _FAILED:
        return None
    if verdict != _DECODED:
        raise EOFError
    flaw = Flaw(_read(running.answers, 1)[0])
    return np.frombuffer(_read(running.answers, _ANSWER_BYTES), np.uint8).reshape(INPUT_SHAPE), flaw


def serve(decode: DecodeMode, exif_transpose: str) -> None:
    """The process's main loop: decode what arrives on standard input, until that is closed."""
    reader = ImageReader(decode=decode, exif_transpose=exif_transpose == "1")
    if sys.stderr is None:  # closed by the caller: the next file opened would take its number
        os.open(os.devnull, os.O_WRONLY)
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # prints must not mix with the answers
    with contextlib.suppress(BrokenPipeError, EOFError):
        answers.write(_READY)
        while True:
            limit, size = _REQUEST.unpack(_read(requests, _REQUEST.size))
            content = _read(requests, size)
            if limit != reader.max_pixels:
                reader = replace(reader, max_pixels=limit)
            answers.write(_answer(reader, content))


def _answer(reader: ImageReader, content: bytes) -> bytes:
    try:
        opened = reader.open(content)
        return _DECODED + bytes([opened.flaw]) + pixels(opened.image).tobytes()
    except Exception as error:  # the caller gets the error itself, unless it could crash the caller
        return _MEMORY if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError) else _FAILED


def _read(pipe: IO[bytes], size: int) -> bytes:
    content = pipe.read(size)
    if len(content) < size:
        raise EOFError
    return content


def _cause(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"
