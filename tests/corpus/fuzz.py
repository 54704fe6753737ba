"""`make fuzz`: mutated files through `ImageReader`, in a watched process that may crash, hang or fill the memory.

Nothing but this package's `ImageError` may come out, within five seconds and the memory that the largest image needs.
Each case follows from the seed and its number alone. Pillow's limit is lowered, so that the bounds are tight and a case
takes a millisecond.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import struct
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from PIL import Image

from resmem_plugin.core.errors import ImageError
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.images.reader import ImageReader
from tests.corpus.seeds import seeds

PIXELS = 4_000_000
MOST_BYTES = 512 << 20
LONGEST_S = 5.0
_START_S = 60.0
_ADDRESSES = 8 << 30  # what a case that goes wrong may claim of the machine
_LONGEST = 1 << 20  # bytes of a mutated file
_ODD_NUMBERS = (0, 1, 2, 3, 4, 8, 16, 127, 128, 255, 256, 1000, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)

Check = Callable[[bytes, int], "str | None"]
"""A case's content and number -> what is wrong with what becomes of it, or None."""


@dataclass(frozen=True)
class Finding:
    """A case that went wrong, and how."""

    number: int
    what: str


def read(content: bytes, number: int) -> str | None:
    """Let the reader decode it, every second time with its other options."""
    reader = ImageReader(decode="fast", exif_transpose=True) if number % 2 else ImageReader()
    try:
        pixels(reader.open(content).image)
    except ImageError as error:
        return str(error) if "more memory than is available" in str(error) else None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def mutated(files: list[bytes], seed: int, number: int) -> bytes:
    """The content of a case: one of the files, mutated once to four times."""
    chance = random.Random(f"{seed}/{number}")
    content = bytearray(files[number % len(files)])
    for _ in range(chance.randint(1, 4)):
        if content:
            chance.choice(_MUTATIONS)(content, chance, files)
    if content.startswith(b"\x89PNG") and chance.random() < 0.7:
        _fix_checksums(content)
    return bytes(content[:_LONGEST])


def _place(content: bytearray, chance: random.Random) -> int:
    """Somewhere, every second time in the header."""
    return chance.randrange(min(len(content), 200) if chance.random() < 0.5 else len(content))


def _slice(content: bytearray, chance: random.Random) -> slice:
    start = _place(content, chance)
    return slice(start, start + int(2 ** chance.uniform(0, 10)))


def _flip(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _set_number(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    order, (width, code) = chance.choice("<>"), chance.choice([(1, "B"), (2, "H"), (4, "I")])
    start = _place(content, chance)
    content[start : start + width] = struct.pack(order + code, chance.choice(_ODD_NUMBERS) % 256**width)


def _cut(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    del content[_place(content, chance) :]


def _remove(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    del content[_slice(content, chance)]


def _insert(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    start = _place(content, chance)
    content[start:start] = chance.randbytes(int(2 ** chance.uniform(0, 8)))


def _repeat(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    what = _slice(content, chance)
    content[what] = content[what] * int(2 ** chance.uniform(1, 10))


def _move(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    what, start = bytes(content[_slice(content, chance)]), _place(content, chance)
    content[start : start + len(what)] = what


def _splice(content: bytearray, chance: random.Random, files: list[bytes]) -> None:
    other = chance.choice(files)
    content[_place(content, chance) :] = other[chance.randrange(len(other)) :]


_MUTATIONS = (_flip, _flip, _set_number, _set_number, _cut, _remove, _insert, _repeat, _move, _splice)


def _fix_checksums(content: bytearray) -> None:
    """Correct the checksums of a PNG's chunks, without which Pillow stops."""
    start = 8
    while start + 12 <= len(content):
        end = start + 8 + struct.unpack_from(">I", content, start)[0]
        if end + 4 > len(content):
            return
        struct.pack_into(">I", content, end, zlib.crc32(content[start + 4 : end]))
        start = end + 4


def run(cases: int, seed: int, folder: Path, check: Check = read, longest_s: float = LONGEST_S) -> list[Finding]:
    """Run the cases 0 to `cases`, and keep the content of those that went wrong in the folder.

    Args:
        cases: how many.
        seed: of the mutations.
        folder: for what is found; made when there is something.
        check: what each case is put to.
        longest_s: seconds that one may take.
    """
    findings: list[Finding] = []
    start = 0
    while start < cases:
        start, found = _watch(start, cases, seed, check, longest_s)
        findings += found
    files = seeds() if findings else []
    for finding in findings:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{seed}-{finding.number}").write_bytes(mutated(files, seed, finding.number))
    return findings


def _watch(start: int, stop: int, seed: int, check: Check, longest_s: float) -> tuple[int, list[Finding]]:
    """Run cases in a process until the last, or one that it does not survive; gives the number to go on from."""
    spawn = multiprocessing.get_context("spawn")
    reports, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_work, args=(theirs, start, stop, seed, check))
    process.start()
    theirs.close()
    number, findings, timeout_s = start, [], _START_S
    try:
        while reports.poll(timeout_s):
            number, what = reports.recv()
            if what is not None:
                findings.append(Finding(number, what))
            timeout_s = longest_s
        findings.append(Finding(number, f"has not ended after {timeout_s} s"))
    except EOFError:
        process.join()
        if number == stop:
            return stop, findings
        if process.exitcode != 0:
            findings.append(Finding(number, f"ended the process with code {process.exitcode}"))
    finally:
        process.kill()
        process.join()
    return number + 1, findings


def _work(reports: Connection, start: int, stop: int, seed: int, check: Check) -> None:
    warnings.simplefilter("error")  # the strictest that a caller may have
    Image.MAX_IMAGE_PIXELS = PIXELS
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff reports every fault there
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    files = seeds()
    for number in range(start, stop):
        reports.send((number, None))
        what = check(mutated(files, seed, number), number)
        peak = _peak()
        if peak > MOST_BYTES:
            reports.send((number, f"took {peak >> 20} MiB"))
            return  # the peak is the process's: the next case needs another
        if what is not None:
            reports.send((number, what))
    reports.send((stop, None))


def _peak() -> int:
    """Bytes of memory that this process held at most; getrusage counts what its parent held when it started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> int:
    """Run as many cases as asked for; returns 1 if any went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("fuzz-findings"), help="keeps what went wrong")
    options = parser.parse_args()
    began = time.monotonic()
    findings = run(options.cases, options.seed, options.folder)
    for finding in findings:
        sys.stdout.write(f"{options.folder}/{options.seed}-{finding.number}: {finding.what}\n")
    took_s = time.monotonic() - began
    sys.stdout.write(f"{options.cases:,} cases of {len(seeds())} files in {took_s:.0f} s, {len(findings)} findings\n")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
