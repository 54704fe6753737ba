"""The file that keeps what a run scores until its output is written, so that a killed run can be gone on with.

`scores.csv.partial`, whatever the output's format: JSON lines, a header that tells the provenance and then a line for
each image as soon as it is scored. When all is done the output is written from them, whole and in one step, so that it
does not depend on how often the run was stopped; then the file goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from io import FileIO
from typing import Any

from resmem_plugin.core.errors import OptionError, RecordError
from resmem_plugin.core.images import is_missing
from resmem_plugin.core.scores import Provenance, Score
from resmem_plugin.results import Results, read_output, require_same
from resmem_plugin.tables import Table

_FIRST_WORDS = b'{"resmem_partial": 1, '
_SYNC_S = 1.0  # every line is with the operating system at once; this is what a power failure may cost
_LOCKED_BYTE = 1 << 40  # on Windows, which locks bytes: one that no line will come to


class Record:
    """The file beside an output that gets a line for each image as it is scored. One run at a time has it.

    Args:
        output: the file that the results are for.
        resume: go on with what is there.
        overwrite: begin anew; what is there is given up at the first score.

    Raises:
        OptionError: if another run has it, if it is there and neither option is given, or if a file of that name is not
            what this class writes.
        OSError: if it cannot be made.
    """

    def __init__(self, output: str, *, resume: bool = False, overwrite: bool = False) -> None:
        self.path = f"{os.path.realpath(output) if os.path.islink(output) else output}.partial"
        self._output = output
        self._file = _open_alone(self.path)
        self._provenance: Provenance | None = None
        self._id: str | None = None
        self._extends = False
        self._synced_s = time.monotonic()
        start = self._file.read(len(_FIRST_WORDS))
        self._begun = start == _FIRST_WORDS and not overwrite
        if not _FIRST_WORDS.startswith(start):
            self._file.close()
            raise _foreign(self.path)
        if self._begun and not resume:
            self._file.close()
            raise OptionError(
                f"{self.path} holds what a run scored that was not finished: go on with --resume, or begin anew with "
                "--overwrite"
            )

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the file where it is, unless nothing is in it."""
        if self._file.closed:
            return
        with contextlib.suppress(OSError):
            os.fsync(self._file.fileno())
        if os.fstat(self._file.fileno()).st_size:
            self._file.close()
        else:
            self.remove()

    def load(self, results: Results, images: Sequence[object], table: Table, path_column: str) -> None:
        """Take in what was scored before: what is here, on top of the finished output if that is being gone on with.

        Raises:
            OptionError: if it is not about these images.
        """
        lines = self._lines() if self._begun else iter(())
        header = next(lines, None)
        self._begun = header is not None
        if header is not None:
            self._provenance, self._extends = _provenance(self.path, header), header["extends_output"]
            self._id = self._provenance.id
        if os.path.lexists(self._output) and (header is None or self._extends):
            read = read_output(self._output, table, path_column, results)
            self._id, self._extends = self._id or read, True
        for line in lines:
            row = line["row"]
            require_same(self.path, row, line["path"], _name(images[row]) if row < len(images) else None)
            results.add(row, line["memorability"], line["error"])

    def _lines(self) -> Iterator[dict[str, Any]]:
        """The header and the lines. What cannot be read is left out, so that its row is scored again."""
        whole = self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # cut short: the run was killed at it
                whole += len(line)
                with contextlib.suppress(ValueError):  # zeros, say, where a power failure left them
                    yield json.loads(line)
        self._file.truncate(whole)
        self._file.seek(whole)

    @property
    def provenance(self) -> Provenance | None:
        """What produced the scores, or None before any is there."""
        return self._provenance

    @property
    def untouched(self) -> bool:
        """Whether the output was finished before, and nothing was scored since."""
        return self._extends and not self._begun

    @property
    def place(self) -> str:
        """Where the results are, for messages."""
        return self._output if self.untouched else self.path

    def begin(self, provenance: Provenance) -> None:
        """Say what produces the scores to come.

        Raises:
            OptionError: if the scores that are there have another provenance.
        """
        if self._id not in (None, provenance.id):
            raise OptionError(
                f"{self.place} holds scores of provenance {self._id}, and this run's are "
                f"of {provenance.id} ({_differences(self._provenance, provenance)}): resume with the options of then, "
                "or begin anew with --overwrite"
            )
        self._provenance, self._id = provenance, provenance.id

    def add(self, row: int, image: object, score: Score) -> None:
        """Keep what became of a row. The first call needs `begin` before it.

        Raises:
            RecordError: if it cannot be kept.
        """
        try:
            if not self._begun and self._provenance is not None:
                self._file.seek(0)
                self._file.truncate()
                header = {"extends_output": self._extends, "provenance": self._provenance.to_dict()}
                self._write(_FIRST_WORDS + json.dumps(header).encode()[1:])
                self._begun = True
            memorability = score.memorability if score.ok else None
            line = {"row": row, "path": _name(image), "memorability": memorability, "error": score.error}
            self._write(json.dumps(line).encode())
            if time.monotonic() - self._synced_s > _SYNC_S:
                os.fsync(self._file.fileno())
                self._synced_s = time.monotonic()
        except OSError as error:
            raise RecordError(
                f"{self.path} cannot be written ({error.strerror or error}): free some space, or look at the disk"
            ) from error

    def _write(self, line: bytes) -> None:
        rest = memoryview(line + b"\n")
        while rest:
            rest = rest[self._file.write(rest) :]

    def remove(self) -> None:
        """Remove the file: the output has everything."""
        if sys.platform == "win32":  # where an open file cannot be removed
            self._file.close()
        os.unlink(self.path)
        self._file.close()


def _open_alone(path: str) -> FileIO:
    """Open a record for this run alone. The system lets go of it however the run ends."""
    while True:
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            raise _foreign(path)
        file = open(path, "r+b", buffering=0, opener=_create)  # noqa: SIM115
        try:
            _lock(file)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except BlockingIOError as error:
            file.close()
            raise OptionError(f"another run is writing {path}: let it finish, or name another output") from error
        except FileNotFoundError:  # the run that had it has just finished
            pass
        file.close()


def _create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _lock(file: FileIO) -> None:
    """Lock a file until it is closed; raises BlockingIOError if another process has it."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(_LOCKED_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
        file.seek(0)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _foreign(path: str) -> OptionError:
    return OptionError(f"{path} is not what a run of this command leaves: move it away, or name another output")


def _provenance(path: str, header: dict[str, Any]) -> Provenance:
    try:
        return Provenance(**header["provenance"])
    except (KeyError, TypeError) as error:
        raise OptionError(f"{path} comes from another version of this package: begin anew with --overwrite") from error


def _differences(before: Provenance | None, now: Provenance) -> str:
    if before is None:
        return f"a finished file does not tell of what the former is made; the latter is {now}"
    then = before.to_dict()
    differing = {key: value for key, value in now.to_dict().items() if value != then[key] and key != "package_version"}
    return ", ".join(f"{key} was {then[key]} and is {value}" for key, value in differing.items())


def _name(image: object) -> str | None:
    """What names an image in a record: its path or URL, or a hash of its bytes."""
    if is_missing(image):
        return None
    if isinstance(image, (str, os.PathLike)):
        return os.fsdecode(image)
    return f"sha256:{hashlib.sha256(image).hexdigest()}" if isinstance(image, bytes) else type(image).__name__
