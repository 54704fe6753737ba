"""Loads the weights, and `ResMem`, the network that can be built with them.

They are read without unpickling code, and kept as safetensors in a per-user cache folder, so that the next load maps
the file instead of reading it. Files in that folder are trusted, like those in site-packages: they are not hashed again
at every start.
"""

from __future__ import annotations

import contextlib
import logging

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.cache.folder import has_cache_folder, report
from resmem_plugin.core.errors import OptionError, WeightsCorruptError
from resmem_plugin.core.network.resmem import ResMemNetwork
from resmem_plugin.core.network.weights import LICENCE, WeightsFile, find_weights, verify

_logger = logging.getLogger(__name__)


class ResMem(ResMemNetwork):
    """ResMem, with upstream's state dict: a drop-in for `resmem.ResMem`.

    Args:
        pretrained: load the published weights (see `find_weights`) instead of random ones.
        cruise_altitude: width of `conv3` and `conv4`; the published weights have 384.

    Raises:
        WeightsError: with `pretrained=True`, if the published weights are not found or damaged.
        ValueError: with `pretrained=True` and another `cruise_altitude` than theirs.

    Examples:
        >>> import torch
        >>> from PIL import Image
        >>> from resmem_plugin import ResMem, transformer
        >>> model = ResMem(pretrained=True).eval()
        >>> with torch.inference_mode():
        ...     score = model(transformer(Image.open("coffee.png")))
        >>> round(score.item(), 2)
        0.88
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


def load_resmem(weights: WeightsFile, *, keep: bool = True) -> ResMem:
    """The network with these weights, without random initialisation; see `load_weights`."""
    with torch.device("meta"):
        network = ResMem()
    network.load_state_dict(load_weights(weights, keep=keep), assign=True)
    return network


def load_weights(weights: WeightsFile, *, keep: bool = True) -> dict[str, Tensor]:
    """Load a state dict on the CPU, from the cache if possible; otherwise convert it, and write it to the cache.

    The tensors map the cached file privately: changing them does not change the file.

    Args:
        weights: the file.
        keep: write the converted weights to the cache; False for an engine that keeps another form of them.

    Raises:
        WeightsCorruptError: if the file has another hash, is truncated, or holds another network's tensors.
    """
    if not weights.trusted:
        verify(weights)
    may_cache = has_cache_folder()
    cached = _load_cached(weights) if may_cache else None
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
    _logger.warning("ResMem's weights are used under the %s.", LICENCE)  # logged once: the next load is from the cache
    if not (keep and may_cache):
        return state
    _keep(state, weights)
    return _load_cached(weights) or state


def _read(weights: WeightsFile) -> dict[str, Tensor]:
    try:
        if weights.path.suffix == ".safetensors":
            return safetensors.torch.load_file(weights.path)
        state: dict[str, Tensor] = torch.load(weights.path, map_location="cpu", weights_only=True, mmap=True)
        return state
    except Exception as error:  # a damaged zip, a refused pickle, an old format
        raise WeightsCorruptError(  # without torch's message, which recommends to run the code
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
    except (OSError, safetensors.SafetensorError):  # missing or damaged: it is written again
        return None


def _keep(state: dict[str, Tensor], weights: WeightsFile) -> None:
    try:
        weights.cached.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(weights.cached) as unfinished:
            tensors = {key: tensor.contiguous() for key, tensor in state.items()}
            safetensors.torch.save_file(tensors, unfinished, metadata={"sha256": weights.sha256, "licence": LICENCE})
    except (OSError, safetensors.SafetensorError) as error:
        report(weights.cached.parent, error)
