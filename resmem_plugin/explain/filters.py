"""What the filters of the network answer to images: the means or maxima of their outputs over each image."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import MissingPackageError, OptionError, ScoringError
from resmem_plugin.core.images.preprocess import INPUT_SHAPE, INPUT_SIZE
from resmem_plugin.core.images.reader import describe, iterable_of_images, listed_images
from resmem_plugin.core.network.folding import fold_batch_norms
from resmem_plugin.core.network.resmem import EMBEDDING_SIZE, ResMemNetwork
from resmem_plugin.core.scoring.progress import ProgressOption, reporting
from resmem_plugin.core.scoring.reading import network_outputs
from resmem_plugin.core.scoring.scorer import Errors, Scorer
from resmem_plugin.explain.network import (
    EMBEDDING,
    address_of,
    as_input,
    convolutions,
    device_of,
    find_layer,
    hooked,
    is_of_resnet,
    network_of,
    output_of,
)

Over: TypeAlias = Literal["mean", "max"]
Forward: TypeAlias = "Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]"
"""uint8 (B, 227, 227, 3) -> (B, filters)."""

_ROWS_AT_ONCE = 1000  # of a parquet file


def layers() -> pd.DataFrame:
    """The layers of ResMem that `activations` and `visualize_feature` know.

    Returns:
        One row for each of the 155 convolutions of the ResNet, in their order, the 5 of the other branch, and the last
        hidden layer: `layer` (its name), `branch`, `address` (as "6-15-0": stage, block and module by position, as
        ResMem's authors write them), `depth` (its number in `resnet_layers` or `alexnet_layers` of ResMem 2),
        `filters`, and the `height` and `width` of a filter's output. Outputs are those of the convolutions themselves,
        before BatchNorm and ReLU.

    Examples:
        >>> from resmem_plugin.explain import layers
        >>> table = layers().set_index("layer")
        >>> len(table), table.loc["features.layer3.15.conv1", "address"]
        (161, '6-15-0')
    """
    with torch.device("meta"):
        network = ResMemNetwork().eval()
        outputs: dict[str, Tensor] = {}
        with contextlib.ExitStack() as hooks, torch.no_grad():
            for name, convolution in convolutions(network).items():
                hooks.enter_context(hooked(convolution, partial(outputs.__setitem__, name)))
            blank = torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE)
            network.features(blank)
            network.convolutions(blank)
    rows: list[tuple[Any, ...]] = []
    for name in outputs:
        address, shape = address_of(network, name), outputs[name].shape[1:]
        depth = sum(of == ("resnet" if address else "alexnet") for _, of, *_ in rows)
        rows.append((name, "resnet" if address else "alexnet", address, depth, *shape))
    rows.append((EMBEDDING, "head", "", None, EMBEDDING_SIZE, 1, 1))
    columns = ["layer", "branch", "address", "depth", "filters", "height", "width"]
    return pd.DataFrame(rows, columns=columns).astype({"depth": "Int64"})


def activations(
    images: Iterable[object],
    layer: str | int,
    *,
    over: Over = "mean",
    errors: Errors = "raise",
    progress: ProgressOption = None,
    scorer: Scorer | None = None,
) -> pd.DataFrame:
    """What each filter of a layer answers to each image, in fp32.

    Args:
        images: as for `Scorer`: paths, URLs, encoded bytes, PIL images or uint8 arrays.
        layer: a name or an address of `layers()`; a number: a convolution of the ResNet, from 0 to 154, as in
            `resnet_activation` of ResMem 2. Of a network of your own: the name of a convolution.
        over: the "mean" or the "max" of a filter's output over the image.
        errors: "raise" stops at the first image that cannot be read, and checks before that local files exist; "coerce"
            gives such an image NaN, and its reason in `attrs["errors"]`, by position.
        progress: a bar (True), none (False), one on a terminal (None), or a function called with a `Progress`.
        scorer: whose network is asked; None: `Scorer()`.

    Returns:
        One row for each image, in the order given, indexed by paths and URLs (other images: by their position), and one
        column for each filter, numbered from 0; float32.

    Raises:
        OptionError: for a layer or an option that does not exist.
        ScoringError: with `errors="raise"`, for an image that cannot be read.

    Examples:
        >>> from resmem_plugin.explain import activations
        >>> found = activations(["coffee.png", "rocket.jpg"], "6-15-0")
        >>> found.shape, found.index.tolist()
        ((2, 256), ['coffee.png', 'rocket.jpg'])
    """
    scorer = Scorer() if scorer is None else scorer
    listed = listed_images(images, errors, base64=scorer.options.base64)
    forward, size = answers_of(layer, over, scorer)
    values = np.full((len(listed), size), np.nan, np.float32)
    reasons: dict[int, str] = {}
    made = network_outputs(listed, scorer, forward)
    with reporting(progress, len(listed)) as report, contextlib.closing(made):
        for number, (image, row) in enumerate(made):
            if row is not None:
                values[number] = row
            elif errors == "raise":
                raise ScoringError(f"{describe(listed[number])}: {image.error}", [])
            else:
                reasons[number] = str(image.error)
            report(row is None)
    index = pd.Index([_named(image, number) for number, image in enumerate(listed)], dtype=object, name="image")
    found = pd.DataFrame(values, index=index)
    if reasons:
        found.attrs["errors"] = reasons
    return found


def activations_to_parquet(
    images: Iterable[object],
    layer: str | int,
    path: str | os.PathLike[str],
    *,
    over: Over = "mean",
    progress: ProgressOption = None,
    total: int | None = None,
    scorer: Scorer | None = None,
) -> tuple[int, int]:
    """`activations` of any number of images, in flat memory, into a parquet file that is written whole or not at all.

    Args:
        images: as for `activations`; they are taken one after the other.
        layer: as for `activations`.
        path: the file; it has the columns `image`, `error`, and one for each filter, "0", "1" and so on.
        over: as for `activations`.
        progress: as for `activations`.
        total: how many images there are, for the progress; None: unknown, or the length of `images`.
        scorer: as for `activations`.

    Returns:
        How many images there were, and how many of them could not be read.

    Raises:
        MissingPackageError: if pyarrow is not installed.
        OptionError: for a layer or an option that does not exist.

    Examples:
        >>> import pandas as pd
        >>> from resmem_plugin.explain import activations_to_parquet
        >>> activations_to_parquet(["coffee.png", "none.jpg"], "conv5", "conv5.parquet")
        (2, 1)
        >>> pd.read_parquet("conv5.parquet").shape
        (2, 258)
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingPackageError(f'a parquet file needs {error.name}: pip install "resmem-plugin[parquet]"') from error
    scorer = Scorer() if scorer is None else scorer
    forward, size = answers_of(layer, over, scorer)
    schema = pa.schema(
        [("image", pa.string()), ("error", pa.string()), *((str(each), pa.float32()) for each in range(size))]
    )
    names: list[str] = []

    def noted() -> Iterator[object]:
        for number, image in enumerate(iterable_of_images(images)):
            names.append(str(_named(image, number)))
            yield image

    count = failures = 0
    made = network_outputs(noted(), scorer, forward)
    with (
        replacing(path) as unfinished,
        pa.parquet.ParquetWriter(unfinished, schema) as writer,
        reporting(progress, total) as report,
        contextlib.closing(made),
    ):
        while True:
            values, errors = np.full((_ROWS_AT_ONCE, size), np.nan, np.float32), []
            for number, (image, row) in enumerate(islice(made, _ROWS_AT_ONCE)):
                if row is not None:
                    values[number] = row
                errors.append(None if row is not None else str(image.error))
                report(row is None)
            if not errors:
                return count, failures
            columns = [names[: len(errors)], errors, *values[: len(errors)].T]
            writer.write_table(pa.table([pa.array(each) for each in columns], schema=schema))
            del names[: len(errors)]
            count, failures = count + len(errors), failures + sum(error is not None for error in errors)


def answers_of(layer: str | int, over: Over, scorer: Scorer) -> tuple[Forward, int]:
    """What computes the activations of a batch, and how many filters there are.

    Raises:
        OptionError: for a layer or an option that does not exist.
    """
    if over not in ("mean", "max"):
        raise OptionError(f"over must be 'mean' or 'max', not {over!r}")
    forward = scorer.engine.embed if layer == EMBEDDING else _convolution(layer, over, scorer)
    return forward, forward(np.zeros((1, *INPUT_SHAPE), np.uint8)).shape[1]


def _convolution(layer: str | int, over: Over, scorer: Scorer) -> Forward:
    network, device = network_of(scorer, folded=False), device_of(scorer)
    name = find_layer(network, layer)
    if isinstance(network, ResMemNetwork):
        if scorer.model is not None and is_of_resnet(network, name):
            raise OptionError("a Scorer folds the BatchNorm of a ResMem given as model=: give it a file as weights=")
        fold_batch_norms(network.features, keep=network.get_submodule(name))
    output = output_of(network, name)

    def forward(batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            found = output(as_input(batch, device))
            reduced = found.mean(dim=(2, 3)) if over == "mean" else found.amax(dim=(2, 3))
            return reduced.cpu().numpy()

    return forward


def _named(image: object, number: int) -> object:
    """How a row is named: by path or URL, other images by their position."""
    return os.fsdecode(image) if isinstance(image, (str, os.PathLike)) else number
