"""The ways to score a folder that are compared: each loads its network once, then scores paths.

`python -m benchmarks.variants NAME PATH...` runs one alone and prints its peak memory in kB (Linux).
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from resmem_plugin import Scorer
from resmem_plugin.core.engines.openvino.engine import has_bf16
from resmem_plugin.core.images.reader import DecodeMode

Score: TypeAlias = "Callable[[Sequence[str]], list[float]]"


def upstream_readme() -> Score:
    """Upstream's README in a loop, without gradients."""
    import torch
    from PIL import Image
    from resmem import transformer

    model = upstream_network()

    def score(paths: Sequence[str]) -> list[float]:
        with torch.inference_mode():
            return [float(model(transformer(Image.open(path).convert("RGB")).unsqueeze(0))) for path in paths]

    return score


def upstream_batches() -> Score:
    """Upstream's network and transformer in a DataLoader: batches of 32, one worker process per core."""
    import torch
    from PIL import Image
    from resmem import transformer

    model = upstream_network()

    class Images(torch.utils.data.Dataset[Any]):
        def __init__(self, paths: Sequence[str]) -> None:
            self.paths = paths

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> Any:
            return transformer(Image.open(self.paths[index]).convert("RGB"))

    def score(paths: Sequence[str]) -> list[float]:
        loader = torch.utils.data.DataLoader(Images(paths), batch_size=32, num_workers=2)
        with torch.inference_mode():
            return [value for batch in loader for value in model(batch).flatten().tolist()]

    return score


def upstream_fiftyone() -> Score:
    """Upstream's network and transformer as a model of FiftyOne's, in `apply_model`: batches of 32, two workers."""
    import fiftyone as fo
    import fiftyone.core.models as fom
    import torch
    from resmem import transformer

    fo.config.show_progress_bars = False
    model = upstream_network()

    class Upstream(fom.TorchModelMixin, fom.Model):  # type: ignore[misc,unused-ignore]
        media_type = "image"
        ragged_batches = False
        transforms = staticmethod(transformer)
        preprocess = True
        _using_gpu = False

        def predict_all(self, args: Any) -> list[float]:
            with torch.inference_mode():
                return [float(value) for value in model(args).flatten()]

    def score(paths: Sequence[str]) -> list[float]:
        dataset = fo.Dataset()
        dataset.add_samples([fo.Sample(filepath=path) for path in paths])
        dataset.apply_model(Upstream(), "memorability", batch_size=32, num_workers=2)
        scores: list[float] = dataset.values("memorability")
        dataset.delete()
        return scores

    return score


def upstream_network() -> Any:
    """Upstream's network with the published weights."""
    from resmem import ResMem

    model = ResMem(pretrained=True)
    model.eval()
    return model


class Ours(NamedTuple):
    """An engine, a precision and a decode mode of this project's."""

    engine: str
    precision: str
    decode: DecodeMode = "exact"

    @property
    def name(self) -> str:
        return f"{self.engine}, {self.precision}{', fast' if self.decode == 'fast' else ''}"

    def scorer(self, calibration: Sequence[str] | str | None) -> Scorer:
        needed = calibration if self.precision == "int8" else None
        return Scorer(
            device="cpu", engine=self.engine, precision=self.precision, decode=self.decode, calibration=needed
        )

    def build(self, calibration: Sequence[str] | str | None) -> Score:
        scorer = self.scorer(calibration)
        return lambda paths: [score.memorability for score in scorer.score(paths)]


UPSTREAM: dict[str, Callable[[], Score]] = {
    "upstream, README loop": upstream_readme,
    "upstream, DataLoader": upstream_batches,
    "upstream, FiftyOne apply_model": upstream_fiftyone,
}

OURS = [
    Ours("openvino", "fp32"),
    *([Ours("openvino", "bf16")] if has_bf16() else []),
    Ours("openvino", "int8"),
    Ours("pytorch", "fp32"),
    *([Ours("pytorch", "bf16")] if has_bf16() else []),
]
"""bf16 where the processor has it: elsewhere it is slower than fp32."""


def variants(calibration: Sequence[str] | str | None, *, fast: bool) -> dict[str, Callable[[], Score]]:
    """All that are compared, by name; with `fast`, this project's with decode="fast" too."""
    ours = [*OURS, *(each._replace(decode="fast") for each in OURS if fast and each.engine == "openvino")]
    return {**UPSTREAM, **{each.name: partial(each.build, calibration) for each in ours}}


def main(name: str, calibration: str, paths: Sequence[str]) -> None:
    logging.disable()
    if "FiftyOne" in name:
        from tests.mongod import own_mongod

        with tempfile.TemporaryDirectory() as folder, own_mongod(Path(folder)):
            upstream_fiftyone()(paths)
    else:
        variants(calibration or None, fast=True)[name]()(paths)
    print(peak_memory_kb(), flush=True)
    os._exit(0)


def peak_memory_kb() -> int:
    """The peak resident memory of this process."""
    status = Path("/proc/self/status").read_text()  # not getrusage: it knows the parent's peak too
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
