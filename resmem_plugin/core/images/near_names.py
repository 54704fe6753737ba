"""The file that was probably meant by a path at which there is none."""

from __future__ import annotations

import os
import re
import threading
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass, field

MAX_ENTRIES = 10_000
"""Entries of the largest folder that is searched."""

_MAX_FOLDERS = 64
_ONE_SLASH = re.compile(r"(https?|s3|gs):/(?=[^/])", re.IGNORECASE)


@dataclass(frozen=True)
class NearNames:
    """Finds names that differ in case, Unicode form, blanks around them or slashes; safe to share between threads.

    A folder is listed once, and again when it has changed.
    """

    _folders: OrderedDict[str, tuple[int, dict[str, str]]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, path: str) -> str | None:
        """The path of the file that was probably meant, or the URL, or None."""
        url = _ONE_SLASH.match(path)
        if url:
            return f"{url[1].lower()}://{path[url.end() :]}"
        try:
            return next((found for given in _variants(path) if (found := self._twin(given, path))), None)
        except (OSError, ValueError):
            return None

    def _twin(self, given: str, path: str) -> str | None:
        if given != path and os.path.isfile(given):
            return given
        folder, name = os.path.split(given)
        twin = self._names(folder or os.curdir).get(_key(name)) if name else None
        found = os.path.join(folder, twin) if twin is not None else path
        return found if found != path and os.path.isfile(found) else None

    def _names(self, folder: str) -> dict[str, str]:
        """The names in a folder by what all their twins have in common; none of a large folder."""
        try:
            changed = os.stat(folder).st_mtime_ns
        except (OSError, ValueError):
            return {}
        with self._lock:
            known = self._folders.get(folder)
            if known is None or known[0] != changed:
                known = self._folders[folder] = (changed, _listed(folder))
            self._folders.move_to_end(folder)
            while len(self._folders) > _MAX_FOLDERS:
                self._folders.popitem(last=False)
            return known[1]


def _variants(path: str) -> list[str]:
    """The path with the same folder, and its folders in other forms."""
    slashes = path.replace("\\", "/")
    forms = (path, slashes, slashes.strip(), unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path))
    return list(dict.fromkeys(forms))


def _listed(folder: str) -> dict[str, str]:
    names = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) > MAX_ENTRIES:
                    return {}
    except OSError:
        return {}
    return {_key(name): name for name in sorted(names, reverse=True)}


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).strip().casefold())
