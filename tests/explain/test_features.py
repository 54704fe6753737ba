"""Pictures of what filters look for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from examples.demo import photographs
from resmem_plugin import Scorer
from resmem_plugin.core.errors import ImageError, OptionError
from resmem_plugin.explain import (
    activations,
    contact_sheet,
    memorable_image,
    small_change,
    top_images,
    visualize_feature,
)
from tests.models import Red, WithEmbeddings


class Colours(nn.Module):
    """Three filters, each of one colour; the score is red's share."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv2d(3, 3, 1, bias=False)
        self.filters.weight.data = torch.eye(3)[..., None, None] * 2 - 1

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.filters(x).mean(dim=(2, 3))[:, :1])


SCORER = Scorer(model=Colours())
FLAT = [Image.new("RGB", (300, 200), colour) for colour in ("black", "red", "lime", "blue", "darkred", "white")]


@pytest.mark.parametrize("colour", [0, 1, 2])
def test_the_picture_of_a_filter_excites_it(colour: int) -> None:
    picture = visualize_feature("filters", colour, steps=150, size=128, scorer=SCORER)
    assert picture.size == (128, 128)
    mean = np.asarray(picture).mean(axis=(0, 1))
    assert mean.argmax() == colour
    assert mean[colour] > 1.5 * np.delete(mean, colour).max()


@pytest.mark.weights
@pytest.mark.parametrize("layer", ["conv1", "embedding"])
def test_a_picture_of_resmems_filter_excites_it_more_than_photographs(layer: str) -> None:
    known = activations([str(path) for path in photographs()[:4]], layer)
    number = int(known.max().argmax())
    picture = visualize_feature(layer, number, steps=12, size=128)
    assert activations([picture], layer)[number].item() > known[number].max()


def test_a_seed_gives_one_picture() -> None:
    first, again, other = (
        np.asarray(visualize_feature("filters", 0, steps=2, size=128, seed=seed, scorer=SCORER)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_most_memorable_image_is_what_the_network_looks_for() -> None:
    picture = memorable_image(steps=150, scorer=SCORER)
    red, green, blue = np.asarray(picture).mean(axis=(0, 1))
    assert red > 1.5 * max(green, blue)


@pytest.mark.weights
def test_a_small_change_keeps_its_bound_and_raises_the_score() -> None:
    image = photographs()[0]
    found = small_change(image, bound=3, steps=4)
    assert found.after > found.before + 0.05
    assert 0 < np.abs(found.edit).max() <= 3
    scores = Scorer().score([image])
    assert scores[0].memorability == pytest.approx(found.before, abs=1e-5)
    assert found.image.size == (227, 227)


def test_an_image_that_cannot_be_raised_stays_as_it_is() -> None:
    found = small_change(np.zeros((227, 227, 3), np.uint8), scorer=Scorer(model=Constant()))
    assert found.before == found.after == 0.5
    assert not found.edit.any()


class Constant(Red):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 0 + 0.5


def test_top_images_are_those_that_excite_the_filter_most() -> None:
    images = [*FLAT, b"no image"]
    found = top_images("filters", 0, iter(images), n=2, scorer=SCORER)
    assert found["position"].tolist() == [1, 4]
    assert found["image"].tolist() == [FLAT[1], FLAT[4]]
    assert found["activation"].tolist() == sorted(found["activation"], reverse=True)
    everything = top_images("filters", 2, images, n=100, scorer=SCORER)
    assert len(everything) == 6
    assert everything["position"][0] == 3
    assert top_images("filters", 0, [], scorer=SCORER).empty


def test_a_contact_sheet_shows_pictures_in_rows() -> None:
    sheet = contact_sheet(FLAT[:5])
    assert sheet.size == (3 * 231 + 4, 2 * 231 + 4)
    assert [sheet.getpixel((120 + 231 * (number % 3), 120 + 231 * (number // 3))) for number in range(5)] == [
        FLAT[number].getpixel((0, 0)) for number in range(5)
    ]
    assert contact_sheet([FLAT[0].convert("L")], columns=4).size == (4 * 231 + 4, 235)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: visualize_feature("filters", 3, scorer=SCORER), "filter must be a whole number from 0 to 2, not 3"),
        (lambda: visualize_feature("filters", True, scorer=SCORER), "not True"),
        (lambda: visualize_feature("filters", 0, size=64, scorer=SCORER), "size must be .* from 128 to 1024"),
        (lambda: visualize_feature("filters", 0, steps=0, scorer=SCORER), "steps must be"),
        (lambda: visualize_feature("none", 0, scorer=SCORER), "no layer 'none'"),
        (lambda: visualize_feature("embedding", 0, scorer=SCORER), "has no embedding"),
        (lambda: visualize_feature("embedding", 5, scorer=Scorer(model=WithEmbeddings())), "from 0 to 2"),
        (lambda: memorable_image(steps=1.5, scorer=SCORER), "steps must be"),  # type: ignore[arg-type]
        (lambda: small_change(FLAT[0], bound=0, scorer=SCORER), "bound must be"),
        (lambda: top_images("filters", -1, FLAT, scorer=SCORER), "filter must be"),
        (lambda: top_images("filters", 0, FLAT, n=0, scorer=SCORER), "n must be"),
        (lambda: contact_sheet([]), "there are no pictures"),
        (lambda: contact_sheet(FLAT, columns=0), "columns must be"),
    ],
)
def test_wrong_options_are_refused(call: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        call()


def test_a_small_change_of_no_image() -> None:
    with pytest.raises(ImageError, match="no such file"):
        small_change("none.jpg", scorer=SCORER)
