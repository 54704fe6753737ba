"""Maps of what raises and lowers a score: by every method, against brute force and against a network that is known."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.interpolate import RegularGridInterpolator
from torch import Tensor, nn

from examples.demo import photographs
from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError, ScoringError
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.explain import explain, iter_explanations
from resmem_plugin.explain.baselines import BASELINES, baseline_of
from resmem_plugin.explain.gradients import integrated_gradients
from resmem_plugin.explain.saliency import METHODS
from tests import upstream
from tests.models import Quadrant, Red

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(128, 256, (256, 256, 3), np.uint8)
CHELSEA = str(next(path for path in photographs() if "chelsea" in str(path)))


@pytest.mark.parametrize("method", METHODS)
def test_the_map_of_a_network_that_looks_at_one_quarter_lies_there(method: str) -> None:
    explanation = explain(NOISE, method, baseline="blank", scorer=Scorer(model=Quadrant()))
    strength = np.abs(explanation.values)
    assert strength[100:, 100:].sum() > 0.8 * strength.sum() > 0
    assert explanation.values.sum() > 0  # there is more red than in gray


@pytest.mark.parametrize("method", METHODS)
def test_the_map_of_a_network_that_looks_at_nothing_is_empty(method: str) -> None:
    class Blind(Quadrant):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * 0 + 0.5

    explanation = explain(NOISE, method, scorer=Scorer(model=Blind()))
    assert explanation.score == 0.5
    assert not explanation.values.any()


@pytest.mark.weights
@upstream.quiet
def test_occlusion_equals_a_loop_over_upstreams_network() -> None:
    shown = pixels(Image.open(CHELSEA))
    hidden = baseline_of(shown, "blurred")
    places = np.linspace(0, 227 - 57, 13).round().astype(int)[::2]

    def score(image: Any) -> float:
        with torch.inference_mode():
            return float(upstream.model()(torch.tensor(image).permute(2, 0, 1)[None].float() / 255))

    whole = score(shown)
    drops = np.empty((7, 7))
    for row, column in np.ndindex(7, 7):
        covered = shown.copy()
        window = np.s_[places[row] : places[row] + 57, places[column] : places[column] + 57]
        covered[window] = hidden[window]
        drops[row, column] = whole - score(covered)
    between = RegularGridInterpolator((np.arange(0, 13, 2),) * 2, drops)
    total, count = np.zeros((227, 227)), np.zeros((227, 227))
    for row, column in np.ndindex(13, 13):
        top, left = np.linspace(0, 227 - 57, 13).round().astype(int)[[row, column]]
        total[top : top + 57, left : left + 57] += between((row, column))
        count[top : top + 57, left : left + 57] += 1
    explanation = explain(CHELSEA, passes=49)
    assert explanation.score == pytest.approx(whole, abs=1e-5)
    assert explanation.baseline_score == pytest.approx(score(hidden), abs=1e-5)
    assert explanation.limit > 0.01
    np.testing.assert_allclose(explanation.values, total / count, rtol=0, atol=1e-5)


def test_all_windows_equal_brute_force() -> None:
    explanation = explain(NOISE, passes=169, baseline="mean", scorer=Scorer(model=Red()))
    shown = pixels(Image.fromarray(NOISE))
    hidden = baseline_of(shown, "mean")
    places = np.linspace(0, 227 - 57, 13).round().astype(int)
    total, count = np.zeros((227, 227)), np.zeros((227, 227))
    for top, left in itertools.product(places, places):
        window = np.s_[top : top + 57, left : left + 57]
        covered = shown.copy()
        covered[window] = hidden[window]
        total[window] += shown[..., 0].mean() / 255 - covered[..., 0].mean() / 255
        count[window] += 1
    np.testing.assert_allclose(explanation.values, total / count, rtol=0, atol=1e-6)


def test_windows_are_spent_where_most_is_expected() -> None:
    red = np.zeros((256, 256, 3), np.uint8)
    red[40:60, 180:200] = 255
    few, all_of_them = (
        explain(red, passes=passes, baseline="mean", scorer=Scorer(model=Red())) for passes in (70, 169)
    )
    there = np.s_[26:46, 166:186]
    np.testing.assert_allclose(few.values[there], all_of_them.values[there], atol=2e-4)


@pytest.mark.weights
def test_integrated_gradients_add_up_to_the_difference_of_the_scores() -> None:
    for explanation in iter_explanations(map(str, photographs()[:1]), "integrated_gradients"):
        assert explanation.completeness_error < 0.01
        assert explanation.values.min() < 0 < explanation.values.max()


def test_integrated_gradients_are_captums_where_the_score_is_smooth() -> None:
    attr = pytest.importorskip("captum.attr")
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 1))

    def score(x: Tensor) -> Tensor:
        return network(x)[:, 0]  # type: ignore[no-any-return]

    x, without = torch.rand(2, 1, 3, 2, 2)
    found = integrated_gradients(score, x, without, 100)
    expected = attr.IntegratedGradients(score).attribute(x, baselines=without, n_steps=100)
    torch.testing.assert_close(found, expected.float(), rtol=0, atol=1e-5)
    assert float(found.sum()) == pytest.approx(float((score(x) - score(without)).detach()), abs=1e-5)


def test_a_linear_networks_gradients_all_agree() -> None:
    scorer = Scorer(model=Red())
    exact = explain(NOISE, "integrated_gradients", baseline="mean", scorer=scorer)
    for method in ("gradient_x_input", "smoothgrad"):
        found = explain(NOISE, method, baseline="mean", scorer=scorer)
        np.testing.assert_allclose(found.values, exact.values, atol=1e-7)
    assert exact.completeness_error < 1e-5


def test_smoothgrad_is_reproducible_and_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, again, other = (
        explain(NOISE, "smoothgrad", passes=2, seed=seed, scorer=Scorer(model=Squared())).values for seed in (0, 0, 1)
    )
    assert torch.equal(torch.rand(1), expected)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


class Squared(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x**2).mean(dim=(1, 2, 3)).unsqueeze(1)


def test_a_function_can_be_occluded_but_has_no_gradients() -> None:
    scorer = Scorer(model=lambda x: x.mean(dim=(1, 2, 3)))
    assert explain(NOISE, passes=49, baseline="mean", scorer=scorer).ok
    with pytest.raises(OptionError, match="method='occlusion' explains any function"):
        explain(NOISE, "smoothgrad", scorer=scorer)


def test_layer_cam_needs_the_resnet() -> None:
    with pytest.raises(OptionError, match="ResNet branch, which this network does not have"):
        explain(NOISE, "layer_cam", scorer=Scorer(model=Red()))


def test_the_callers_network_stays_as_it_was() -> None:
    network = Quadrant().train()
    explain(NOISE, "layer_cam", scorer=Scorer(model=network))
    assert network.training
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


def test_images_that_cannot_be_read_have_their_reason() -> None:
    images = [NOISE, "none.jpg", b"no image"]
    first, *failed = iter_explanations(images, passes=49, scorer=Scorer(model=Red()))
    assert first.ok
    assert ["no such file" in str(failed[0].error), "not an image" in str(failed[1].error)] == [True, True]
    assert all(np.isnan(each.score) and np.isnan(each.values).all() and each.limit == 0 for each in failed)
    coerced = explain(images, errors="coerce", passes=49, scorer=Scorer(model=Red()))
    assert [each.ok for each in coerced] == [True, False, False]
    with pytest.raises(ScoringError, match="1 of 3 files do not exist"):
        explain(images, scorer=Scorer(model=Red()))
    with pytest.raises(ScoringError, match="8 bytes") as raised:
        explain([NOISE, b"no image"], passes=49, scorer=Scorer(model=Red()))
    assert [score.memorability for score in raised.value.scores] == [first.score]


def test_images_are_taken_one_after_the_other() -> None:
    taken = 0

    def images() -> Any:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield NOISE

    made = iter_explanations(images(), passes=49, scorer=Scorer(model=Red(), num_workers=2))
    next(made)
    assert taken < 100
    made.close()


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_baseline_is_an_image_without_content(baseline: str) -> None:
    found = baseline_of(pixels(Image.fromarray(NOISE)), baseline)
    assert found.shape == (227, 227, 3)
    assert found.dtype == np.uint8
    assert found.std(axis=(0, 1)).max() < 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "guess"}, "method must be one of occlusion, .*, not 'guess'"),
        ({"method": ["occlusion"]}, "method must be one of"),
        ({"baseline": "black"}, "baseline must be one of blurred, mean, blank, not 'black'"),
        ({"passes": 48}, "a whole number from 49 to 169, not 48"),
        ({"passes": 60.5}, "not 60.5"),
        ({"passes": True}, "not True"),
        ({"method": "layer_cam", "passes": 2}, "layer_cam makes one pass: leave passes out"),
        ({"method": "integrated_gradients", "passes": 8}, "from 9 to 500"),
        ({"errors": "ignore"}, "errors must be 'raise' or 'coerce'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        explain([NOISE], scorer=Scorer(model=Red()), **options)


def test_no_images_have_no_explanations(tmp_path: Path) -> None:
    assert explain([], scorer=Scorer(model=Red())) == []
