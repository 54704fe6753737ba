"""ResMem as a remote source of FiftyOne's model zoo: `foz.load_zoo_model("resmem/memorability")`.

FiftyOne copies this folder alone into its model zoo, under the name in manifest.json, and runs this file from there at
every call. So it has no state and only calls `resmem_plugin`, which must be installed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resmem_plugin.fiftyone.model import MemorabilityModel

_INSTALL = 'pip install "resmem-plugin[fiftyone,weights]"'


def download_model(model_name: str, model_path: str) -> None:
    """Find the weights, and write a note to the file that FiftyOne expects.

    Nothing is downloaded: the weights come with the distribution `resmem`, under its own non-commercial licence.

    Args:
        model_name: the model's name in the zoo.
        model_path: the model's file, as FiftyOne expects it.

    Raises:
        ImportError: if `resmem_plugin` is not installed.
        WeightsNotFoundError: if the weights are not.
    """
    with _require_package(model_name):
        from resmem_plugin.core.network.weights import LICENCE, find_weights

    note = {
        "about": "ResMem's weights were found where pip installed them; FiftyOne stores this note instead of a copy.",
        "sha256": find_weights().sha256,
        "licence": LICENCE,
    }
    with contextlib.suppress(OSError):  # a read-only folder: FiftyOne calls this again the next time
        Path(model_path).write_text(json.dumps(note, indent=4) + "\n", encoding="utf-8")


def load_model(model_name: str, model_path: str, **options: Any) -> MemorabilityModel:
    """Build the model.

    Args:
        model_name: the model's name in the zoo.
        model_path: the model's file; not used.
        options: passed from `foz.load_zoo_model` to `MemorabilityModel`: device, precision, batch_size, ...

    Raises:
        ImportError: if `resmem_plugin` is not installed.
        WeightsError: if the weights are not found or damaged.
    """
    del model_path
    with _require_package(model_name):
        from resmem_plugin.fiftyone.model import MemorabilityModel

    return MemorabilityModel(**options)


def resolve_input(model_name: str, ctx: Any) -> Any:
    """This model's inputs in the form of FiftyOne's operator `apply_zoo_model`."""
    del model_name, ctx
    from fiftyone.operators import types

    from resmem_plugin.core.engines.resolve import DEVICES, PRECISIONS

    inputs = types.Object()
    inputs.enum(
        "device",
        list(DEVICES),
        default="auto",
        label="Device",
        description="Where the network runs. auto: CUDA, then MPS, then the CPU",
    )
    inputs.enum(
        "precision",
        [precision for precision in PRECISIONS if precision != "int8"],  # int8 needs images to calibrate on
        default="auto",
        label="Precision",
        description="auto: fp16 on CUDA, else fp32, which reproduces the published model's scores",
    )
    return types.Property(inputs)


def parse_parameters(model_name: str, ctx: Any, params: dict[str, Any]) -> None:
    """Remove parameters that were left empty in the form, so that the defaults apply."""
    del model_name, ctx
    for name in [name for name, value in params.items() if value in (None, "")]:
        del params[name]


@contextlib.contextmanager
def _require_package(model_name: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "resmem_plugin":
            raise
        raise ImportError(
            f"the zoo model {model_name} needs the package resmem-plugin, which is not installed: {_INSTALL}"
        ) from error
