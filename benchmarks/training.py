"""`python -m benchmarks.training step|learning`: what training costs, beside upstream's network, and what it learns.

`step` times optimizer steps, alternately with upstream's network in a plain PyTorch loop (its ResNet retrained, or
frozen as its constructor leaves it) and with this package's; peak memory is that of a process of each alone. `learning`
trains on parts of photographs whose target is a known function of the image, with noise: how warm its colours are; 1
less its published score; and the first one shuffled, from which nothing can be learnt.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from benchmarks.variants import peak_memory_kb
from examples.demo import photographs
from resmem_plugin import Scorer
from resmem_plugin.training import fine_tune, fit_head

RATE, MOMENTUM = 1e-5, 0.9
NOISE = 0.05
TRAINED = ("last layer", "all but the ResNet", "last layer first, then all but the ResNet")
KINDS = {"all": "ResNet retrained", "frozen": "ResNet frozen"}


def upstream(resnet: str, images: torch.Tensor, measured: torch.Tensor) -> Callable[[], None]:
    """Upstream's network in training mode, SGD as published."""
    from benchmarks.variants import upstream_network

    network = upstream_network().train().requires_grad_(True)
    network.features.requires_grad_(resnet == "all")
    optimizer = torch.optim.SGD([each for each in network.parameters() if each.requires_grad], RATE, MOMENTUM)
    x = images.permute(0, 3, 1, 2).contiguous().float() / 255

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(x)[:, 0], measured).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def ours(resnet: str, images: torch.Tensor, measured: torch.Tensor) -> Callable[[], None]:
    """This package's; a frozen ResNet's outputs are computed before."""
    from resmem_plugin.training.folded_resnet import resnet_logits
    from resmem_plugin.training.images import as_input
    from resmem_plugin.training.module import MemorabilityModule
    from resmem_plugin.training.options import TrainingOptions
    from resmem_plugin.training.run import starting_network

    options = TrainingOptions(resnet=resnet)
    network, _ = starting_network(options)
    module = MemorabilityModule(network, options, measured.double().numpy())
    optimizer = module.configure_optimizers()
    batch = {"images": images, "measured": measured, "row": torch.arange(len(images))}
    if resnet == "frozen":
        with torch.inference_mode():
            batch["logits"] = resnet_logits(network.features, as_input(images)).clone()

    def step() -> None:
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


VARIANTS = {"upstream": upstream, "ours": ours}


def batch_of(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 images (B, 227, 227, 3) and values (B,)."""
    random = np.random.default_rng(0)
    return torch.from_numpy(random.integers(0, 256, (size, 227, 227, 3), np.uint8)), torch.rand(size)


def steps(size: int, rounds: int) -> None:
    """Print seconds per step, ratios within rounds, and peak memory."""
    print("| | upstream, s | ours, s | ratio | (min-max) | peak MB, upstream | ours |\n|---|---|---|---|---|---|---|")
    for resnet, label in KINDS.items():
        batch = batch_of(size)
        made = {name: make(resnet, *batch) for name, make in VARIANTS.items()}
        for step in made.values():
            step()
        seconds: dict[str, list[float]] = {name: [] for name in made}
        for _ in range(rounds):
            for name, step in made.items():
                start_s = time.perf_counter()
                step()
                seconds[name].append(time.perf_counter() - start_s)
        ratios = [theirs / own for theirs, own in zip(seconds["upstream"], seconds["ours"], strict=True)]
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        peaks = {name: peak_mb(name, resnet, size) for name in VARIANTS}
        print(
            f"| {label} | {medians['upstream']:.2f} | {medians['ours']:.2f} | {statistics.median(ratios):.2f} | "
            f"{min(ratios):.2f}-{max(ratios):.2f} | {peaks['upstream']:.0f} | {peaks['ours']:.0f} |",
            flush=True,
        )
        del made


def peak_mb(name: str, resnet: str, size: int) -> float:
    """Of a process that makes two steps."""
    command = [sys.executable, "-m", "benchmarks.training", "peak", name, resnet, "--batch", str(size)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def parts(count: int) -> pd.DataFrame:
    """Parts of photographs with their targets: "warm" and "reversed" without noise, and with it as "noisy ...".

    Each split has parts of every photograph: these are too few to keep apart.
    """
    random = np.random.default_rng(0)
    opened = [Image.open(path).convert("RGB") for path in photographs()]
    coloured = [photo for photo in opened if np.ptp(np.asarray(photo), axis=2).mean() > 8]
    splits = random.permutation([("train", "train", "train", "val", "test")[number % 5] for number in range(count)])
    rows: list[tuple[Any, float, str]] = []
    for number in range(count):
        photo = coloured[number % len(coloured)]
        size = min(photo.size) // 2
        left, top = (int(random.integers(each - size + 1)) for each in photo.size)
        part = np.asarray(photo.crop((left, top, left + size, top + size)).resize((256, 256))).astype(np.float64)
        part = np.clip(part * random.uniform(0.7, 1.2, 3), 0, 255).astype(np.uint8)  # light of another colour
        rows.append((part, float(part[..., 0].mean() - part[..., 2].mean()), splits[number]))
    frame = pd.DataFrame(rows, columns=["path", "warmth", "split"])
    scores = [score.memorability for score in Scorer(device="cpu").score(frame["path"].tolist())]
    frame["warm"] = frame["warmth"].rank(pct=True) * 0.5 + 0.4
    frame["reversed"] = (1 - pd.Series(scores)).rank(pct=True) * 0.5 + 0.4
    for target in ("warm", "reversed"):
        frame[f"noisy {target}"] = np.clip(frame[target] + random.normal(0, NOISE, count), 0, 1)
    frame["shuffled"] = random.permutation(frame["warm"])
    frame["noisy shuffled"] = frame["shuffled"]
    return frame


def learning(count: int, epochs: int, targets: list[str], rate: float) -> None:
    """Print what the last layer and the network learn, as shares of what the noise allows."""
    frame = parts(count)
    test = frame[frame["split"] == "test"]
    options: dict[str, Any] = {"optimizer": "adamw", "learning_rate": rate, "epochs": epochs, "patience": None}
    options |= {"split": "split", "resnet": "frozen", "batch_size": 16, "loss": "mse+plcc", "augment": "none"}
    print(f"{count} images, of which {len(test)} for the test; {epochs} epochs\n")
    print("| target | trained | before | after | the noise allows | minutes |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for target in targets:
            for trained in TRAINED:
                images = frame if trained == "last layer" else test
                start_s = time.perf_counter()
                output = Path(folder) / f"{target}-{trained}.safetensors"
                if trained == "last layer":
                    found: Any = fit_head(frame, f"noisy {target}", output)
                else:
                    first = trained == TRAINED[2]
                    found = fine_tune(frame, f"noisy {target}", output, progress=False, fit_head_first=first, **options)
                allowed = images[target].corr(images[f"noisy {target}"], method="spearman")
                minutes = (time.perf_counter() - start_s) / 60
                before, after = found.before.spearman, found.evaluation.spearman
                print(f"| {target} | {trained} | {before} | {after} | {allowed:.3f} | {minutes:.1f} |", flush=True)


def main() -> None:
    """Run one of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["step", "learning", "peak"])
    parser.add_argument("variant", nargs="*")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=240)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1e-6)
    parser.add_argument("--targets", nargs="+", default=["warm", "reversed", "shuffled"])
    options = parser.parse_args()
    if options.what == "step":
        steps(options.batch, options.rounds)
    elif options.what == "learning":
        learning(options.images, options.epochs, options.targets, options.rate)
    else:
        name, resnet = options.variant
        step = VARIANTS[name](resnet, *batch_of(options.batch))
        step()
        step()
        print(peak_memory_kb() / 1024)


if __name__ == "__main__":
    main()
