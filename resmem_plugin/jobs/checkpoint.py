"""The file that keeps each score until the output is written, so that a killed run can be resumed.

`scores.csv.partial`, whatever the output's format: JSON lines, a header with the provenance and then a line for each
image as soon as it is scored. At the end the output is written from them, whole and in one step, so that it does not
depend on how often the run was stopped; then the file is removed.
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

from resmem_plugin.core.errors import CheckpointError, ImageError, OptionError
from resmem_plugin.core.images.objects import unwrap
from resmem_plugin.core.images.reader import is_missing
from resmem_plugin.core.provenance import Provenance
from resmem_plugin.core.scores import Flaw, Score
from resmem_plugin.jobs.outputs import read_output, require_same
from resmem_plugin.jobs.results import Results
from resmem_plugin.jobs.tables import Table

_MAGIC = b'{"resmem_partial": 1, '
_SYNC_S = 1.0  # every line is passed to the operating system at once; a power failure may cost this much
_MAX_PATH = 4096  # characters; longer texts are data URLs or base64
_LOCKED_BYTE = 1 << 40  # on Windows, which locks bytes: one that no line will reach


class Checkpoint:
    """The file beside an output that gets a line for each image as it is scored. One run at a time holds it.

    Args:
        output: the file that the results are for.
        resume: continue with the scores that are there.
        overwrite: start again; the scores that are there are dropped at the first new one.

    Raises:
        OptionError: if another run holds it, if it exists and neither option is given, or if a file of that name is not
            a checkpoint.
        OSError: if it cannot be created.
    """

    def __init__(self, output: str, *, resume: bool = False, overwrite: bool = False) -> None:
        self.path = f"{os.path.realpath(output) if os.path.islink(output) else output}.partial"
        self._output = output
        self._file = _open_locked(self.path)
        self._provenance: Provenance | None = None
        self._id: str | None = None
        self._extends_output = False
        self._synced_s = time.monotonic()
        start = self._file.read(len(_MAGIC))
        self._has_header = start == _MAGIC and not overwrite
        if not _MAGIC.startswith(start):
            self._file.close()
            raise _not_a_checkpoint(self.path)
        if self._has_header and not resume:
            self._file.close()
            raise OptionError(
                f"{self.path} holds the scores of a run that was not finished: continue with --resume, or start again "
                "with --overwrite"
            )

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, and remove it if it is empty."""
        if self._file.closed:
            return
        with contextlib.suppress(OSError):
            os.fsync(self._file.fileno())
        if os.fstat(self._file.fileno()).st_size:
            self._file.close()
        else:
            self.remove()

    def load(
        self,
        results: Results,
        images: Sequence[object],
        table: Table,
        path_column: str,
        flaw_columns: Sequence[str] = (),
    ) -> None:
        """Read the scores so far: those of the finished output, if it is being extended, then those in this file.

        Raises:
            OptionError: if they are of other images.
        """
        lines = self._lines() if self._has_header else iter(())
        header = next(lines, None)
        self._has_header = header is not None
        if header is not None:
            self._provenance, self._extends_output = _read_provenance(self.path, header), header["extends_output"]
            self._id = self._provenance.id
        if os.path.lexists(self._output) and (header is None or self._extends_output):
            read = read_output(self._output, table, path_column, results, flaw_columns)
            self._id, self._extends_output = self._id or read, True
        for line in lines:
            row = line["row"]
            require_same(self.path, row, line["path"], _image_key(images[row]) if row < len(images) else None)
            results.add(row, line["memorability"], line["error"], Flaw(line.get("flaw", 0)))

    def _lines(self) -> Iterator[dict[str, Any]]:
        """The header and the lines. Those that cannot be read are skipped, so that their rows are scored again."""
        end = self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # cut short: the run was killed while writing it
                end += len(line)
                with contextlib.suppress(ValueError):  # zeros, say, after a power failure
                    yield json.loads(line)
        self._file.truncate(end)
        self._file.seek(end)

    @property
    def provenance(self) -> Provenance | None:
        """What produced the scores, or None before there are any."""
        return self._provenance

    @property
    def is_current(self) -> bool:
        """Whether the output was finished by an earlier run, and nothing was scored since."""
        return self._extends_output and not self._has_header

    @property
    def place(self) -> str:
        """The file that holds the results, for messages."""
        return self._output if self.is_current else self.path

    def start(self, provenance: Provenance) -> None:
        """Set the provenance of the scores to come; if there are some already, theirs stays recorded.

        Raises:
            OptionError: if the scores so far have another one.
        """
        if self._id not in (None, provenance.id):
            raise OptionError(
                f"{self.place} holds scores of provenance {self._id}, and this run's are "
                f"of {provenance.id} ({_differences(self._provenance, provenance)}): resume with the same options, "
                "or start again with --overwrite"
            )
        self._provenance, self._id = self._provenance or provenance, provenance.id

    def add(self, row: int, image: object, score: Score) -> None:
        """Keep the score of a row. `start` must have been called.

        Raises:
            CheckpointError: if it cannot be written.
        """
        try:
            if not self._has_header and self._provenance is not None:
                self._file.seek(0)
                self._file.truncate()
                header = {"extends_output": self._extends_output, "provenance": self._provenance.to_dict()}
                self._write(_MAGIC + json.dumps(header).encode()[1:])
                self._has_header = True
            memorability = score.memorability if score.ok else None
            line: dict[str, Any] = {
                "row": row,
                "path": _image_key(image),
                "memorability": memorability,
                "error": score.error,
            }
            if score.flaw:
                line["flaw"] = int(score.flaw)
            self._write(json.dumps(line).encode())
            if time.monotonic() - self._synced_s > _SYNC_S:
                os.fsync(self._file.fileno())
                self._synced_s = time.monotonic()
        except OSError as error:
            raise CheckpointError(
                f"{self.path} cannot be written ({error.strerror or error}): free some space, or check the disk"
            ) from error

    def _write(self, line: bytes) -> None:
        rest = memoryview(line + b"\n")
        while rest:
            rest = rest[self._file.write(rest) :]

    def remove(self) -> None:
        """Remove the file: its scores are in the output."""
        if sys.platform == "win32":  # where an open file cannot be removed
            self._file.close()
        os.unlink(self.path)
        self._file.close()


def _open_locked(path: str) -> FileIO:
    """Open a checkpoint for this run alone. The system releases the lock however the run ends."""
    while True:
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            raise _not_a_checkpoint(path)
        file = open(path, "r+b", buffering=0, opener=_create)  # noqa: SIM115
        try:
            _lock(file)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except BlockingIOError as error:
            file.close()
            raise OptionError(f"another run is writing {path}: let it finish, or name another output") from error
        except FileNotFoundError:  # the run that held it has just finished
            pass
        file.close()


def _create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _lock(file: FileIO) -> None:
    """Lock a file until it is closed; raises BlockingIOError if another process holds the lock."""
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


def _not_a_checkpoint(path: str) -> OptionError:
    return OptionError(f"{path} was not written by this command: move it away, or name another output")


def _read_provenance(path: str, header: dict[str, Any]) -> Provenance:
    try:
        return Provenance(**header["provenance"])
    except (KeyError, TypeError) as error:
        raise OptionError(
            f"{path} was written by another version of this package: start again with --overwrite"
        ) from error


def _differences(before: Provenance | None, now: Provenance) -> str:
    if before is None:
        return f"a finished file does not record how the first was produced; the second is {now}"
    then, new = before.to_dict(), now.to_dict()
    compared = [key for key in {**then, **new} if key in before.identity or key in now.identity]
    differing = [key for key in compared if then.get(key) != new.get(key)]
    return ", ".join(f"{key} was {then.get(key)} and is {new.get(key)}" for key in differing)


def _image_key(image: object) -> str | None:
    """What identifies an image in a checkpoint: its path or URL, or a hash of its bytes."""
    with contextlib.suppress(ImageError):  # its row has the error
        image = unwrap(image)
    if is_missing(image):
        return None
    if isinstance(image, str) and len(image) > _MAX_PATH:
        image = os.fsencode(image)
    if isinstance(image, (str, os.PathLike)):
        return os.fsdecode(image)
    return f"sha256:{hashlib.sha256(image).hexdigest()}" if isinstance(image, bytes) else type(image).__name__
