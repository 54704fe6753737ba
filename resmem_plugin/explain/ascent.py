"""Gradient ascent to pictures that people can read (Olah et al. 2017, "Feature visualization").

The picture is climbed in frequencies and decorrelated colours, so that no colour and no fine pattern comes for free,
and is shifted, turned and scaled a little before each step: what stays is what the filter sees wherever it lies.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.0, -0.05), (0.27, -0.09, 0.03))
"""How brightness and the two colour axes of photographs mix to red, green and blue: Olah et al.'s, from ImageNet."""
_STRONGEST = 0.4627  # the length of the longest of their columns, which becomes 1
_RATE = 0.05
_NOISE = 0.01  # standard deviation at the start
_JITTER = 8  # pixels
_SCALE, _TURN = 0.1, math.radians(5)  # at most, either way


def ascend(
    objective: Callable[[Tensor], Tensor],
    steps: int,
    size: int,
    seed: int,
    device: torch.device,
    *,
    seen: int | None,
) -> Image.Image:
    """Climb from noise, half of the steps at half of the size.

    Args:
        objective: float images (B, 3, H, W) in [0, 1] -> (B,).
        steps: how many.
        size: width and height of the picture.
        seed: of the noise and the transformations.
        device: where to compute.
        seen: the only size that the objective takes; None: any.
    """
    random = torch.Generator().manual_seed(seed)
    half = size // 2
    noise = _NOISE * torch.randn(3, half, half // 2 + 1, 2, generator=random)
    latent = _latent(noise.to(device), _weights(half, device), half)
    for now, count in ((half, steps // 2), (size, steps - steps // 2)):
        weights = _weights(now, device)
        enlarged = F.interpolate(latent[None], (now, now), mode="bilinear")[0]
        spectrum = torch.view_as_real(torch.fft.rfft2(enlarged) / weights).requires_grad_()
        optimizer = torch.optim.Adam([spectrum], _RATE)
        for _ in range(count):
            optimizer.zero_grad()
            x = _transformed(_painted(_latent(spectrum, weights, now)), random)
            if seen is not None and seen != now:
                x = F.interpolate(x, (seen, seen), mode="bilinear")
            (-objective(x).sum()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        latent = _latent(spectrum.detach(), weights, now)
    return as_image(_painted(latent))


def as_image(x: Tensor) -> Image.Image:
    """The first of float images (B, 3, H, W) in [0, 1]."""
    return Image.fromarray((x[0].detach().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy())


def _weights(size: int, device: torch.device) -> Tensor:
    """Of the frequencies, as in photographs: one over the frequency."""
    rows = torch.fft.fftfreq(size, device=device)[:, None]
    columns = torch.fft.rfftfreq(size, device=device)[None]
    weights: Tensor = size / (rows**2 + columns**2).sqrt().clamp(min=1 / size) / 4
    return weights


def _latent(spectrum: Tensor, weights: Tensor, size: int) -> Tensor:
    """(3, size, size) in decorrelated colours."""
    latent: Tensor = torch.fft.irfft2(torch.view_as_complex(spectrum) * weights, s=(size, size))
    return latent


def _painted(latent: Tensor) -> Tensor:
    """To red, green and blue in (0, 1): (1, 3, size, size)."""
    colours = torch.tensor(_COLOURS, device=latent.device) / _STRONGEST
    return torch.sigmoid(torch.einsum("cl,lhw->chw", colours, latent))[None]


def _transformed(x: Tensor, random: torch.Generator) -> Tensor:
    """Shifted, turned and scaled a little."""
    shift = torch.randint(-_JITTER, _JITTER + 1, (2,), generator=random).tolist()
    scale, turn = (2 * torch.rand(2, generator=random) - 1).tolist()
    factor, angle = 1 / (1 + _SCALE * scale), _TURN * turn
    cosine, sine = factor * math.cos(angle), factor * math.sin(angle)
    matrix = torch.tensor([[[cosine, -sine, 0.0], [sine, cosine, 0.0]]], device=x.device)
    grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
    moved = torch.roll(x, shift, (2, 3))
    return F.grid_sample(moved, grid, padding_mode="reflection", align_corners=False)
