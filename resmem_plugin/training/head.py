"""`fit_head`: ResMem adapted to one's own ratings by its last layer, in seconds, from 50 to some thousand images."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.network.weights import find_weights, licence_of
from resmem_plugin.core.scoring.options import ScorerOptions
from resmem_plugin.core.scoring.reading import network_outputs
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.training.evaluation import Evaluation, evaluate
from resmem_plugin.training.rated import check_rated, require_enough
from resmem_plugin.training.weights_file import Parent, check_output, figures_table, save_card, save_weights

if TYPE_CHECKING:
    from torch import Tensor

    from resmem_plugin.training.metrics import Values

_WEIGHT, _BIAS = "fc12.weight", "fc12.bias"
_PENALTIES = (*np.logspace(-5, 2, 15), np.inf)
"""Of the ridge regression, as shares of the largest squared singular value; infinite: only the bias is fitted."""
_FOLDS = 5
_CROSS_VALIDATED = (
    "Cross-validated: each image was scored by a layer that was fitted without it. Images that are much alike, such as "
    "several of one scene, make these figures too good."
)
_EXTREME = 0.01  # measured values beyond .01 and .99 are taken for these: their logits are infinite


@dataclass(frozen=True)
class FittedHead:
    """Weights with a last layer of one's own.

    Attributes:
        weights: the file with its hash, as `Scorer(weights=...)` and `resmem score --weights` take it.
        evaluation: cross-validated: each image is scored by a layer that was fitted without it.
        before: the same images, scored by the network as it was.
        penalty: of the ridge regression, as it was chosen by cross-validation.
    """

    weights: str
    evaluation: Evaluation
    before: Evaluation
    penalty: float

    def __str__(self) -> str:
        return f"before\n{self.before}\n\ncross-validated\n{self.evaluation}\n\nweights: {self.weights}"


def fit_head(
    frame: pd.DataFrame,
    target: Hashable,
    output: str | os.PathLike[str],
    *,
    images: Hashable = "path",
    options: ScorerOptions | None = None,
    resamples: int = 1000,
    seed: int = 0,
    overwrite: bool = False,
) -> FittedHead:
    """Fit the network's last layer to measured memorability, by ridge regression towards the weights that it has.

    The rest of the network stays, so that its 256 activations are computed once for each image. The regression is in
    logits; its penalty is chosen by cross-validation, and may be so large that only the bias changes.

    Args:
        frame: one row for each image.
        target: its column of what was measured, 0 to 1. Rows without a value, or whose image cannot be read, are left
            out.
        output: the .safetensors file to write; a model card is written beside it, as .md.
        images: its column of images.
        options: how to compute the activations, in fp32; `weights` are those to start from.
        resamples: of the evaluations' bootstrap.
        seed: of the folds and the bootstrap.
        overwrite: replace existing files.

    Raises:
        OptionError: for a column that is missing or holds other values, fewer than 20 images, an output that exists or
            does not end in .safetensors, or another precision than fp32.
        WeightsError: if the weights to start from cannot be loaded.
        MissingPackageError: if SciPy is not installed.

    Examples:
        >>> import numpy as np
        >>> import pandas as pd
        >>> from PIL import Image
        >>> from resmem_plugin.training import fit_head
        >>> photo = Image.open("coffee.png")
        >>> parts = [np.asarray(photo.crop((x, 0, x + 300, 300))) for x in range(0, 240, 8)]
        >>> frame = pd.DataFrame({"image": parts, "hit_rate": np.linspace(0.5, 0.9, len(parts))})
        >>> fitted = fit_head(frame, "hit_rate", "mine.safetensors", images="image")
        >>> fitted.evaluation.mse.value < fitted.before.mse.value
        True
        >>> fitted.weights[:24]
        'mine.safetensors#sha256='
    """

    from resmem_plugin.core.network.pretrained import load_weights

    options = options or ScorerOptions()
    if options.precision not in ("auto", "fp32"):
        raise OptionError(f"a layer is fitted in fp32, not in {options.precision}: leave precision out")
    rated = check_rated(frame, target, images)
    check_output(output, overwrite=overwrite)
    options = replace(options, precision="fp32")
    weights = find_weights(options.weights)
    parent = Parent(weights.sha256, licence_of(weights))
    state = dict(load_weights(weights))
    known = last_layer(state)
    activations = embed(Scorer.of(options), rated.images)
    used = np.isfinite(rated.measured) & np.isfinite(activations).all(axis=1)
    require_enough(int(used.sum()), len(frame), target)
    x, y = activations[used].astype(np.float64), rated.measured[used]
    columns = {"before": _scores(x, known), "after": cross_validated(x, y, known, seed=seed), "measured": y}
    predicted = pd.DataFrame({"path": frame[images].to_numpy(object)[used], **columns})
    predicted.attrs = {**frame.attrs, "resmem": {"weights": parent.name}}
    layer, penalty = fit_layer(x, y, known, seed=seed)
    before, after = (
        evaluate(predicted, name, "measured", resamples=resamples, seed=seed) for name in ("before", "after")
    )

    state |= as_state(layer, state)
    fitted = FittedHead(save_weights(state, output, parent), after, before, penalty)
    save_card(
        fitted.weights,
        parent,
        f"ResMem with its last layer fitted to {target!r} by ridge regression (penalty {penalty:g}). The rest is its "
        "parent's.",
        {"data": f"{after.count:,} images; {len(frame) - after.count:,} left out, without a value or not readable"},
        f"{figures_table('cross-validated', after, before)}\n\n{_CROSS_VALIDATED}",
        before.caution,
    )
    return fitted


def embed(scorer: Scorer, images: Sequence[object]) -> npt.NDArray[np.float32]:
    """The activations (N, 256) of the last hidden layer; NaN for an image that cannot be read."""
    found = [row for _, row in network_outputs(images, scorer, scorer.engine.embed)]
    size = next((len(row) for row in found if row is not None), 0)
    return np.array([np.full(size, np.nan) if row is None else row for row in found], np.float32).reshape(-1, size)


def last_layer(state: Mapping[str, Tensor]) -> Values:
    """The last layer (D + 1,) in a network's state dict, its bias last."""
    return np.append(state[_WEIGHT].double().cpu().numpy()[0], state[_BIAS].double().cpu().numpy())


def as_state(layer: Values, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """This layer's entries in a state dict like this one."""
    return {_WEIGHT: like[_WEIGHT].new_tensor(layer[None, :-1]), _BIAS: like[_BIAS].new_tensor(layer[-1:])}


def cross_validated(x: Values, y: Values, known: Values, *, seed: int = 0) -> Values:
    """The score (N,) of each image by a layer that was fitted without it, whose penalty was chosen without it too.

    Args:
        x: (N, D) activations.
        y: (N,) measured values, 0 to 1.
        known: (D + 1,) the layer to stay near to, its bias last.
        seed: of the folds.
    """
    scores = np.empty(len(y))
    for others, fold in _folds(len(y), seed):
        scores[fold] = _scores(x[fold], fit_layer(x[others], y[others], known, seed=seed)[0])
    return scores


def fit_layer(x: Values, y: Values, known: Values, *, seed: int = 0) -> tuple[Values, float]:
    """The layer (D + 1,) that fits best with the penalty that cross-validation chooses, and this penalty."""
    errors = np.zeros(len(_PENALTIES))
    for others, fold in _folds(len(y), seed):
        for number, layer in enumerate(_ridge(x[others], y[others], known)):
            errors[number] += ((_scores(x[fold], layer) - y[fold]) ** 2).sum()
    best = int(errors.argmin())
    return _ridge(x, y, known)[best], float(_PENALTIES[best])


def _ridge(x: Values, y: Values, known: Values) -> list[Values]:
    """The layer for each of the penalties; what is penalised is the difference from the known one."""
    clipped = np.clip(y, _EXTREME, 1 - _EXTREME)
    missing = np.log(clipped / (1 - clipped)) - x @ known[:-1]
    left, sizes, right = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    projected = left.T @ (missing - missing.mean())
    largest = max(float(sizes[0]) ** 2, np.finfo(np.float64).tiny)
    layers = []
    for penalty in _PENALTIES:
        weight = known[:-1] + right.T @ (sizes / (sizes**2 + penalty * largest) * projected)
        bias = missing.mean() - x.mean(axis=0) @ (weight - known[:-1])
        layers.append(np.append(weight, bias))
    return layers


def _folds(count: int, seed: int) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    order = np.random.default_rng(seed).permutation(count)
    for fold in np.array_split(order, _FOLDS):
        yield np.setdiff1d(order, fold), fold


def _scores(x: Values, layer: Values) -> Values:
    return np.asarray(1 / (1 + np.exp(-(x @ layer[:-1] + layer[-1]))))
