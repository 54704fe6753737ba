"""`fine_tune`: ResMem trained on one's own ratings."""

from __future__ import annotations

import os
from collections.abc import Hashable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from resmem_plugin.core.scoring.options import ScorerOptions, reader_of
from resmem_plugin.training.evaluation import Evaluation, evaluate
from resmem_plugin.training.options import TrainingOptions
from resmem_plugin.training.rated import check_rated
from resmem_plugin.training.run import Trained, TrainingRun, is_unfinished
from resmem_plugin.training.weights_file import beside, check_output, figures_table, save_card, save_weights

CHOSEN_ON_THESE = (
    "The figures are of the validation images, on which the epoch was chosen: they are a little too good. Name some "
    "images as split 'test' to have figures of images that played no part."
)


@dataclass(frozen=True)
class FineTuned:
    """Trained weights.

    Attributes:
        weights: the file with its hash, as `Scorer(weights=...)` and `resmem score --weights` take it.
        evaluation: of the test images; of the validation images where there are none.
        before: the same images, scored by the network as it was; None if it began with no memorability.
        history: one row for each epoch: "epoch", "train_loss", "validation_spearman" and "validation_mse".
        left_out: why images cannot be read, by row.
    """

    weights: str
    evaluation: Evaluation
    before: Evaluation | None
    history: pd.DataFrame = field(repr=False)
    left_out: dict[int, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        before = "" if self.before is None else f"before\n{self.before}\n\n"
        return f"{before}after {len(self.history)} epochs\n{self.evaluation}\n\nweights: {self.weights}"


def fine_tune(
    frame: pd.DataFrame,
    target: Hashable,
    output: str | os.PathLike[str],
    *,
    images: Hashable = "path",
    split: Hashable | None = None,
    reading: ScorerOptions | None = None,
    resamples: int = 1000,
    progress: bool | None = None,
    overwrite: bool = False,
    **options: Any,
) -> FineTuned:
    """Train ResMem on measured memorability.

    A run that was killed goes on when it is called again with the same arguments, and ends with the same weights. Until
    then its images (0.2 MB each) and checkpoints are in a folder beside the output, ending in `.run`.

    Args:
        frame: one row for each image.
        target: its column of what was measured, 0 to 1. Rows without a value, or whose image cannot be read, are left
            out.
        output: the .safetensors file to write; a model card is written beside it, as .md.
        images: its column of images.
        split: its column of splits: train, validation and test; rows without one are left out. None: a share is drawn
            for validation.
        reading: how to read images: `exif_transpose`, `storage_options`, `max_pixels`, `base64` and `decode`.
        resamples: of the evaluation's bootstrap.
        progress: show progress bars; None: on a terminal.
        overwrite: replace existing files, and an unfinished run of other arguments.
        **options: how to train, as in `TrainingOptions`.

    Raises:
        OptionError: for a column that is missing or holds other values, too few images, an output that exists, an
            option that does not fit, or an unfinished run of other arguments.
        WeightsError: if the weights to start from cannot be loaded.
        MissingPackageError: if PyTorch Lightning or SciPy is not installed.

    Examples:
        >>> import numpy as np
        >>> import pandas as pd
        >>> from PIL import Image
        >>> from resmem_plugin.training import fine_tune
        >>> photo = Image.open("coffee.png")
        >>> parts = [np.asarray(photo.crop((x, 0, x + 300, 300))) for x in range(0, 240, 12)]
        >>> frame = pd.DataFrame({"image": parts, "hit_rate": np.linspace(0.5, 0.9, len(parts))})
        >>> tuned = fine_tune(frame, "hit_rate", "mine.safetensors", images="image", resnet="frozen", epochs=1)
        >>> tuned.history.columns.tolist()
        ['epoch', 'train_loss', 'validation_spearman', 'validation_mse']
        >>> tuned.weights[:24]
        'mine.safetensors#sha256='
    """
    training = TrainingOptions.of(options)
    rated = check_rated(frame, target, images, split)
    folder = beside(output, ".run")
    check_output(output, overwrite=overwrite or is_unfinished(folder))
    run = TrainingRun(folder, rated, training, reader_of(reading or ScorerOptions()), progress=progress)
    with run.opened(overwrite=overwrite):
        trained = run.train(target)
        tuned = save_trained(trained, frame, target, output, training, resamples=resamples)
        run.finish(tuned.history)
    return tuned


def save_trained(
    trained: Trained,
    frame: pd.DataFrame,
    target: Hashable,
    output: str | os.PathLike[str],
    options: TrainingOptions,
    *,
    resamples: int = 1000,
) -> FineTuned:
    """Evaluate what was trained, and write weights and model card."""
    held_out = "test" if len(trained.splits["test"]) else "validation"
    rows = trained.splits[held_out]
    evaluations: dict[str, Evaluation] = {}
    for name, scores in (("after", trained.scores[rows]), ("before", trained.before[rows])):
        if np.isfinite(scores).all():
            columns = {"path": [trained.images[row] for row in rows], name: scores, "measured": trained.measured[rows]}
            predicted = pd.DataFrame(columns)
            predicted.attrs = {**frame.attrs, "resmem": {"weights": trained.parent.name}}
            evaluations[name] = evaluate(predicted, name, "measured", resamples=resamples, seed=options.seed)
    tuned = FineTuned(
        save_weights(trained.state, output, trained.parent),
        evaluations["after"],
        evaluations.get("before"),
        pd.DataFrame(trained.history),
        trained.failures,
    )
    counts = ", ".join(f"{len(rows):,} {name}" for name, rows in trained.splits.items())
    left_out = len(frame) - sum(map(len, trained.splits.values()))
    caution = tuned.evaluation.caution
    save_card(
        tuned.weights,
        trained.parent,
        f"ResMem trained on {target!r} for {len(tuned.history)} epochs; these are the weights of the one with the best "
        "rank correlation on the validation images.",
        {
            "data": f"{counts}; {left_out:,} rows left out, without a value or split, or not readable",
            "options": ", ".join(f"{name}={value}" for name, value in asdict(options).items()),
        },
        figures_table(held_out, tuned.evaluation, tuned.before),
        "\n\n".join(filter(None, [CHOSEN_ON_THESE if held_out == "validation" else None, caution])),
    )
    return tuned
