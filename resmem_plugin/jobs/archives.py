"""Lists the images in zip and tar archives, and expands the names of shards and patterns of members."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import re
from collections.abc import Iterator, Sequence

from resmem_plugin.core.errors import ImageError, OptionError
from resmem_plugin.core.images import urls
from resmem_plugin.core.images.members import Archive, archive_protocol, reference
from resmem_plugin.core.images.remote import RemoteReader
from resmem_plugin.core.sanitize import without_secrets
from resmem_plugin.jobs.listing import Listing, Selection, matches

_RANGE = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")
_MAX_SHARDS = 100_000
_MAGIC = re.compile(r"[*?[]")


def expand_shards(given: str) -> list[str]:
    """The archives that `shard-{000000..000009}.tar` names; anything else is itself.

    Raises:
        OptionError: if there are too many.

    Examples:
        >>> from resmem_plugin.jobs.archives import expand_shards
        >>> expand_shards("shard-{08..10}.tar")
        ['shard-08.tar', 'shard-09.tar', 'shard-10.tar']
    """
    if "{" not in given or archive_protocol(given) is None or os.path.lexists(given):
        return [given]
    pieces = _RANGE.split(given)  # text, first, last, text, first, last, text
    bounds = list(zip(pieces[1::3], pieces[2::3], strict=True))
    if math.prod(abs(int(last) - int(first)) + 1 for first, last in bounds) > _MAX_SHARDS:
        raise OptionError(f"{given} names more than {_MAX_SHARDS:,} archives: correct its numbers")
    texts = pieces[0::3]
    return [
        "".join(itertools.chain(*zip(texts, numbers, strict=False), texts[-1:]))
        for numbers in itertools.product(*(_numbers(first, last) for first, last in bounds))
    ]


def list_archive(given: str, reader: RemoteReader, exclude: Sequence[str] = ()) -> Listing | None:
    """The images in an archive or in a folder of it, in its own order; None if the input names neither.

    Args:
        given: `photos.zip`, `https://host/shard.tar`, `zip://::photos.zip` or `zip://folder/::photos.zip`.
        reader: opens it.
        exclude: patterns, as in `fnmatch`, of names or of paths in the archive to leave out.

    Raises:
        OptionError: if it cannot be listed.
    """
    protocol: str | None = archive_protocol(given)
    folder, archive = "", given
    if protocol is None:
        protocol, folder, archive = split_member(given)
        if protocol is None or (folder and not folder.endswith("/")):
            return None
    selection = Selection(exclude)
    found: list[str] = []
    with _opened(protocol, archive, reader) as opened:
        last = {name: number for number, name in enumerate(opened.names)}
        for number, name in enumerate(opened.names):
            if not name.startswith(folder):
                continue
            if last[name] != number:
                selection.skipped.replaced += 1
            elif selection.takes(name[len(folder) :], functools.partial(opened.start, name)):
                named = reference(protocol, name, archive)
                found += [named] if named is not None else []
                selection.skipped.unnamed += named is None
    return Listing(found, selection.skipped, "archive", is_flat=False)


def match_members(given: str, reader: RemoteReader, exclude: Sequence[str] = ()) -> list[str] | None:
    """The members that `zip://*.jpg::photos.zip` matches, in the archive's order; None if it is no pattern.

    Raises:
        OptionError: if the archive cannot be listed.
    """
    protocol, pattern, archive = split_member(given)
    if protocol is None or not _MAGIC.search(pattern):
        return None
    from fsspec.utils import glob_translate

    matching = re.compile(glob_translate(pattern))
    with _opened(protocol, archive, reader) as opened:
        if pattern in opened.names:
            return [given]
        names = dict.fromkeys(name for name in opened.names if _is_match(name, pattern, matching))
    kept = [name for name in names if not matches(name, exclude)]
    return [named for name in kept if (named := reference(protocol, name, archive)) is not None]


def split_member(given: str) -> tuple[str | None, str, str]:
    """Protocol, member and archive of `zip://member::archive`; a protocol of None for anything else."""
    if "::" in given:
        first, *archive = urls.chain(given)
        protocol, separator, member = first.partition("://")
        if separator and archive and protocol in ("zip", "tar"):
            return protocol, member, given[len(first) + 2 :]
    return None, "", given


def _is_match(name: str, pattern: str, matching: re.Pattern[str]) -> bool:
    name = name.removeprefix("./").removeprefix("/")
    is_hidden = any(part.startswith(".") for part in name.split("/") if part != "..")
    return matching.fullmatch(name) is not None and (not is_hidden or pattern.startswith(".") or "/." in pattern)


@contextlib.contextmanager
def _opened(protocol: str, archive: str, reader: RemoteReader) -> Iterator[Archive]:
    try:
        with contextlib.closing(reader.open_archive(protocol, archive)) as opened:
            yield opened
    except (ImageError, OSError) as error:
        raise OptionError(f"the archive {without_secrets(archive)} cannot be listed: {error}") from error


def _numbers(first: str, last: str) -> list[str]:
    is_padded = any(text.startswith("0") and len(text) > 1 for text in (first, last))
    width = max(len(first), len(last)) if is_padded else 0
    step = 1 if int(last) >= int(first) else -1
    return [f"{number:0{width}}" for number in range(int(first), int(last) + step, step)]
