"""The network itself, in fp32, for gradients and filters: engines convert it."""

from __future__ import annotations

import contextlib
import copy
import difflib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.preprocess import INPUT_SIZE
from resmem_plugin.core.network.folding import fold_batch_norms
from resmem_plugin.core.network.pretrained import load_resmem
from resmem_plugin.core.network.resmem import ResMemNetwork
from resmem_plugin.core.network.weights import find_weights
from resmem_plugin.core.scoring.scorer import Scorer

EMBEDDING = "embedding"
"""The last hidden layer, named as one of the layers."""

_RESNET = "features."


def network_of(scorer: Scorer, *, folded: bool = True) -> nn.Module:
    """The scorer's network, in eval mode, on the scorer's device; its parameters need no gradients.

    Args:
        scorer: its scorer.
        folded: fold ResMem's BatchNorm into its convolutions: the same scores and gradients, faster.

    Raises:
        OptionError: if the scorer has a function of your own, which is no module.
    """
    model: Any = scorer.model
    if model is None:
        model = load_resmem(find_weights(scorer.options.weights)).eval()
        if folded:
            fold_batch_norms(model.features)
        model = model.to(memory_format=torch.channels_last)
    elif not isinstance(model, nn.Module):
        raise OptionError("gradients and activations need an nn.Module: method='occlusion' explains any function")
    else:
        model = copy.deepcopy(model)  # its parameters and mode are the caller's
    network: nn.Module = model.to(device_of(scorer)).float().eval().requires_grad_(False)
    return network


def device_of(scorer: Scorer) -> torch.device:
    """Where the scorer's engine runs."""
    chosen = scorer.options.device
    return torch.device(scorer.engine.device_type if chosen == "auto" else chosen)


def as_input(pixels: Any, device: torch.device) -> Tensor:
    """uint8 (B, 227, 227, 3) -> float32 (B, 3, 227, 227) in [0, 1]."""
    batch = torch.tensor(pixels).reshape(-1, INPUT_SIZE, INPUT_SIZE, 3)
    return batch.permute(0, 3, 1, 2).contiguous().to(device, torch.float32) / 255


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """The network's convolutions by name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}


def is_of_resnet(network: nn.Module, name: str) -> bool:
    """Whether a layer is one of ResMem's ResNet."""
    return isinstance(network, ResMemNetwork) and name.startswith(_RESNET)


def address_of(network: nn.Module, name: str) -> str:
    """As "6-15-0": the positions of a layer of the ResNet and of what it lies in; "" of other layers."""
    if not is_of_resnet(network, name):
        return ""
    module: nn.Module = network.get_submodule(_RESNET[:-1])
    positions = []
    for part in name[len(_RESNET) :].split("."):
        positions.append(str([child for child, _ in module.named_children()].index(part)))
        module = module.get_submodule(part)
    return "-".join(positions)


def find_layer(network: nn.Module, layer: str | int) -> str:
    """The name of the layer with this name, address or number.

    Raises:
        OptionError: if there is none; with similar names.
    """
    known = list(convolutions(network))
    if layer in known or layer == EMBEDDING:
        return str(layer)
    of_resnet = [name for name in known if is_of_resnet(network, name)]
    others = {address_of(network, name): name for name in of_resnet}
    others |= {str(number): name for number, name in enumerate(of_resnet)}
    if str(layer) in others and not isinstance(layer, bool):
        return others[str(layer)]
    near = difflib.get_close_matches(str(layer), [*known, EMBEDDING], n=3)
    cure = f"did you mean {' or '.join(near)}?" if near else "`resmem layers` and layers() list ResMem's"
    raise OptionError(f"the network has no layer {layer!r}: {cure}")


class _ReachedLayer(Exception):  # noqa: N818 - no error
    """The layer has answered: what follows it need not be computed."""


@contextlib.contextmanager
def hooked(module: nn.Module, see: Callable[[Tensor], object]) -> Iterator[None]:
    """Call a function with each output of this module, while the context lasts."""

    def hear(*call: Any) -> None:
        see(call[-1])

    hook = module.register_forward_hook(hear)
    try:
        yield
    finally:
        hook.remove()


def output_of(network: nn.Module, layer: str) -> Callable[[Tensor], Tensor]:
    """What computes a convolution's output (B, filters, H, W), and nothing that follows; layers go by their names.

    Of ResMem, whose branches take any size, only the layer's branch is computed. Its embedding (B, 256) is given before
    the ReLU, where it has gradients.
    """
    part: Any = network
    if isinstance(network, ResMemNetwork) and layer == EMBEDDING:
        layer = "fc11"
    elif isinstance(network, ResMemNetwork):
        part = network.features if is_of_resnet(network, layer) else network.convolutions
    module = network.get_submodule(layer)
    found: list[Tensor] = []

    def see(output: Tensor) -> None:
        found.append(output)
        raise _ReachedLayer

    def compute(x: Tensor) -> Tensor:
        with hooked(module, see), contextlib.suppress(_ReachedLayer):
            part(x)
        if not found:
            raise OptionError(f"the network does not use its layer {layer}")
        return found.pop()

    return compute
