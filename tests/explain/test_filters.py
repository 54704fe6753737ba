"""What filters answer to images: as plain hooks on upstream's network say, for every layer that has a name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from examples.demo import photographs
from resmem_plugin import ResMem, Scorer
from resmem_plugin.core.errors import OptionError, ScoringError
from resmem_plugin.explain import activations, activations_to_parquet, layers
from tests import upstream
from tests.models import Red, WithEmbeddings

PHOTOGRAPHS = [str(path) for path in photographs()[:3]]


def hooked_upstream(module: Callable[[Any], nn.Module]) -> Any:
    """The outputs of a module of upstream's network for the photographs."""
    import resmem

    outputs: list[Tensor] = []
    hook = module(upstream.model()).register_forward_hook(lambda module, given, output: outputs.append(output.clone()))
    try:
        with torch.inference_mode():
            for path in PHOTOGRAPHS:
                upstream.model()(resmem.transformer(Image.open(path).convert("RGB"))[None])
    finally:
        hook.remove()
    return torch.cat(outputs)


@pytest.mark.weights
@upstream.quiet
@pytest.mark.parametrize(
    ("layer", "module"),
    [
        ("features.conv1", lambda network: network.features.conv1),
        ("6-15-0", lambda network: network.features.layer3[15].conv1),
        ("4-0-7-0", lambda network: network.features.layer1[0].downsample[0]),
        (154, lambda network: network.features.layer4[2].conv3),
        ("conv2", lambda network: network.conv2),
        ("conv5", lambda network: network.conv5),
    ],
)
def test_activations_are_those_of_a_hook_on_upstreams_network(layer: str | int, module: Any) -> None:
    expected = hooked_upstream(module)
    means, maxima = activations(PHOTOGRAPHS, layer), activations(PHOTOGRAPHS, layer, over="max")
    for found, reduced in ((means, expected.mean(dim=(2, 3))), (maxima, expected.amax(dim=(2, 3)))):
        assert found.index.tolist() == PHOTOGRAPHS
        assert found.columns.equals(pd.RangeIndex(expected.shape[1]))
        np.testing.assert_allclose(found.to_numpy(), reduced.numpy(), rtol=0, atol=1e-5)


@pytest.mark.weights
@upstream.quiet
def test_the_embedding_is_upstreams_last_hidden_layer() -> None:
    expected = torch.relu(hooked_upstream(lambda network: network.fc11))
    found = activations(PHOTOGRAPHS, "embedding")
    np.testing.assert_allclose(found.to_numpy(), expected.numpy(), rtol=0, atol=1e-5)


def test_all_convolutions_are_listed() -> None:
    table = layers()
    assert table["branch"].value_counts().to_dict() == {"resnet": 155, "alexnet": 5, "head": 1}
    assert table["layer"].is_unique
    resnet = table[table["branch"] == "resnet"]
    assert resnet["depth"].tolist() == list(range(155))
    assert resnet["address"].is_unique
    network = ResMem()
    for name, filters in zip(table["layer"][:160], table["filters"][:160], strict=True):
        assert network.get_submodule(name).out_channels == filters
    assert table[table["branch"] == "alexnet"]["layer"].tolist() == [f"conv{number}" for number in range(1, 6)]
    last = table[table["layer"] == "features.layer4.0.conv2"]
    assert (last["height"].item(), last["width"].item()) == (8, 8)
    for address in ("6-15-0", "6-23-2", "7-1-0"):  # of the pictures that ResMem's authors published
        stage, block, module = map(int, address.split("-"))
        features: list[nn.Module] = list(network.features.children())
        expected = [*[*features[stage].children()][block].children()][module]
        assert network.get_submodule([*resnet["layer"]][[*resnet["address"]].index(address)]) is expected


@pytest.mark.weights
@pytest.mark.parametrize("layer", ["6-15-1", "8-0-0", "", "features.layer3.15.bn1", "fc12", 155, -1, 1.5, True, None])
def test_a_layer_that_does_not_exist_is_refused(layer: Any) -> None:
    with pytest.raises(OptionError, match="the network has no layer"):
        activations(PHOTOGRAPHS, layer)


@pytest.mark.weights
def test_a_similar_name_is_suggested() -> None:
    with pytest.raises(OptionError, match=r"did you mean .*layer3"):
        activations(PHOTOGRAPHS, "features.layer3.15.conv")


class Edges(nn.Module):
    """A convolution of one's own; `unused` is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.edges = nn.Conv2d(3, 2, 3)
        self.unused = nn.Conv2d(3, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = (
            self.edges(x).view(len(x), -1).mean(dim=1)
        )  # needs contiguous images, as upstream's network does
        return found


def test_a_network_of_your_own_has_its_convolutions() -> None:
    network = Edges()
    scorer = Scorer(model=network)
    image = np.random.default_rng(0).integers(0, 256, (227, 227, 3), np.uint8)
    found = activations([image, Image.fromarray(image)], "edges", scorer=scorer)
    assert found.index.tolist() == [0, 1]
    assert not network.edges._forward_hooks
    with pytest.raises(OptionError, match="the network does not use its layer unused"):
        activations([image], "unused", scorer=scorer)
    with pytest.raises(OptionError, match="has no layer '6-15-0'"):
        activations([image], "6-15-0", scorer=scorer)
    assert activations([image], "embedding", scorer=Scorer(model=WithEmbeddings())).shape == (1, 3)
    with pytest.raises(OptionError, match="has no embeddings"):
        activations([image], "embedding", scorer=Scorer(model=Red()))
    with pytest.raises(OptionError, match="gradients and activations need"):
        activations([image], "edges", scorer=Scorer(model=lambda x: x.mean(dim=(1, 2, 3))))


def test_images_that_cannot_be_read() -> None:
    scorer = Scorer(model=Edges())
    images = [PHOTOGRAPHS[0], "none.jpg", b"no image"]
    found = activations(images, "edges", errors="coerce", scorer=scorer)
    assert found.index.tolist() == [PHOTOGRAPHS[0], "none.jpg", 2]
    assert found.isna().all(axis=1).tolist() == [False, True, True]
    assert sorted(found.attrs["errors"]) == [1, 2]
    with pytest.raises(ScoringError, match="1 of 3 files do not exist"):
        activations(images, "edges", scorer=scorer)
    with pytest.raises(ScoringError, match="<8 bytes>"):
        activations(images[2:], "edges", scorer=scorer)
    assert activations([], "edges", scorer=scorer).shape == (0, 2)
    assert activations([b"no image"], "edges", errors="coerce", scorer=scorer).shape == (1, 2)
    with pytest.raises(OptionError, match="over must be 'mean' or 'max', not 'min'"):
        activations(images, "edges", over="min", errors="coerce", scorer=scorer)  # type: ignore[arg-type]


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    scorer = Scorer(model=Edges())
    path = tmp_path / "edges.parquet"
    small = [str(tmp_path / f"{colour}.png") for colour in ("red", "lime", "blue")]
    for name in small:
        Image.new("RGB", (8, 8), Path(name).stem).save(name)
    images = [*small, "none.jpg"] * 500
    assert activations_to_parquet(iter(images), "edges", path, total=len(images), scorer=scorer) == (2000, 500)
    found = pd.read_parquet(path)
    assert found.columns.tolist() == ["image", "error", "0", "1"]
    assert found["image"].tolist() == images
    expected = activations(images[:4], "edges", errors="coerce", scorer=scorer)
    np.testing.assert_array_equal(found[["0", "1"]].to_numpy(), np.tile(expected.to_numpy(), (500, 1)))
    assert found["error"].notna().sum() == 500


def test_a_stopped_run_leaves_no_file(tmp_path: Path) -> None:
    def images() -> Any:
        yield PHOTOGRAPHS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        activations_to_parquet(images(), "edges", tmp_path / "edges.parquet", scorer=Scorer(model=Edges()))
    assert list(tmp_path.iterdir()) == []


GROWTH = """
import resource, sys
import numpy as np
from resmem_plugin import Scorer
from resmem_plugin.explain import activations_to_parquet
from tests.explain.test_filters import Edges

def images(count):
    for number in range(count):
        yield np.full((600, 800, 3), number % 256, np.uint8)

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

scorer = Scorer(model=Edges())
activations_to_parquet(images(100), "edges", sys.argv[1], scorer=scorer)
before = peak_mb()
activations_to_parquet(images(1000), "edges", sys.argv[1], scorer=scorer)
print(peak_mb() - before)
"""


def test_a_thousand_images_take_no_more_memory_than_a_hundred(tmp_path: Path) -> None:
    command = [sys.executable, "-c", GROWTH, str(tmp_path / "edges.parquet")]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert float(result.stdout) < 60  # 900 such images are 1.3 GB
