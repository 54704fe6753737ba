"""Finds and verifies the weights, without torch; `pretrained` loads them.

The published weights are never part of this package: they come from the PyPI distribution `resmem` 1.1.6, under the
University of Chicago's ResMem Non-commercial License. They are recognised by their SHA-256.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from resmem_plugin.core import settings
from resmem_plugin.core.cache.folder import cache_folder
from resmem_plugin.core.errors import WeightsCorruptError, WeightsNotFoundError

PUBLISHED_SHA256 = "8e4b8ab0ac338909add68a674e9bd4c1602350731abe7f97bc060dc159706a53"
"""SHA-256 of `model.pt` in the `resmem` 1.1.6 distribution."""

LICENCE = (
    "University of Chicago ResMem Non-commercial License: research and other non-commercial use only; "
    "its text is in the `resmem` distribution"
)

TRAINED_FROM = "trained_from"
"""In the metadata of a safetensors file that was trained here: JSON with "parent" and "licence".

It is one entry, as safetensors writes several in any order, and the same weights are to have the same hash.
"""

_INSTALL = 'pip install "resmem-plugin[weights]"'
_REINSTALL = "pip install --force-reinstall --no-deps resmem==1.1.6"
_GIT_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_NAMED_HASH = re.compile(r"(?P<path>.+)#sha256=(?P<sha256>[0-9a-fA-F]{64})")


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """A weights file and the SHA-256 it must have.

    Attributes:
        path: the file.
        sha256: the hash it must have; by default that of the published weights.
        trusted: whether a converted copy in the cache may be used without reading the file again: true for an installed
            distribution, whose files pip has checked, and false for a path given by the user.
    """

    path: Path
    sha256: str = PUBLISHED_SHA256
    trusted: bool = False

    @property
    def cached(self) -> Path:
        """The path of the converted copy, which may not exist yet."""
        return cache_folder() / f"weights-{self.sha256}.safetensors"


def parent_of(weights: WeightsFile) -> str | None:
    """Which weights a file was trained from; None if it does not say, as only files that were trained here do."""
    return _trained_from(weights).get("parent")


def licence_of(weights: WeightsFile) -> str | None:
    """The licence of weights; None for those that were trained here from nobody else's."""
    return _trained_from(weights).get("licence", LICENCE)


def _trained_from(weights: WeightsFile) -> dict[str, str | None]:
    if weights.path.suffix != ".safetensors":
        return {}
    import safetensors  # here, so that the plugin's form can say that it is missing

    try:
        with safetensors.safe_open(weights.path, framework="numpy") as file:
            found = json.loads((file.metadata() or {}).get(TRAINED_FROM, "{}"))
    except (OSError, ValueError, safetensors.SafetensorError):  # whoever loads it says so
        return {}
    return found if isinstance(found, dict) else {}


def find_weights(path: str | os.PathLike[str] | None = None) -> WeightsFile:
    """Find the weights file, without reading it.

    Args:
        path: the published `model.pt`, or a safetensors or PyTorch file of a state dict of the same network named with
            its hash, `"mine.pt#sha256=0123..."`. Default: the path in `RESMEM_WEIGHTS`, then the installed `resmem`
            distribution, which is not imported.

    Raises:
        WeightsNotFoundError: if there is no such file, or no such distribution.
        WeightsCorruptError: if it is a git-lfs pointer.
    """
    named = os.fspath(path) if path is not None else settings.read("RESMEM_WEIGHTS")
    if named:
        match = _NAMED_HASH.fullmatch(named)
        weights = (
            WeightsFile(path=Path(os.path.expanduser(match["path"])), sha256=match["sha256"].lower())
            if match
            else WeightsFile(path=Path(os.path.expanduser(named)))
        )
        if not weights.path.is_file():
            raise WeightsNotFoundError(
                f"no weights file at {weights.path}: correct the path, or remove it (and RESMEM_WEIGHTS) and "
                f"install the published weights with {_INSTALL}"
            )
    else:
        weights = WeightsFile(path=_installed_weights(), trusted=True)
    try:
        with open(weights.path, "rb") as file:
            start = file.read(len(_GIT_LFS_POINTER))
    except OSError as error:
        raise WeightsNotFoundError(f"{weights.path} cannot be read ({error}): make it readable to this user") from error
    if start == _GIT_LFS_POINTER:
        raise WeightsCorruptError(
            f"{weights.path} is a git-lfs pointer, not the weights: run `git lfs install && git lfs pull` in that "
            f"checkout, or install the published weights with {_INSTALL}"
        )
    return weights


def verify(weights: WeightsFile) -> None:
    """Check the SHA-256 of a weights file.

    Raises:
        WeightsCorruptError: if it is another one.
    """
    found = sha256_of(weights.path)
    if found != weights.sha256:
        raise WeightsCorruptError(
            f"{weights.path} ({weights.path.stat().st_size:,} bytes) has SHA-256 {found}, not {weights.sha256}: it is "
            f"damaged, truncated, or not the published weights. Install these with `{_REINSTALL}`; to use other "
            f"weights on purpose, give their hash: weights='{weights.path}#sha256={found}'"
        )


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _installed_weights() -> Path:
    spec = importlib.util.find_spec("resmem")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "model.pt"
        if path.is_file():
            return path
    raise WeightsNotFoundError(
        f"ResMem's weights are not installed: {_INSTALL} (489 MB, {LICENCE}), "
        "or set RESMEM_WEIGHTS to a copy of its model.pt"
    )
