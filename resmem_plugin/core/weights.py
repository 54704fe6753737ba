"""Find, verify, convert and load the weights, and `ResMem`, the network that can come with them.

The published weights are never part of this package: they come from the PyPI distribution `resmem` 1.1.6, under the
University of Chicago's ResMem Non-commercial License. They are recognised by their SHA-256, read without unpickling
code, and kept as safetensors in a per-user cache folder, so that the next load maps the file instead of reading it.
What lies in that folder is trusted, as what lies in site-packages is: it is not hashed again at every start.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import safetensors
import safetensors.torch
import torch

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import CacheWarning, OptionError, WeightsCorruptError, WeightsNotFoundError, warn
from resmem_plugin.core.model import ResMemNetwork

if TYPE_CHECKING:
    from torch import Tensor

PUBLISHED_SHA256 = "8e4b8ab0ac338909add68a674e9bd4c1602350731abe7f97bc060dc159706a53"
"""SHA-256 of `model.pt` in the `resmem` 1.1.6 distribution."""

LICENCE = (
    "University of Chicago ResMem Non-commercial License: research and other non-commercial use only; "
    "it stands in the `resmem` distribution that brings the weights"
)

_INSTALL = 'pip install "resmem-plugin[weights]"'
_REINSTALL = "pip install --force-reinstall --no-deps resmem==1.1.6"
_GIT_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_NAMED_HASH = re.compile(r"(?P<path>.+)#sha256=(?P<sha256>[0-9a-fA-F]{64})")

_logger = logging.getLogger(__name__)


class ResMem(ResMemNetwork):
    """ResMem, with upstream's state dict: a drop-in for `resmem.ResMem`.

    Args:
        pretrained: load the published weights (see `find_weights`) instead of initialising 131 million at random.
        cruise_altitude: width of `conv3` and `conv4`; the published weights have 384.

    Raises:
        WeightsError: with `pretrained=True`, if the published weights cannot be had.
        ValueError: with `pretrained=True` and another `cruise_altitude` than theirs.
    """

    def __init__(self, pretrained: bool = False, cruise_altitude: int = 384) -> None:
        if pretrained and cruise_altitude != 384:
            raise OptionError(
                f"the published weights have cruise_altitude=384, not {cruise_altitude}: use pretrained=False"
            )
        with torch.device("meta") if pretrained else contextlib.nullcontext():
            super().__init__(cruise_altitude)
        if pretrained:
            self.load_state_dict(load_weights(find_weights()), assign=True)


def load_resmem(weights: WeightsFile) -> ResMem:
    """The network with these weights, without first initialising it."""
    with torch.device("meta"):
        network = ResMem()
    network.load_state_dict(load_weights(weights), assign=True)
    return network


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """A weights file and the SHA-256 it must have.

    Attributes:
        path: where it lies.
        sha256: the hash it must have; by default that of the published weights.
        trusted: whether a copy in the cache may stand for it without reading the file again: so for an installed
            distribution, whose files pip has checked, and not for a path that somebody named.
    """

    path: Path
    sha256: str = PUBLISHED_SHA256
    trusted: bool = False

    @property
    def cached(self) -> Path:
        """Where the converted copy lies, or will."""
        return cache_folder() / f"weights-{self.sha256}.safetensors"


def cache_folder() -> Path:
    """The folder for converted weights: `RESMEM_CACHE_DIR`, or the user's cache folder on this system."""
    named = os.environ.get("RESMEM_CACHE_DIR")
    return Path(os.path.expanduser(named)) if named else platformdirs.user_cache_path("resmem-plugin")


def find_weights(path: str | os.PathLike[str] | None = None) -> WeightsFile:
    """Find the weights, without reading them.

    Args:
        path: the published `model.pt`, or a safetensors or PyTorch file of a state dict of the same network named with
            its hash, `"mine.pt#sha256=0123..."`. Default: the path in `RESMEM_WEIGHTS`, then the installed `resmem`
            distribution, which is not imported.

    Raises:
        WeightsNotFoundError: if there is no such file, or no such distribution.
        WeightsCorruptError: if it is a git-lfs pointer.
    """
    named = os.fspath(path) if path is not None else os.environ.get("RESMEM_WEIGHTS")
    if named:
        match = _NAMED_HASH.fullmatch(named)
        weights = (
            WeightsFile(path=Path(os.path.expanduser(match["path"])), sha256=match["sha256"].lower())
            if match
            else WeightsFile(path=Path(os.path.expanduser(named)))
        )
        if not weights.path.is_file():
            raise WeightsNotFoundError(
                f"no weights file at {weights.path}: correct the path, or leave it (and RESMEM_WEIGHTS) out and "
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


def load_weights(weights: WeightsFile) -> dict[str, Tensor]:
    """Load a state dict on the CPU, from the cache if it is there; otherwise convert it and keep it there.

    The tensors map the cached file privately: changing them does not change the file.

    Raises:
        WeightsCorruptError: if the file has another hash, is cut short, or holds another network's tensors.
    """
    if not weights.trusted:
        verify(weights)
    cached = _load_cached(weights)
    if cached is not None:
        return cached
    if weights.trusted:
        verify(weights)
    state = _read(weights)
    wrong = _wrong_entries(state)
    if wrong:
        raise WeightsCorruptError(
            f"{weights.path} does not hold ResMem's state dict: {len(wrong)} entries are missing, unknown, or of "
            f"another shape or dtype, such as {', '.join(wrong[:3])}"
        )
    _logger.warning("ResMem's weights are used under the %s.", LICENCE)  # said once: the next load is from the cache
    _keep(state, weights)
    return _load_cached(weights) or state


def verify(weights: WeightsFile) -> None:
    """Compare a file's SHA-256 with the one it must have.

    Raises:
        WeightsCorruptError: if they differ.
    """
    digest = hashlib.sha256()
    with open(weights.path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    found = digest.hexdigest()
    if found != weights.sha256:
        raise WeightsCorruptError(
            f"{weights.path} ({weights.path.stat().st_size:,} bytes) has SHA-256 {found}, not {weights.sha256}: it is "
            f"damaged, cut short, or not the published weights. Get these with `{_REINSTALL}`; to use other weights on "
            f"purpose, name their hash: weights='{weights.path}#sha256={found}'"
        )


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


def _read(weights: WeightsFile) -> dict[str, Tensor]:
    try:
        if weights.path.suffix == ".safetensors":
            return safetensors.torch.load_file(weights.path)
        state: dict[str, Tensor] = torch.load(weights.path, map_location="cpu", weights_only=True, mmap=True)
        return state
    except Exception as error:  # a damaged zip, a refused pickle, an old format: whatever it is, these are no weights
        raise WeightsCorruptError(  # without torch's words: they recommend to run the code
            f"{weights.path} cannot be read as a state dict without running code from it ({type(error).__name__}): "
            "save one with safetensors.torch.save_file"
        ) from error


def _wrong_entries(state: object) -> list[str]:
    """The entries that are missing, unknown, or of another shape or dtype than ResMem's."""
    with torch.device("meta"):
        expected = {key: (tensor.shape, tensor.dtype) for key, tensor in ResMemNetwork().state_dict().items()}
    found = {
        key: (tensor.shape, tensor.dtype)
        for key, tensor in (state.items() if isinstance(state, dict) else ())
        if isinstance(tensor, torch.Tensor) and not tensor.is_meta
    }
    return sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))


def _load_cached(weights: WeightsFile) -> dict[str, Tensor] | None:
    try:
        with safetensors.safe_open(weights.cached, framework="pt") as file:
            if (file.metadata() or {}).get("sha256") != weights.sha256:
                return None
        return safetensors.torch.load_file(weights.cached)
    except (OSError, safetensors.SafetensorError):  # not there, or damaged: it is made again
        return None


def _keep(state: dict[str, Tensor], weights: WeightsFile) -> None:
    try:
        weights.cached.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(weights.cached) as unfinished:
            tensors = {key: tensor.contiguous() for key, tensor in state.items()}
            safetensors.torch.save_file(tensors, unfinished, metadata={"sha256": weights.sha256, "licence": LICENCE})
    except (OSError, safetensors.SafetensorError) as error:
        warn(
            f"the converted weights could not be kept in {weights.cached.parent} ({error}): every start will be "
            "slower. Make the folder writable, or set RESMEM_CACHE_DIR to one that is",
            CacheWarning,
        )
