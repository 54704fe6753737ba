"""`python -m tests.training.train_small FOLDER train|sweep OPTIONS`: the small network, in a process that is killed."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from pytorch_lightning import Callback
from typing_extensions import override

from resmem_plugin.training import TrainingConfig, fine_tune, loop, run, sweep
from tests.training.small_network import small_network

STEP_S = 0.05
SPACE = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "loss": ["mse", "plcc", "mse+rank"]}


class CountSteps(Callback):
    """Adds a line to a file at each step, so that a test knows when to kill."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @override
    def on_train_batch_end(self, *_: Any) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write("step\n")
        time.sleep(STEP_S)


def main() -> None:
    folder, what, options = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    run.starting_network = small_network  # type: ignore[assignment]
    fit = loop.fit

    def counted(*args: Any, callbacks: Any = (), **others: Any) -> Any:
        return fit(*args, callbacks=[*callbacks, CountSteps(folder / "steps")], **others)

    loop.fit = counted
    frame = pd.read_csv(folder / "rated.csv")
    if what == "train":
        fine_tune(frame, "red", folder / "mine.safetensors", split="split", checkpoint_minutes=0, **options)
    else:
        config = TrainingConfig(
            data=frame, target="red", split="split", training=options, space=SPACE, trials=12, prune=False
        )
        print(sweep(config, folder / "sweep"))


if __name__ == "__main__":
    main()
