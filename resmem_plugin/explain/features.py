"""Pictures of what a filter looks for: made by gradient ascent, and found among images."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.preprocess import INPUT_SIZE
from resmem_plugin.core.images.reader import iterable_of_images
from resmem_plugin.core.network.resmem import ResMemNetwork
from resmem_plugin.core.scoring.progress import ProgressOption, reporting
from resmem_plugin.core.scoring.reading import network_inputs, network_outputs
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.explain.ascent import as_image, ascend
from resmem_plugin.explain.filters import answers_of
from resmem_plugin.explain.network import EMBEDDING, as_input, device_of, find_layer, network_of, output_of

_TILE = 227  # pixels of a picture in a contact sheet
_GAP = 4


@dataclass(frozen=True)
class SmallChange:
    """A change of an image, too small to matter to people, that raises its score.

    It shows how the network can be misled, not how to make people remember an image: what they see is the same.

    Attributes:
        before: the score of the image, 0 to 1.
        after: that of the changed one, with pixels rounded to 8 bits.
        bound: the most that a pixel's channel was changed, of 255.
        image: the changed image as the network sees it, 227 by 227.
        edit: the change of each pixel's red, green and blue, of 255: int16 (227, 227, 3).
    """

    before: float
    after: float
    bound: int
    image: Image.Image
    edit: npt.NDArray[np.int16]


def visualize_feature(
    layer: str | int,
    filter: int,  # noqa: A002 - its name everywhere
    *,
    steps: int = 128,
    size: int = INPUT_SIZE,
    seed: int = 0,
    scorer: Scorer | None = None,
) -> Image.Image:
    """Make a picture that excites a filter, by gradient ascent.

    The ascent starts from noise, in decorrelated colours and frequencies, under small random shifts, turns and scales,
    without which such pictures are noise to people (Olah et al. 2017, "Feature visualization"); it begins at half of
    the size.

    Args:
        layer: as for `activations`; also "embedding".
        filter: its number, from 0.
        steps: of the ascent.
        size: width and height of the picture in pixels, 128 to 1024.
        seed: the same seed gives the same picture, on the same machine.
        scorer: whose network is asked; None: `Scorer()`.

    Raises:
        OptionError: for a layer, filter or size that does not exist.

    Examples:
        >>> from resmem_plugin.explain import visualize_feature
        >>> visualize_feature("conv1", 3, steps=16, size=128).size
        (128, 128)
    """
    _check_number("steps", steps, 1, 100_000)
    _check_number("size", size, 128, 1024)
    scorer = Scorer() if scorer is None else scorer
    network = network_of(scorer)
    layer = find_layer(network, layer)
    answer = _answer(network, layer)
    device = device_of(scorer)
    with torch.no_grad():
        filters = answer(torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE, device=device)).shape[1]
    _check_number("filter", filter, 0, filters - 1)
    any_size = isinstance(network, ResMemNetwork) and layer != EMBEDDING
    return ascend(lambda x: answer(x)[:, filter], steps, size, seed, device, seen=None if any_size else INPUT_SIZE)


def memorable_image(*, steps: int = 128, seed: int = 0, scorer: Scorer | None = None) -> Image.Image:
    """Make the picture that the network finds most memorable, by gradient ascent on the score.

    It is what excites the network most, and no photograph: its score says nothing about people.

    Args:
        steps: of the ascent.
        seed: the same seed gives the same picture, on the same machine.
        scorer: whose network is asked; None: `Scorer()`.

    Returns:
        A picture of 227 by 227 pixels.

    Examples:
        >>> from resmem_plugin.explain import memorable_image
        >>> memorable_image(steps=4).size
        (227, 227)
    """
    _check_number("steps", steps, 1, 100_000)
    scorer = Scorer() if scorer is None else scorer
    network = network_of(scorer)

    def logit(x: Tensor) -> Tensor:
        return torch.logit(network(x).reshape(-1), eps=1e-6)

    return ascend(logit, steps, INPUT_SIZE, seed, device_of(scorer), seen=INPUT_SIZE)


def small_change(image: object, *, bound: int = 4, steps: int = 12, scorer: Scorer | None = None) -> SmallChange:
    """Raise an image's score by a change that people hardly see: an adversarial one (Madry et al. 2018).

    It tells how far the score can be trusted, not what would make the image more memorable to people.

    Args:
        image: as for `Scorer`.
        bound: the most that each pixel's red, green or blue may change, of 255: 1 to 255.
        steps: of the ascent.
        scorer: whose network is asked; None: `Scorer()`.

    Raises:
        OptionError: for a bound or number of steps out of range.
        ImageError: if the image cannot be read.

    Examples:
        >>> from resmem_plugin.explain import small_change
        >>> found = small_change("rocket.jpg", steps=2)
        >>> found.after > found.before, found.edit.shape
        (True, (227, 227, 3))
    """
    _check_number("bound", bound, 1, 255)
    _check_number("steps", steps, 1, 10_000)
    scorer = Scorer() if scorer is None else scorer
    (read,) = network_inputs([image], scorer)
    if read.pixels is None:
        raise read.error or OptionError("the image cannot be read")
    network, device = network_of(scorer), device_of(scorer)
    original = as_input(read.pixels, device)

    def score(x: Tensor) -> Tensor:
        found: Tensor = network(x).reshape(-1)
        return found

    most = bound / 255
    best, best_score = original, before = original, float(score(original))
    changed = original.clone()
    for _ in range(steps):
        x = changed.requires_grad_()
        (gradient,) = torch.autograd.grad(torch.logit(score(x), eps=1e-6).sum(), x)
        changed = x.detach() + gradient.sign() * max(2.5 * most / steps, 1 / 255)
        changed = (original + (changed - original).clamp(-most, most)).clamp(0, 1)
        rounded = (changed * 255).round() / 255
        with torch.no_grad():
            reached = float(score(rounded))
        if reached > best_score:
            best, best_score = rounded, reached
    edit = ((best - original) * 255).round()[0].permute(1, 2, 0).to(torch.int16).cpu().numpy()
    return SmallChange(before, best_score, bound, as_image(best), edit)


def top_images(
    layer: str | int,
    filter: int,  # noqa: A002
    images: Iterable[object],
    n: int = 9,
    *,
    progress: ProgressOption = None,
    scorer: Scorer | None = None,
) -> pd.DataFrame:
    """Find the images that excite a filter most, by its mean over the image; those that cannot be read are passed over.

    Args:
        layer: as for `activations`.
        filter: its number, from 0.
        images: as for `activations`; they are taken one after the other, and only the best are kept.
        n: how many to find.
        progress: as for `activations`.
        scorer: whose network is asked; None: `Scorer()`.

    Returns:
        At most `n` rows, the strongest first: `image` (as given), `position` (in `images`), `activation`.

    Raises:
        OptionError: for a layer or filter that does not exist.

    Examples:
        >>> from resmem_plugin.explain import top_images
        >>> top_images("conv1", 0, ["coffee.png", "rocket.jpg", "chelsea.png"], n=2)[["image", "position"]].shape
        (2, 2)
    """
    _check_number("n", n, 1, 1_000_000)
    scorer = Scorer() if scorer is None else scorer
    forward, filters = answers_of(layer, "mean", scorer)
    _check_number("filter", filter, 0, filters - 1)
    total = len(images) if isinstance(images, Sized) else None
    given: dict[int, object] = {}

    def noted() -> Iterator[object]:
        for number, image in enumerate(iterable_of_images(images)):
            given[number] = image
            yield image

    best: list[tuple[float, int, object]] = []
    with reporting(progress, total) as report:
        for number, (_, row) in enumerate(network_outputs(noted(), scorer, forward)):
            image = given.pop(number)
            if row is not None:
                heapq.heappush(best, (float(row[filter]), -number, image))
                if len(best) > n:
                    heapq.heappop(best)
            report(row is None)
    rows = [(image, -number, value) for value, number, image in sorted(best, key=lambda each: each[:2], reverse=True)]
    return pd.DataFrame(rows, columns=["image", "position", "activation"])


def contact_sheet(pictures: Sequence[Image.Image], columns: int | None = None) -> Image.Image:
    """Put pictures side by side, in rows, each in a square of 227 pixels.

    Args:
        pictures: of any size and mode.
        columns: how many side by side; None: as many as rows, or one more.

    Raises:
        OptionError: without pictures, or with fewer than one column.

    Examples:
        >>> from PIL import Image
        >>> from resmem_plugin.explain import contact_sheet
        >>> contact_sheet([Image.open("coffee.png"), Image.open("rocket.jpg")]).size
        (466, 235)
    """
    pictures = list(pictures)
    if not pictures:
        raise OptionError("there are no pictures for the contact sheet")
    columns = math.ceil(math.sqrt(len(pictures))) if columns is None else columns
    _check_number("columns", columns, 1, 1000)
    rows = math.ceil(len(pictures) / columns)
    step = _TILE + _GAP
    sheet = Image.new("RGB", (columns * step + _GAP, rows * step + _GAP), "white")
    for number, picture in enumerate(pictures):
        tile = ImageOps.pad(picture.convert("RGB"), (_TILE, _TILE), color="white")
        sheet.paste(tile, (_GAP + number % columns * step, _GAP + number // columns * step))
    return sheet


def _answer(network: nn.Module, layer: str) -> Callable[[Tensor], Tensor]:
    """Images (B, 3, H, W) -> the mean of each filter (B, filters), with gradients."""
    if layer == EMBEDDING and not isinstance(network, ResMemNetwork):
        embed: Any = getattr(network, "embed", None)
        if embed is None:
            raise OptionError("the network has no embedding: name one of its convolutions")
        return lambda x: embed(x)
    output = output_of(network, layer)
    return lambda x: output(x).flatten(2).mean(dim=2) if layer != EMBEDDING else output(x)


def _check_number(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise OptionError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
