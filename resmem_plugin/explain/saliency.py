"""`explain`: which parts of an image raise its score, and which lower it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from resmem_plugin.core.errors import OptionError, ScoringError
from resmem_plugin.core.images.reader import describe, is_single_image, iterable_of_images, listed_images
from resmem_plugin.core.scores import Score
from resmem_plugin.core.scoring.progress import ProgressOption, reporting
from resmem_plugin.core.scoring.reading import network_inputs
from resmem_plugin.core.scoring.scorer import Errors, Scorer
from resmem_plugin.explain.baselines import BASELINES, baseline_of
from resmem_plugin.explain.explanation import Explanation, Map, failed
from resmem_plugin.explain.occlusion import ALL_WINDOWS, COARSE_WINDOWS, occlusion

METHODS = {
    "occlusion": 80,
    "integrated_gradients": 64,
    "gradient_x_input": 1,
    "smoothgrad": 16,
    "layer_cam": 1,
}
"""Each with how many passes through the network it makes for an image, unless told otherwise."""

_PASSES = {"occlusion": (COARSE_WINDOWS, ALL_WINDOWS), "integrated_gradients": (9, 500), "smoothgrad": (1, 500)}

_Maker: TypeAlias = "Callable[[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], tuple[float, float, Map]]"


@overload
def explain(  # type: ignore[overload-overlap] # a path is an iterable too
    images: str | os.PathLike[str] | bytes | Image.Image | npt.NDArray[np.uint8],
    method: str = "occlusion",
    *,
    baseline: str = "blurred",
    passes: int | None = None,
    seed: int = 0,
    errors: Errors = "raise",
    progress: ProgressOption = None,
    scorer: Scorer | None = None,
) -> Explanation: ...
@overload
def explain(
    images: Iterable[object],
    method: str = "occlusion",
    *,
    baseline: str = "blurred",
    passes: int | None = None,
    seed: int = 0,
    errors: Errors = "raise",
    progress: ProgressOption = None,
    scorer: Scorer | None = None,
) -> list[Explanation]: ...
def explain(
    images: Any,
    method: str = "occlusion",
    *,
    baseline: str = "blurred",
    passes: int | None = None,
    seed: int = 0,
    errors: Errors = "raise",
    progress: ProgressOption = None,
    scorer: Scorer | None = None,
) -> Explanation | list[Explanation]:
    """Explain the scores of images: by a signed map on each, in units of the score.

    Args:
        images: one image or an iterable of them, as for `Scorer`: paths, URLs, encoded bytes, PIL images or uint8
            arrays.
        method: "occlusion", the reference: by how much the score falls when a window is hidden, computed by the
            scorer's own engine. "integrated_gradients" (Sundararajan et al. 2017): parts of the pixels that add up to
            `score - baseline_score`. "gradient_x_input": the same in one step, and rough. "smoothgrad" (Smilkov et al.
            2017): that, with gradients that are means over noisy copies. "layer_cam" (Jiang et al. 2021), signed: the
            ResNet branch alone, at 8 by 8 cells. The last three need Captum, the extra `explain`.
        baseline: what stands for nothing: "blurred" (the image itself, without shapes), "mean" (its mean colour), or
            "blank" (middle gray, which the network finds memorable).
        passes: through the network for each image: windows of occlusion (49 to 169), steps of integrated gradients (9
            to 500), copies of SmoothGrad (1 to 500). None: 80, 64 and 16.
        seed: of SmoothGrad's noise.
        errors: "raise" stops at the first image that cannot be read, and checks before that local files exist; "coerce"
            gives such an image an explanation without a map, with the reason.
        progress: a bar (True), none (False), one on a terminal (None), or a function called with a `Progress`.
        scorer: whose network is explained; None: `Scorer()`. Gradients are computed in fp32.

    Returns:
        One `Explanation` for one image, a list of them in the order given for several.

    Raises:
        OptionError: for an option that does not exist.
        MissingPackageError: if Captum is needed and not installed.
        ScoringError: with `errors="raise"`, for an image that cannot be read; its `scores` are those before it.

    Examples:
        >>> from resmem_plugin.explain import explain
        >>> explanation = explain("chelsea.png")
        >>> round(explanation.score, 2), explanation.values.shape
        (0.84, (227, 227))
        >>> bool(explanation.limit > 0.01)
        True
    """
    scorer = Scorer() if scorer is None else scorer
    one = is_single_image(images)
    listed = listed_images([images] if one else images, errors, base64=scorer.options.base64)
    found: list[Explanation] = []
    made = iter_explanations(listed, method, baseline=baseline, passes=passes, seed=seed, scorer=scorer)
    with reporting(progress, len(listed)) as report, contextlib.closing(made):
        for explanation in made:
            if errors == "raise" and not explanation.ok:
                message = f"{describe(listed[explanation.index])}: {explanation.error}"
                raise ScoringError(message, [Score(each.index, each.score) for each in found])
            found.append(explanation)
            report(not explanation.ok)
    return found[0] if one else found


def iter_explanations(
    images: Iterable[object],
    method: str = "occlusion",
    *,
    baseline: str = "blurred",
    passes: int | None = None,
    seed: int = 0,
    scorer: Scorer | None = None,
) -> Generator[Explanation, None, None]:
    """Explain images lazily, in order and in bounded memory; an image that cannot be read has the reason.

    The arguments are those of `explain`.

    Examples:
        >>> from resmem_plugin.explain import iter_explanations
        >>> [explanation.ok for explanation in iter_explanations(iter(["coffee.png", "none.jpg"]))]
        [True, False]
    """
    passes = check_options(method, baseline, passes)
    return _explanations(
        iterable_of_images(images), method, baseline, passes, seed, Scorer() if scorer is None else scorer
    )


def check_options(method: str, baseline: str, passes: int | None) -> int:
    """Check them, and return the number of passes.

    Raises:
        OptionError: for one that does not exist, or a number that does not fit the method.
    """
    if not isinstance(method, str) or method not in METHODS:
        raise OptionError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if baseline not in BASELINES:
        raise OptionError(f"baseline must be one of {', '.join(BASELINES)}, not {baseline!r}")
    default = METHODS[method]
    if passes is None:
        return default
    if method not in _PASSES:
        raise OptionError(f"{method} makes one pass: leave passes out")
    low, high = _PASSES[method]
    if isinstance(passes, bool) or not isinstance(passes, (int, np.integer)) or not low <= passes <= high:
        raise OptionError(f"passes of {method} must be a whole number from {low} to {high}, not {passes!r}")
    return int(passes)


def _explanations(
    images: Iterable[object], method: str, baseline: str, passes: int, seed: int, scorer: Scorer
) -> Generator[Explanation, None, None]:
    maker = _maker(method, passes, seed, scorer)
    kept = "" if method == "layer_cam" else baseline
    for index, read in enumerate(network_inputs(images, scorer)):
        if read.pixels is None:
            yield failed(index, method, str(read.error))
            continue
        score, baseline_score, values = maker(read.pixels, baseline_of(read.pixels, baseline))
        if not kept:
            baseline_score = float("nan")
        yield Explanation(
            index, method, kept, score, baseline_score, values, read.size, passes, seed, scorer.provenance
        )


def _maker(method: str, passes: int, seed: int, scorer: Scorer) -> _Maker:
    if method == "occlusion":
        size = scorer.batch_size or scorer.engine.batch_size

        def forward(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            chunks = (images[start : start + size] for start in range(0, len(images), size))
            return np.concatenate([scorer.engine.forward(chunk) for chunk in chunks])

        return lambda pixels, hidden: occlusion(pixels, hidden, forward, passes)
    from resmem_plugin.explain.gradients import gradient_map
    from resmem_plugin.explain.network import device_of, network_of

    return partial(gradient_map, network_of(scorer), method, passes=passes, seed=seed, device=device_of(scorer))
