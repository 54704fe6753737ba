"""Trained weights on the disk: a safetensors file that names its parent, and a model card beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.network.weights import LICENCE, TRAINED_FROM, sha256_of
from resmem_plugin.training.metrics import METRICS

if TYPE_CHECKING:
    from torch import Tensor

    from resmem_plugin.training.evaluation import Evaluation

_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Parent:
    """The weights that a training began with.

    Attributes:
        name: their SHA-256, or what they are.
        licence: under which what is made of them stands; None: nobody else's.
    """

    name: str
    licence: str | None = LICENCE


def check_output(output: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Check that weights and card can be written.

    Raises:
        OptionError: for another suffix than .safetensors, a folder that does not exist, or files that exist.
    """
    path = os.fspath(output)
    if not path.endswith(_SUFFIX):
        raise OptionError(f"{path} must end in {_SUFFIX}")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise OptionError(f"there is no folder {folder} to write {os.path.basename(path)} to: create it first")
    for each in (path, beside(output, ".md")):
        if os.path.lexists(each) and not overwrite:
            raise OptionError(f"{each} exists: name another file, or pass overwrite=True")


def beside(output: str | os.PathLike[str], suffix: str) -> str:
    """The path of the weights with another suffix."""
    return os.fspath(output).removesuffix(_SUFFIX) + suffix


def save_weights(state: Mapping[str, Tensor], output: str | os.PathLike[str], parent: Parent) -> str:
    """Write weights; returns the file with its hash, as `Scorer(weights=...)` takes it."""
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with replacing(output) as unfinished:
        save_file(tensors, unfinished, {TRAINED_FROM: json.dumps({"parent": parent.name, "licence": parent.licence})})
    return f"{os.fspath(output)}#sha256={sha256_of(output)}"


def save_card(
    weights: str, parent: Parent, what: str, facts: Mapping[str, str], figures: str, caution: str | None
) -> None:
    """Write the model card.

    Args:
        weights: the file with its hash.
        parent: what it was made of.
        what: how, in a sentence or two.
        facts: of the training and its data, each a line.
        figures: a table of metrics, and what they mean.
        caution: why the figures may flatter the network.
    """
    path, _, sha256 = weights.rpartition("#sha256=")
    licence = f"inherited from its parent: {parent.licence}" if parent.licence else "yours to choose"
    listed = {"SHA-256": f"`{sha256}`", "parent": f"`{parent.name}`", "licence": licence, **facts}
    lines = [f"# {os.path.basename(path)}", what, "\n".join(f"- {name}: {value}" for name, value in listed.items())]
    lines += [figures, *([caution] if caution else [])]
    with replacing(beside(path, ".md")) as unfinished:
        unfinished.write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def figures_table(name: str, after: Evaluation, before: Evaluation | None) -> str:
    """The metrics with their intervals, beside those of the parent on the same images."""
    columns = [f"{name}, 95 % interval", *(["the parent on the same images"] if before is not None else [])]
    rows = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for metric in METRICS:
        values = [str(getattr(each, metric)) for each in (after, before) if each is not None]
        rows.append(f"| {metric} | {' | '.join(values)} |")
    return "\n".join(rows)
