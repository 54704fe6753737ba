"""The commands `resmem train` and `resmem sweep`."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from resmem_plugin.cli.terminal import echo_err
from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.signals import exit_on_signal

if TYPE_CHECKING:
    from resmem_plugin.training import TrainingConfig

OPTIONS = {
    "start": ("WEIGHTS", "published, imagenet, random, or a file with its hash (default: published)"),
    "resnet": ("PART", "what is trained of the ResNet: all, from layer1, layer2, layer3, layer4 or fc on, or frozen"),
    "loss": ("NAME", "mse, plcc or rank, or several as mse+plcc (default: mse)"),
    "optimizer": ("NAME", "sgd or adamw (default: sgd)"),
    "learning_rate": ("RATE", "of all that is trained (default: 1e-5)"),
    "resnet_learning_rate": ("RATE", "of the ResNet (default: --learning-rate)"),
    "momentum": ("SHARE", "of sgd (default: 0.9)"),
    "weight_decay": ("RATE", "of both optimizers (default: 0)"),
    "epochs": ("N", "passes over the training images at most (default: 20)"),
    "batch_size": ("N", "images of a step, on all devices together (default: 32)"),
    "accumulate": ("N", "batches whose gradients are added up before a step (default: 1)"),
    "augment": ("NAME", "none, flip or flip+crop (default: flip)"),
    "precision": ("NAME", "fp32, bf16 or fp16 (default: fp32)"),
    "device": ("NAME", "auto, cpu, cuda or mps (default: auto)"),
    "devices": ("N", "how many of them (default: 1)"),
    "patience": ("N", "epochs without a better rank correlation, after which training ends, or none (default: 5)"),
    "validation": ("SHARE", "of the images, to validate on where no column says which (default: 0.1)"),
    "seed": ("N", "of the split, the order, the augmentation and the dropout (default: 0)"),
    "checkpoint_minutes": ("N", "what is lost at most if the process is killed (default: 5)"),
    "logger": ("NAME", "tensorboard or wandb"),
}
"""Of `TrainingOptions`, which checks them: it is not imported before it is needed."""

SWITCHES = {
    "train_batchnorm": "fit the BatchNorm layers too",
    "fit_head_first": "fit the last layer by ridge regression before the first epoch",
}

_YAML = (".yaml", ".yml")


def add_commands(commands: Any) -> None:
    """Add the commands to argparse's subparsers."""
    train = commands.add_parser(
        "train",
        help="train the network on measured memorability",
        description="Train the network on measured memorability. INPUT is a table (.csv, .tsv, .jsonl or .parquet) "
        "with a column of images, a .yaml configuration, or with --dataset a published data set's folder. Weights and "
        "a model card are written; a run that was stopped or killed goes on when the same command is given again.",
        epilog="For some hundred images: --head, or --fit-head-first --resnet frozen --optimizer adamw --learning-rate "
        "1e-6.",
    )
    train.set_defaults(run=_train)
    _add_data(train)
    train.add_argument("-o", "--output", metavar="FILE", help="the .safetensors file to write")
    train.add_argument("--overwrite", action="store_true", help="replace existing files, and an unfinished run")
    train.add_argument(
        "--head", action="store_true", help="fit the last layer alone, by ridge regression: seconds, from 20 images on"
    )
    options = train.add_argument_group("training")
    for name, (metavar, text) in OPTIONS.items():
        options.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=text)
    for name, text in SWITCHES.items():
        options.add_argument(f"--{name.replace('_', '-')}", action="store_const", const=True, help=text)

    sweep = commands.add_parser(
        "sweep",
        help="search for the training options that do best",
        description="Search for the training options that do best, with Optuna. CONFIG is a .yaml file: data, target, "
        "training, space, trials. Several processes may run the same command at once and share the trials; those of a "
        "process that was killed are begun again.",
    )
    sweep.set_defaults(run=_sweep)
    sweep.add_argument("config", metavar="CONFIG", help="the .yaml file")
    sweep.add_argument("-o", "--output", metavar="FOLDER", help="the folder to write (default: that of the file)")
    sweep.add_argument("--trials", type=int, metavar="N", help="how many there shall be (default: as the file says)")
    sweep.add_argument("-q", "--quiet", action="store_true", help="hide the progress bars")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="INPUT", help="a table, a .yaml file, or a data set's folder")
    parser.add_argument("--dataset", metavar="NAME", help="which one the folder holds: lamem, memcat, figrim or things")
    parser.add_argument("--target", metavar="COLUMN", help="the table's column of what was measured, 0 to 1")
    parser.add_argument("--path-column", metavar="COLUMN", help="its column of images (default: path)")
    parser.add_argument("--split", metavar="COLUMN", help="its column of splits: train, validation and test")
    parser.add_argument("-q", "--quiet", action="store_true", help="hide the progress bars")


def _train(options: argparse.Namespace) -> int:
    with exit_on_signal():
        from resmem_plugin.training import fine_tune, fit_head
    chosen = {name: value for name in (*OPTIONS, *SWITCHES) if (value := getattr(options, name)) is not None}
    if options.head and chosen:
        raise OptionError(f"--head fits one layer: leave --{next(iter(chosen)).replace('_', '-')} out")
    config = _config(options)
    if config.output is None:
        raise OptionError("name the .safetensors file to write with -o")
    with _goes_on():
        frame = config.frame()
        if options.head:
            print(fit_head(frame, "memorability", config.output, overwrite=options.overwrite))
            return 0
        training = {**config.training, **chosen}
        tuned = fine_tune(
            frame,
            "memorability",
            config.output,
            split=config.split_of(frame),
            progress=False if options.quiet else None,
            overwrite=options.overwrite,
            **training,
        )
    print(tuned)
    return int(bool(tuned.left_out))


def _sweep(options: argparse.Namespace) -> int:
    with exit_on_signal():
        from resmem_plugin.training import sweep
    if options.trials is not None and options.trials < 1:
        raise OptionError(f"--trials must be at least 1, not {options.trials}")
    with _goes_on():
        found = sweep(options.config, options.output, trials=options.trials, progress=False if options.quiet else None)
    print(found)
    return int(found.best is None)


def _config(options: argparse.Namespace) -> TrainingConfig:
    """Of a YAML file, in which the command's options take precedence, or of a table."""
    from resmem_plugin.training import TrainingConfig

    given = {
        "dataset": options.dataset,
        "target": options.target,
        "images": options.path_column,
        "split": options.split,
        "output": options.output,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if options.input.lower().endswith(_YAML):
        return dataclasses.replace(TrainingConfig.read(options.input), **given)
    if options.dataset is None and options.target is None:
        raise OptionError("name the column of what was measured with --target, or a published data set with --dataset")
    if options.dataset is None and os.path.isdir(options.input):
        raise OptionError(f"{options.input} is a folder: say which data set it holds with --dataset")
    return TrainingConfig(data=options.input, **given)


@contextmanager
def _goes_on() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        echo_err("the same command goes on from the last checkpoint")
        raise
