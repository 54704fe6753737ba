"""`python -m benchmarks.explanations faithful|times|activations`: how good and how quick explanations are.

`faithful`: deletion and insertion curves. The parts of an image (14 by 14 cells) are hidden behind the baseline in the
order of a map, the largest values first, or shown in that order on the baseline alone; the mean of the score along the
way is low and high, if the map is right. Each method against a random order and one from the centre outwards, over
parts of photographs, with bootstrap intervals. `times`: seconds per image of each method, and occlusion beside
Captum's on upstream's network, with the same windows. `activations`: images per second of `activations` of a layer in
the middle and of the last one, and of scoring, in turn.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from examples.demo import photographs
from resmem_plugin import Scorer
from resmem_plugin.core.images.preprocess import INPUT_SIZE, pixels
from resmem_plugin.explain import activations, explain
from resmem_plugin.explain.baselines import baseline_of
from resmem_plugin.explain.occlusion import PLACES, WINDOW
from resmem_plugin.explain.saliency import METHODS

_CELLS = 14  # rows and columns of what is hidden at once
_STEPS = 5  # of a curve

Images = npt.NDArray[np.uint8]


def parts(count: int) -> list[Image.Image]:
    """Parts of the installed photographs, each of another place and size."""
    random = np.random.default_rng(0)
    opened = [Image.open(path).convert("RGB") for path in photographs()]
    found = []
    for number in range(count):
        photo = opened[number % len(opened)]
        size = int(min(photo.size) * random.uniform(0.6, 1))
        left, top = (int(random.integers(each - size + 1)) for each in photo.size)
        found.append(photo.crop((left, top, left + size, top + size)))
    return found


def curves(shown: Images, hidden: Images, order: npt.NDArray[np.intp], scorer: Scorer) -> tuple[float, float]:
    """The mean score while cells are hidden in this order, and while they are shown in it."""
    edges = np.linspace(0, INPUT_SIZE, _CELLS + 1).round().astype(int)
    cells = [
        np.s_[edges[row] : edges[row + 1], edges[column] : edges[column + 1]]
        for row, column in np.ndindex(_CELLS, _CELLS)
    ]
    deleted, inserted = shown.copy(), hidden.copy()
    stages = []
    for chunk in np.array_split(order, _STEPS):
        for cell in chunk:
            deleted[cells[cell]], inserted[cells[cell]] = hidden[cells[cell]], shown[cells[cell]]
        stages += [deleted.copy(), inserted.copy()]
    scores = np.concatenate([scorer.engine.forward(np.stack(stages[at : at + 8])) for at in range(0, len(stages), 8)])
    return float(scores[::2].mean()), float(scores[1::2].mean())


def order_of(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.intp]:
    """The cells, those of the largest sums first."""
    edges = np.linspace(0, INPUT_SIZE, _CELLS + 1).round().astype(int)
    sums = np.add.reduceat(np.add.reduceat(values, edges[:-1], axis=0), edges[:-1], axis=1)
    return np.argsort(-sums, axis=None, kind="stable")


def faithful(count: int, baseline: str, steps: int) -> None:
    """Print the means of both curves, less those of a random order, with 95 % intervals."""
    scorer = Scorer(device="cpu")
    random = np.random.default_rng(0)
    distance = np.hypot(*(np.indices((INPUT_SIZE, INPUT_SIZE)) - INPUT_SIZE / 2))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ("random", "centre", *METHODS)}
    errors = []
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C prints what there is
        for done, image in enumerate(parts(count), start=1):
            print(f"{done} of {count}", file=sys.stderr, flush=True)
            shown = pixels(image)
            hidden = np.asarray(baseline_of(shown, baseline))
            orders = {"random": random.permutation(_CELLS**2), "centre": order_of(-distance)}
            for method in METHODS:
                passes = steps if method == "integrated_gradients" else None
                explanation = explain(image, method, baseline=baseline, passes=passes, scorer=scorer)
                orders[method] = order_of(explanation.values)
                if method == "integrated_gradients":
                    errors.append(explanation.completeness_error)
            for name, order in orders.items():
                found[name].append(curves(shown, hidden, order, scorer))
    complete = min(map(len, found.values()))
    print(f"{complete} images, baseline {baseline}\n")
    print("| order | deletion | less random | insertion | less random |\n|---|---|---|---|---|")
    base = np.array(found["random"][:complete])
    for name, curve in found.items():
        values = np.array(curve[:complete])
        differences = values - base
        shown_differences = [_interval(differences[:, column], random) for column in range(2)]
        deletion, insertion = values.mean(axis=0)
        print(f"| {name} | {deletion:.4f} | {shown_differences[0]} | {insertion:.4f} | {shown_differences[1]} |")
    print(
        f"\nintegrated gradients miss the difference of the scores by {np.mean(errors):.4f}, at most {max(errors):.4f}"
    )


def _interval(values: npt.NDArray[np.floating[Any]], random: np.random.Generator) -> str:
    means = random.choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():+.4f} ({low:+.4f} to {high:+.4f})"


def times(count: int) -> None:
    """Print seconds per image of each method, and of Captum's occlusion on upstream's network."""
    from captum.attr import Occlusion

    from benchmarks.variants import upstream_network

    scorer = Scorer(device="cpu")
    images = parts(count)
    network = upstream_network().eval()
    stride = int(PLACES[1] - PLACES[0])
    captum = Occlusion(lambda x: network(x)[:, 0])

    def with_captum(image: Image.Image) -> None:
        shown = pixels(image)
        x, hidden = (
            torch.tensor(each).permute(2, 0, 1)[None].float() / 255 for each in (shown, baseline_of(shown, "blurred"))
        )
        with torch.inference_mode():
            captum.attribute(
                x,
                sliding_window_shapes=(3, WINDOW, WINDOW),
                strides=(3, stride, stride),
                baselines=hidden,
                perturbations_per_eval=8,
            )

    variants: dict[str, Callable[[Image.Image], object]] = {
        "Captum's occlusion, upstream's network, 169 windows or more": with_captum,
        "occlusion, 169 windows": lambda image: explain(image, passes=169, scorer=scorer),
    }
    variants |= {method: partial(explain, method=method, scorer=scorer) for method in METHODS}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for image in images:
        for name, run in variants.items():
            start_s = time.perf_counter()
            run(image)
            seconds[name].append(time.perf_counter() - start_s)
    first = next(iter(seconds.values()))
    print("| | seconds per image | Captum's time over it | (min-max) |\n|---|---|---|---|")
    for name, values in seconds.items():
        ratios = [theirs / own for theirs, own in zip(first, values, strict=True)]
        print(
            f"| {name} | {statistics.median(values):.1f} | {statistics.median(ratios):.1f} | "
            f"{min(ratios):.1f}-{max(ratios):.1f} |"
        )


def answers(count: int, rounds: int) -> None:
    """Print images per second of activations, as shares of scoring's."""
    scorer = Scorer(device="cpu")
    images = [np.asarray(image.resize((640, 480))) for image in parts(count)]
    variants: dict[str, Callable[[], object]] = {
        "scoring": lambda: scorer.score(images, progress=False),
        "activations, 6-15-0": lambda: activations(images, "6-15-0", progress=False, scorer=scorer),
        "activations, 154 (the ResNet's last)": lambda: activations(images, 154, progress=False, scorer=scorer),
        "activations, conv5": lambda: activations(images, "conv5", progress=False, scorer=scorer),
    }
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for run in variants.values():
        run()
    for _ in range(rounds):
        for name, run in variants.items():
            start_s = time.perf_counter()
            run()
            rates[name].append(count / (time.perf_counter() - start_s))
    print("| | images/s | of scoring | (min-max) |\n|---|---|---|---|")
    for name, values in rates.items():
        shares = [own / whole for own, whole in zip(values, rates["scoring"], strict=True)]
        print(
            f"| {name} | {statistics.median(values):.1f} | {statistics.median(shares):.2f} | "
            f"{min(shares):.2f}-{max(shares):.2f} |"
        )


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["faithful", "times", "activations"])
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--baseline", default="blurred")
    parser.add_argument("--steps", type=int, default=64, help="of integrated gradients, for faithful")
    options = parser.parse_args()
    if options.what == "faithful":
        faithful(options.images, options.baseline, options.steps)
    elif options.what == "times":
        times(options.images)
    else:
        answers(options.images, options.rounds)


if __name__ == "__main__":
    main()
