"""The ways to score a folder that are compared: each loads its network once, then scores paths.

`python -m benchmarks.variants NAME PATH...` runs one alone and prints its peak memory in kB (Linux).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

Score: TypeAlias = "Callable[[Sequence[str]], list[float]]"


def upstream_readme() -> Score:
    """Upstream's README in a loop, without gradients."""
    import torch
    from PIL import Image
    from resmem import ResMem, transformer

    model = ResMem(pretrained=True)
    model.eval()

    def score(paths: Sequence[str]) -> list[float]:
        with torch.inference_mode():
            return [float(model(transformer(Image.open(path).convert("RGB")).unsqueeze(0))) for path in paths]

    return score


def upstream_batches() -> Score:
    """Upstream's network and transformer in a DataLoader: batches of 32, one worker process for each core."""
    import torch
    from PIL import Image
    from resmem import ResMem, transformer

    model = ResMem(pretrained=True)
    model.eval()

    class Pictures(torch.utils.data.Dataset[Any]):
        def __init__(self, paths: Sequence[str]) -> None:
            self.paths = paths

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> Any:
            return transformer(Image.open(self.paths[index]).convert("RGB"))

    def score(paths: Sequence[str]) -> list[float]:
        loader = torch.utils.data.DataLoader(Pictures(paths), batch_size=32, num_workers=2)
        with torch.inference_mode():
            return [value for batch in loader for value in model(batch).flatten().tolist()]

    return score


def resmem_plugin(engine: str, precision: str) -> Score:
    """This project's Scorer, with its defaults otherwise."""
    from resmem_plugin import Scorer

    scorer = Scorer(device="cpu", engine=engine, precision=precision)
    return lambda paths: [score.memorability for score in scorer.score(paths)]


OURS = {f"{engine}, {kind}": (engine, kind) for engine in ("openvino", "pytorch") for kind in ("fp32", "bf16")}
"""This project's engines and precisions, by the name of their variant."""

VARIANTS: dict[str, Callable[[], Score]] = {
    "upstream, README loop": upstream_readme,
    "upstream, batches of 32": upstream_batches,
    **{name: partial(resmem_plugin, *options) for name, options in OURS.items()},
}


def main(name: str, paths: Sequence[str]) -> None:
    VARIANTS[name]()(paths)
    status = Path("/proc/self/status").read_text()  # not getrusage: it knows the parent's peak too
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], [str(Path(path)) for path in sys.argv[2:]])
