"""Training options: what does not fit is told."""

from __future__ import annotations

from typing import Any

import pytest

from resmem_plugin.core.errors import OptionError
from resmem_plugin.training import TrainingOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rat": 1}, "no training option 'learning_rat'; did you mean learning_rate?"),
        ({"xyz": 1}, "choose from start, resnet"),
        ({"loss": "mse+huber"}, "loss must be mse, plcc, rank, or a sum"),
        ({"loss": ""}, "loss must be"),
        ({"optimizer": "adam"}, "optimizer must be sgd, adamw"),
        ({"resnet": "layer5"}, "resnet must be all, layer1"),
        ({"epochs": 0}, "epochs must be a whole number from 1"),
        ({"epochs": 1.5}, "epochs must be a whole number from 1"),
        ({"batch_size": "many"}, "batch_size must be a number, not 'many'"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number from 0"),
        ({"learning_rate": True}, "learning_rate must be a number from 0"),
        ({"validation": 1}, "validation must be a share between 0 and 1"),
        ({"patience": 0}, "patience must be a whole number from 1"),
        ({"train_batchnorm": "yes"}, "train_batchnorm must be True or False"),
        ({"resnet": "frozen", "augment": "flip+crop"}, "use augment='flip' or 'none'"),
        ({"resnet": "frozen", "train_batchnorm": True}, "leave it out"),
        ({"batch_size": 1, "devices": 2}, "without images"),
        ({"logger": "csv"}, "logger must be None, tensorboard, wandb"),
    ],
)
def test_what_does_not_fit_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        TrainingOptions.of(options)
    assert message in str(caught.value)


def test_numbers_may_be_text_as_yaml_reads_them() -> None:
    options = TrainingOptions.of({"learning_rate": "1e-4", "epochs": "3", "patience": None, "loss": "mse+rank"})
    assert (options.learning_rate, options.epochs, options.patience) == (1e-4, 3, None)
    assert TrainingOptions.of({"patience": "none"}).patience is None


def test_the_defaults_are_the_published_recipe() -> None:
    options = TrainingOptions()
    assert (options.optimizer, options.learning_rate, options.momentum) == ("sgd", 1e-5, 0.9)
    assert (options.loss, options.resnet, options.start) == ("mse", "all", "published")
