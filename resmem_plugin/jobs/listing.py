"""Lists the images in folders, archives and prefixes, and what was left out."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.decoding import PREFIX_BYTES, readable_suffixes, starts_like_image
from resmem_plugin.core.sanitize import printable

_LEFTOVER_FOLDERS = {"@eadir", "#recycle", "__macosx", "$recycle.bin", "system volume information", ".trashes"}
_LEFTOVER_FILES = {"thumbs.db", "desktop.ini", ".ds_store"}
"""What network storage, archives and file managers leave behind, in lower case."""

_MOST_SUFFIXES = 8  # named in a message
_LONGEST_SUFFIX = 16


@dataclass
class Skipped:
    """What was left out, in numbers.

    Attributes:
        suffixes: files that are no images, by suffix; "" for those without one.
        folders: files in leftovers of network storage and archives, by the folder's name.
        leftovers: other leftovers, by name.
        hidden: files and folders whose name starts with a dot.
        excluded: files and folders that the user excludes.
        replaced: members of an archive whose name a later one has too.
        unnamed: members of an archive whose name, in a reference, would be that of another file.
    """

    suffixes: Counter[str] = field(default_factory=Counter)
    folders: Counter[str] = field(default_factory=Counter)
    leftovers: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    excluded: int = 0
    replaced: int = 0
    unnamed: int = 0

    @property
    def is_notable(self) -> bool:
        """Whether there is more to tell than the file that every file manager leaves in every folder."""
        counts = (self.hidden, self.excluded, self.replaced, self.unnamed)
        return bool(self.suffixes or self.folders or any(counts) or "._*" in self.leftovers)

    def text(self) -> str:
        """It all in words: `3 files left out: 2 .txt, 1 without a suffix; 12 in @eaDir; 3 hidden`, "" for nothing."""
        parts = [_counts(self.suffixes)] if self.suffixes else []
        if self.folders:
            parts.append(f"{self.folders.total()} in {', '.join(map(_short, sorted(self.folders)))}")
        if self.leftovers:
            parts.append(_counts(self.leftovers))
        parts += [f"{self.hidden} hidden"] if self.hidden else []
        parts += [f"{self.excluded} excluded"] if self.excluded else []
        parts += [f"{self.replaced} replaced by a later file of the same name"] if self.replaced else []
        parts += [f"{self.unnamed} whose name would be read as a URL"] if self.unnamed else []
        if not parts:
            return ""
        number = self.suffixes.total()
        files = f"{number} file{'s' if number > 1 else ''} " if number else ""
        return f"{files}left out: {'; '.join(parts)}"


@dataclass(frozen=True)
class Listing:
    """The images in a folder, an archive or a prefix.

    Attributes:
        found: their references.
        skipped: what was left out.
        kind: of what was listed, in a word.
        is_flat: its subfolders were not listed.
    """

    found: list[str]
    skipped: Skipped
    kind: str = "folder"
    is_flat: bool = False


def list_folder(folder: str, recursive: bool, exclude: Sequence[str] = ()) -> Listing:
    """The images in a folder: by their suffix, or by their first bytes where they have none.

    Hidden files are left out, and so are leftovers of network storage, archives and file managers.

    Args:
        folder: its path, which the images' paths start with.
        recursive: list its subfolders too; links to folders are not followed.
        exclude: patterns, as in `fnmatch`, of names or of paths in the folder to leave out.

    Raises:
        OptionError: if the folder, or one in it, cannot be listed.
    """
    suffixes = readable_suffixes()
    found: list[str] = []
    skipped = Skipped()
    for directory, subfolders, names in os.walk(folder, onerror=_cannot_list):
        inside = os.path.relpath(directory, folder)
        entered = [name for name in sorted(subfolders) if recursive and _is_entered(directory, name, skipped)]
        subfolders[:] = [name for name in entered if not _is_excluded(inside, name, exclude, skipped)]
        for name in sorted(names):
            if _is_leftover(name, skipped) or _is_excluded(inside, name, exclude, skipped):
                continue
            path = os.path.join(directory, name)
            suffix = Path(name).suffix.lower()
            if suffix in suffixes or (not suffix and _starts_like_image(path)):
                found.append(path)
            else:
                skipped.suffixes[suffix] += 1
    return Listing(found, skipped, is_flat=not recursive)


class Selection:
    """Chooses the images among names with folders in them, by the rules of `list_folder`.

    Args:
        exclude: patterns, as in `fnmatch`, of names or of paths to leave out.

    Attributes:
        skipped: what was left out so far.
    """

    def __init__(self, exclude: Sequence[str] = ()) -> None:
        self.skipped = Skipped()
        self._exclude = exclude
        self._suffixes = readable_suffixes()
        self._folders: dict[str, str | None] = {}

    def takes(self, name: str, start: Callable[[int], bytes]) -> bool:
        """Whether a file is chosen; it is counted if it is not.

        Args:
            name: with its folders, separated by `/`.
            start: called for a file without a suffix, with a number: that many bytes from its start.
        """
        *folders, last = [part for part in name.split("/") if part not in ("", ".", "..")] or [name]
        inside = ""
        for folder in folders:
            if inside + folder not in self._folders:
                self._folders[inside + folder] = self._left_out(inside, folder)
            leftover = self._folders[inside + folder]
            if leftover is not None:
                self.skipped.folders.update({leftover: 1} if leftover else {})
                return False
            inside += f"{folder}/"
        if _is_leftover(last, self.skipped) or _is_excluded(inside, last, self._exclude, self.skipped):
            return False
        suffix = Path(last).suffix.lower()
        if suffix in self._suffixes or (not suffix and starts_like_image(start(PREFIX_BYTES))):
            return True
        self.skipped.suffixes[suffix] += 1
        return False

    def _left_out(self, inside: str, folder: str) -> str | None:
        """None for a folder that is entered, the name of a leftover, "" for one that is hidden or excluded."""
        if folder.lower() in _LEFTOVER_FOLDERS:
            return folder
        self.skipped.hidden += folder.startswith(".")
        is_out = folder.startswith(".") or _is_excluded(inside, folder, self._exclude, self.skipped)
        return "" if is_out else None


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path, or the name at its end, matches one of the patterns, as in `fnmatch`."""
    path = Path(path).as_posix()
    texts = (path, path.rpartition("/")[2])
    return any(fnmatch.fnmatch(text, pattern.rstrip("/")) for pattern in patterns for text in texts)


def _is_entered(directory: str, name: str, skipped: Skipped) -> bool:
    """Whether a subfolder is neither hidden nor a leftover; it is counted if it is."""
    if name.lower() in _LEFTOVER_FOLDERS:
        files = sum(len(names) for _, _, names in os.walk(os.path.join(directory, name)))
        skipped.folders.update({name: files} if files else {})
        return False
    skipped.hidden += name.startswith(".")
    return not name.startswith(".")


def _is_leftover(name: str, skipped: Skipped) -> bool:
    """Whether a file is hidden or a leftover; it is counted if it is."""
    if name.lower() in _LEFTOVER_FILES or name.startswith("._"):
        skipped.leftovers["._*" if name.startswith("._") else name] += 1
        return True
    skipped.hidden += name.startswith(".")
    return name.startswith(".")


def _is_excluded(inside: str, name: str, exclude: Sequence[str], skipped: Skipped) -> bool:
    found = matches(os.path.join(inside, name), exclude)
    skipped.excluded += found
    return found


def _starts_like_image(path: str) -> bool:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would block
            return False
        with open(path, "rb") as file:
            return starts_like_image(file.read(PREFIX_BYTES))
    except OSError:
        return False


def _cannot_list(error: OSError) -> None:
    raise OptionError(f"the folder {error.filename} cannot be listed: {error.strerror}") from error


def _counts(counter: Counter[str]) -> str:
    """The most frequent of them: `4 .txt, 2 .mov, 3 others`."""
    most = sorted(counter.items(), key=lambda item: (-item[1], not item[0], item[0]))[:_MOST_SUFFIXES]
    parts = [f"{number} {_short(name) if name else 'without a suffix'}" for name, number in most]
    rest = counter.total() - sum(number for _, number in most)
    return ", ".join([*parts, f"{rest} others"] if rest else parts)


def _short(name: str) -> str:
    return printable(name if len(name) <= _LONGEST_SUFFIX * 2 else f"{name[:_LONGEST_SUFFIX]}...")
