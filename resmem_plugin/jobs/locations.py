"""What an input names: an image, a folder, an archive, a prefix, or a pattern of them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images import urls
from resmem_plugin.core.images.members import archive_protocol
from resmem_plugin.core.images.remote import RemoteReader
from resmem_plugin.core.images.sources import is_url
from resmem_plugin.jobs.archives import expand_shards, list_archive, match_members
from resmem_plugin.jobs.listing import Listing, list_folder, matches
from resmem_plugin.jobs.prefixes import is_prefix, list_prefix, match_urls


class Locations:
    """Expands patterns, and lists the images in folders, archives and prefixes.

    Args:
        storage_options: for URLs, as `Scorer` takes them.
        recursive: list subfolders too; an archive is always listed with its own.
        exclude: patterns, as in `fnmatch`, of names or of paths in a folder to leave out.
    """

    def __init__(
        self, storage_options: Mapping[str, Any] | None = None, *, recursive: bool = False, exclude: Sequence[str] = ()
    ) -> None:
        self._reader = RemoteReader(storage_options)
        self._recursive, self._exclude = recursive, exclude

    def expand(self, inputs: Sequence[str]) -> Iterator[str]:
        """The inputs, with what patterns and numbers in braces name in their place.

        What matches nothing and has no `*` or `?` (in a URL no `*`) is the name of a missing image.

        Raises:
            OptionError: if nothing matches a pattern, or a folder that is named does not exist.
        """
        for given in inputs:
            for name in expand_shards(given):
                yield from self._named(name)

    def list_images(self, given: str) -> Listing | None:
        """The images in a folder, archive or prefix; None for anything else.

        Raises:
            OptionError: if it cannot be listed.
        """
        if urls.is_file(given) and os.path.isdir(path := urls.file_path(given)):
            listing = list_folder(path, self._recursive, self._exclude)
            return replace(listing, found=[f"file://{found}" for found in listing.found])
        if not is_url(given) and os.path.isdir(given):
            return list_folder(given, self._recursive, self._exclude)
        if archive_protocol(given) is None and is_prefix(given, self._reader):
            return list_prefix(given, self._reader, self._recursive, self._exclude)
        if not is_url(given):
            if archive_protocol(given) is not None and not os.path.lexists(given):
                raise OptionError(f"there is no archive {given}: correct its path")
            if "::" in given and not os.path.isabs(given):  # in a reference it would be read as a URL
                given = os.path.join(os.curdir, given)
        return list_archive(given, self._reader, self._exclude)

    def close(self) -> None:
        """Close what is open."""
        self._reader.close()

    def _named(self, given: str) -> list[str]:
        """The input, or what its pattern matches, which the shell was not given to expand."""
        found = self._matching(given)
        if found is None or (not found and not {"*", "?"} & set(given)):
            return [given]
        if not found and is_url(given) and "*" not in given:
            return [given]
        if not found:
            left = " that --exclude leaves" if self._exclude else ""
            raise OptionError(f"no file matches {given}{left}: correct the pattern")
        return found

    def _matching(self, given: str) -> list[str] | None:
        """What a pattern matches; None for anything else."""
        if urls.is_file(given):
            found = self._matching(urls.file_path(given))
            return found and [f"file://{path}" for path in found]
        if is_url(given):
            members = match_members(given, self._reader, self._exclude)
            return match_urls(given, self._reader, self._exclude) if members is None else members
        if os.path.lexists(given):
            return None
        if given.endswith(("/", os.sep)):
            raise OptionError(f"there is no folder {given}: correct its path")
        if not glob.has_magic(given):
            return None
        found = sorted(path for path in glob.glob(given, recursive=True) if os.path.isfile(path))
        if not found and not {"*", "?"} & set(given):
            return None
        return [path for path in found if not matches(path, self._exclude)]
