"""A training with its folder, in which it goes on after it was killed."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import filelock
import numpy as np
import numpy.typing as npt
import pandas as pd

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import FailedImagesWarning, MissingPackageError, OptionError, warn
from resmem_plugin.core.images.reader import ImageReader, describe
from resmem_plugin.core.network.weights import find_weights, licence_of
from resmem_plugin.training.head import as_state, fit_layer, last_layer
from resmem_plugin.training.metrics import Values
from resmem_plugin.training.options import TrainingOptions
from resmem_plugin.training.rated import RatedImages, require_enough, split_rows
from resmem_plugin.training.weights_file import Parent

if TYPE_CHECKING:
    from torch import Tensor

    from resmem_plugin.core.network.resmem import ResMemNetwork

_IMAGENET = "ResNet-152 of torchvision, IMAGENET1K_V1"
UNTRAINED = ("imagenet", "random")
"""Weights to start from that know no memorability."""

_DESCRIPTION = "run.json"
_TEMPORARY = ("images.npy", "images.json", "logits-*.npy", "logits-*.json", "before.npy", "layer.npy", "last.ckpt")
_FREE = ("checkpoint_minutes", "logger")
"""Options that may change when a run goes on."""


@dataclass(frozen=True)
class Trained:
    """What a training gave.

    Attributes:
        state: the network's state dict.
        parent: what it began with.
        images: of all rows.
        measured: (N,).
        splits: rows in "train", "validation" and "test".
        scores: (N,) by the trained network, of the rows in "validation" and "test"; the others are NaN.
        before: (N,) by the network as it was, all NaN if it knew no memorability.
        history: the figures of each epoch.
        failures: why images cannot be read, by row.
    """

    state: dict[str, Tensor]
    parent: Parent
    images: Sequence[object]
    measured: Values
    splits: dict[str, npt.NDArray[np.intp]]
    scores: Values
    before: Values
    history: list[dict[str, float]]
    failures: dict[int, str]


class TrainingRun:
    """One training in a folder.

    Args:
        folder: made if it does not exist.
        rated: what to train on.
        options: how.
        reader: of the images.
        progress: show bars; None: on a terminal.
        callbacks: of Lightning, more of them.
        shared: a folder for the pixels, and a frozen ResNet's outputs, of several runs over the same images.
    """

    def __init__(
        self,
        folder: str,
        rated: RatedImages,
        options: TrainingOptions,
        reader: ImageReader,
        *,
        progress: bool | None = None,
        callbacks: Sequence[Any] = (),
        shared: str | None = None,
    ) -> None:
        self.folder, self.rated, self.options, self.reader = folder, rated, options, reader
        self.progress, self.callbacks, self.shared = progress, callbacks, shared or folder

    @contextlib.contextmanager
    def opened(self, *, overwrite: bool = False) -> Iterator[None]:
        """Begin in the folder, or go on with the same run.

        Raises:
            OptionError: if another run there is unfinished, or a process is at it.
        """
        os.makedirs(self.folder, exist_ok=True)
        lock = filelock.FileLock(os.path.join(self.folder, "run.lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise OptionError(f"another process is training in {self.folder}: wait for it, or stop it") from None
        try:
            self._describe(overwrite=overwrite)
            yield
        finally:
            lock.release()

    def _describe(self, *, overwrite: bool) -> None:
        path, wanted = os.path.join(self.folder, _DESCRIPTION), self._description()
        if is_unfinished(self.folder):
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
            if found == wanted:
                return
            if not overwrite:
                differing = ", ".join(sorted(key for key in wanted if found.get(key) != wanted[key]))
                raise OptionError(
                    f"{self.folder} holds an unfinished run, with other {differing}: go on with the same arguments, or "
                    "pass overwrite=True to begin anew"
                )
        remove_temporary(self.folder)
        with replacing(path) as unfinished:
            unfinished.write_text(json.dumps(wanted, indent=2), encoding="utf-8")

    def finish(self, history: pd.DataFrame) -> None:
        """Keep the figures of each epoch and the logs, and remove images and checkpoints."""
        with replacing(os.path.join(self.folder, "history.csv")) as unfinished:
            history.to_csv(unfinished, index=False)
        remove_temporary(self.folder)
        os.unlink(os.path.join(self.folder, _DESCRIPTION))

    def train(self, target: Hashable) -> Trained:
        """Train, or go on.

        Raises:
            OptionError: if too few images have a value in this column and can be read.
            WeightsError: if the weights to start from cannot be loaded.
            MissingPackageError: if PyTorch Lightning is not installed.
        """
        try:
            from resmem_plugin.training.loop import RatedData, accelerator, embed, fit, predict
        except ModuleNotFoundError as error:
            raise MissingPackageError(f'training needs {error.name}: pip install "resmem-plugin[train]"') from error
        from resmem_plugin.training.images import keep_logits, keep_pixels

        options, rated, progress = self.options, self.rated, self.progress
        device = accelerator(options.device)
        require_enough(int(np.isfinite(rated.measured).sum()), len(rated.images), target)
        with filelock.FileLock(os.path.join(self.shared, "images.lock")):
            pixels, failures = keep_pixels(rated.images, self.shared, self.reader, progress)
        if failures:
            row, fault = next(iter(failures.items()))
            warn(
                f"{len(failures)} of {len(pixels)} images cannot be read and are left out; the first is "
                f"{describe(rated.images[row])}: {fault}",
                FailedImagesWarning,
            )
        readable = ~np.isin(np.arange(len(pixels)), list(failures))
        require_enough(int((readable & np.isfinite(rated.measured)).sum()), len(pixels), target)
        splits = split_rows(rated, readable, validation=options.validation, seed=options.seed)
        held_out = np.concatenate([splits["validation"], splits["test"]])
        network, parent = starting_network(options)
        logits = None
        if options.resnet == "frozen":
            used = np.sort(np.concatenate([splits["train"], held_out]))
            path = self._logits_path(parent)
            with filelock.FileLock(f"{path}.lock"):
                logits = keep_logits(
                    network.features, device, pixels, used, path, mirrored=options.augment == "flip", progress=progress
                )
        before = np.full(len(pixels), np.nan)
        if options.start not in UNTRAINED:
            before[held_out] = self._kept("before", lambda: predict(network, pixels, logits, held_out, device))
        if options.fit_head_first:
            rows, known = splits["train"], last_layer(network.state_dict())

            def layer() -> Values:
                activations = embed(network, pixels, logits, rows, device)
                return fit_layer(activations, rated.measured[rows], known, seed=options.seed)[0]

            network.load_state_dict(as_state(self._kept("layer", layer), network.state_dict()), strict=False)
        data = RatedData(pixels, logits, rated.measured, splits, options)
        state, history = fit(network, data, self.folder, progress=progress, callbacks=self.callbacks)
        network.load_state_dict(state, strict=False)
        scores = np.full(len(pixels), np.nan)
        scores[held_out] = predict(network, pixels, logits, held_out, device)
        return Trained(
            network.state_dict(), parent, rated.images, rated.measured, splits, scores, before, history, failures
        )

    def _logits_path(self, parent: Parent) -> str:
        """Without its suffix; runs that share a folder have the same outputs if they begin with the same ResNet."""
        of = (parent.name, self.options.seed if self.options.start == "random" else None, self.options.augment)
        return os.path.join(self.shared, f"logits-{hashlib.sha256(repr(of).encode()).hexdigest()[:8]}")

    def _kept(self, name: str, compute: Callable[[], Values]) -> Values:
        """Computed once, as a run that goes on begins with it again."""
        path = os.path.join(self.folder, f"{name}.npy")
        if not os.path.exists(path):
            values = compute()
            with replacing(path) as unfinished:
                np.save(unfinished, values)
        return np.asarray(np.load(path))

    def _description(self) -> dict[str, Any]:
        options = {name: value for name, value in asdict(self.options).items() if name not in _FREE}
        return {**{name: str(value) for name, value in options.items()}, "images": self.rated.digest}


def remove_temporary(folder: str) -> None:
    """Remove images and checkpoints."""
    for path in itertools.chain.from_iterable(
        glob.glob(os.path.join(glob.escape(folder), name)) for name in _TEMPORARY
    ):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def is_unfinished(folder: str) -> bool:
    """Whether a run in this folder was begun and did not end."""
    return os.path.exists(os.path.join(folder, _DESCRIPTION))


def starting_network(options: TrainingOptions) -> tuple[ResMemNetwork, Parent]:
    """The network to begin with, and where its weights come from.

    Raises:
        WeightsError: if they cannot be loaded.
    """
    import torch

    from resmem_plugin.core.network.pretrained import ResMem, load_resmem

    start = os.fspath(options.start)
    if start not in UNTRAINED:
        weights = find_weights(None if start == "published" else start)
        return load_resmem(weights), Parent(weights.sha256, licence_of(weights))
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        network = ResMem()
    if start == "random":
        return network, Parent("random", licence=None)
    from torchvision.models import ResNet152_Weights

    try:
        state = ResNet152_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise OptionError(
            f"ImageNet's weights cannot be downloaded ({error}): connect to the network once, or put "
            f"{os.path.basename(ResNet152_Weights.IMAGENET1K_V1.url)} into {torch.hub.get_dir()}/checkpoints"
        ) from error
    network.features.load_state_dict(state)
    return network, Parent(_IMAGENET, licence=None)
