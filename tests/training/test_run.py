"""The weights that a training begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.network.resnet import ResNet152
from resmem_plugin.core.network.weights import LICENCE, PUBLISHED_SHA256, find_weights, licence_of, parent_of
from resmem_plugin.training import TrainingOptions
from resmem_plugin.training.run import starting_network
from resmem_plugin.training.weights_file import Parent, save_weights


def test_random_weights_are_those_of_the_seed_and_nobody_elses() -> None:
    (first, parent), (same, _) = (starting_network(TrainingOptions(start="random", seed=1)) for _ in range(2))
    assert torch.equal(first.state_dict()["fc6.weight"], same.state_dict()["fc6.weight"])
    assert parent == Parent("random", licence=None)


def test_imagenets_weights_are_those_of_torchvisions_resnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    state = ResNet152().state_dict()
    torch.save(state, tmp_path / "hub" / "checkpoints" / "resnet152-394f9c45.pth")
    network, parent = starting_network(TrainingOptions(start="imagenet"))
    assert all(torch.equal(state[name], tensor) for name, tensor in network.features.state_dict().items())
    assert parent.name == "ResNet-152 of torchvision, IMAGENET1K_V1"


def test_without_a_network_imagenets_weights_can_be_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise URLError("unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(OptionError, match=r"connect to the network once, or put resnet152-394f9c45.pth into .*/hub/ch"):
        starting_network(TrainingOptions(start="imagenet"))


@pytest.mark.weights
def test_published_weights_hand_on_their_licence(tmp_path: Path) -> None:
    _, parent = starting_network(TrainingOptions())
    assert parent == Parent(PUBLISHED_SHA256, LICENCE)
    child = find_weights(save_weights({"a": torch.zeros(2)}, tmp_path / "a.safetensors", parent))
    assert (parent_of(child), licence_of(child)) == (PUBLISHED_SHA256, LICENCE)
    own = find_weights(save_weights({"a": torch.zeros(2)}, tmp_path / "b.safetensors", Parent("random", None)))
    assert (parent_of(own), licence_of(own)) == ("random", None)
