"""Maps from gradients of the score, with Captum's tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from resmem_plugin.core.errors import MissingPackageError, OptionError
from resmem_plugin.core.images.preprocess import INPUT_SIZE
from resmem_plugin.explain.explanation import Map
from resmem_plugin.explain.network import as_input

_AT_ONCE = 4  # images whose gradients are computed at once, about 1 GB
FEWEST_STEPS = 9
"""Of integrated gradients."""
_NOISE = 0.1  # of SmoothGrad, a share of the values' range


def gradient_map(
    network: nn.Module,
    method: str,
    pixels: npt.NDArray[np.uint8],
    baseline: npt.NDArray[np.uint8],
    *,
    passes: int,
    seed: int,
    device: torch.device,
) -> tuple[float, float, Map]:
    """The score of an image, that of the baseline, and the map.

    Raises:
        OptionError: for layer CAM of a network without the layer.
        MissingPackageError: if Captum is not installed.
    """
    x, without = as_input(pixels, device).requires_grad_(), as_input(baseline, device)

    def score(images: Tensor) -> Tensor:
        found: Tensor = network(images)
        return found.reshape(-1)

    with torch.no_grad():
        scores = score(torch.cat([x, without])).tolist()
    makers: dict[str, Callable[[], Tensor]] = {
        "integrated_gradients": lambda: integrated_gradients(score, x, without, passes),
        "gradient_x_input": lambda: _captum().Saliency(score).attribute(x, abs=False) * (x - without),
        "smoothgrad": lambda: _smoothgrad(score, x, passes, seed) * (x - without),
        "layer_cam": lambda: _layer_cam(network, x),
    }
    found = makers[method]().detach().sum(dim=1)[0]
    return scores[0], scores[1], found.float().cpu().numpy()


def integrated_gradients(score: Callable[[Tensor], Tensor], x: Tensor, without: Tensor, steps: int) -> Tensor:
    """The parts (1, 3, H, W) of `score(x) - score(without)`, by gradients on the line between both.

    ResMem's score changes most within a hundredth of this line, at its smooth end, so that Captum's equal or Gaussian
    steps miss the difference by some hundredths with 64 of them. The steps here are halved where the change of the
    score and the gradients at both ends disagree most.
    """
    difference = (x - without).detach()

    def along_line(places: Tensor) -> tuple[Tensor, Tensor]:
        gradients: list[Tensor] = []
        scores: list[Tensor] = []
        for some in torch.split(places, _AT_ONCE):
            points = (without + some[:, None, None, None] * difference).requires_grad_()
            found = score(points)
            gradients += torch.autograd.grad(found.sum(), points)
            scores.append(found.detach())
        return torch.cat(gradients), torch.cat(scores)

    places = torch.linspace(0, 1, FEWEST_STEPS, device=x.device) ** 2
    gradients, scores = along_line(places)
    while len(places) < steps:
        slopes = (gradients * difference).sum(dim=(1, 2, 3))
        missed = (slopes[1:] + slopes[:-1]) / 2 * places.diff() - scores.diff()
        worst = missed.abs().topk(min(_AT_ONCE, steps - len(places))).indices
        added = (places[worst] + places[worst + 1]) / 2
        more, their_scores = along_line(added)
        places, order = torch.cat([places, added]).sort()
        gradients, scores = torch.cat([gradients, more])[order], torch.cat([scores, their_scores])[order]
    return difference * torch.trapezoid(gradients, places, dim=0)[None]


def _smoothgrad(score: Callable[[Tensor], Tensor], x: Tensor, samples: int, seed: int) -> Tensor:
    """The mean gradient (Smilkov et al. 2017) of noisy copies."""
    attr = _captum()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        found: Tensor = attr.NoiseTunnel(attr.Saliency(score)).attribute(
            x, nt_samples=samples, nt_samples_batch_size=_AT_ONCE, stdevs=_NOISE, abs=False
        )
    return found


def _layer_cam(network: nn.Module, x: Tensor) -> Tensor:
    """Activation times gradient in the ResNet's last stage (Jiang et al. 2021), signed; interpolated to the input.

    The values are divided by the pixels of a cell, so that they add up as those of the stage do.
    """
    layer = getattr(getattr(network, "features", None), "layer4", None)
    if layer is None:
        raise OptionError("layer_cam explains ResMem's ResNet branch, which this network does not have")
    found = _captum().LayerGradientXActivation(network, layer).attribute(x).detach().sum(dim=1, keepdim=True)
    share = found.shape[-1] * found.shape[-2] / INPUT_SIZE**2
    return torch.nn.functional.interpolate(found * share, (INPUT_SIZE, INPUT_SIZE), mode="bilinear")


def _captum() -> Any:
    try:
        from captum import attr
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f'this method needs {error.name}: pip install "resmem-plugin[explain]"; occlusion and integrated_gradients '
            "do without it"
        ) from error
    return attr
