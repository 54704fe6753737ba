from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from resmem_plugin import ResMem, transformer
from resmem_plugin.core.network.resmem import EMBEDDING_SIZE
from resmem_plugin.core.network.resnet import ResNet152


@pytest.fixture(scope="module")
def network(cache_folder: Path) -> ResMem:
    return ResMem(pretrained=True).eval()


@pytest.mark.parametrize("shape", [(3, 224, 224), (1, 3, 256, 256), (2, 1, 227, 227), (227, 227), (1, 1, 3, 227, 227)])
def test_a_wrong_input_shape_is_an_error(network: ResMem, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(B, 3, 227, 227\).*transformer makes one"):
        network(torch.zeros(shape))


def test_unbatched_input_and_any_memory_format_give_the_same_score(network: ResMem) -> None:
    x = torch.rand(2, 3, 227, 227, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(x)
        assert expected.shape == (2, 1)
        assert torch.allclose(network(x.contiguous(memory_format=torch.channels_last)), expected, atol=1e-6)
        assert network(x[0]).shape == (1,)
        assert torch.allclose(network(x[0]), expected[0], atol=1e-6)


def test_embeddings_are_the_input_of_the_last_layer(network: ResMem) -> None:
    x = torch.rand(1, 3, 227, 227)
    with torch.inference_mode():
        embedding = network.embed(x)
        assert embedding.shape == (1, EMBEDDING_SIZE)
        assert torch.equal(torch.sigmoid(network.fc12(embedding)), network(x))


def test_cruise_altitude_is_the_width_of_two_layers() -> None:
    with torch.device("meta"):
        network = ResMem(cruise_altitude=128)
    assert network.conv3.out_channels == network.conv4.out_channels == 128


def test_pretrained_has_one_cruise_altitude() -> None:
    with pytest.raises(ValueError, match="cruise_altitude=384"):
        ResMem(pretrained=True, cruise_altitude=128)


def test_gradients_reach_the_first_layer() -> None:
    network = ResMem(pretrained=True)
    assert network.training
    network(torch.rand(2, 3, 227, 227)).mean().backward()
    assert network.features.conv1.weight.grad is not None


def test_resnet_equals_torchvisions() -> None:
    from torchvision.models import resnet152

    torch.manual_seed(0)
    theirs, ours = resnet152().eval(), ResNet152().eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [str(module) for module in ours.modules() if not list(module.children())] == [
        str(module) for module in theirs.modules() if not list(module.children())
    ]
    ours.load_state_dict(theirs.state_dict())
    x = torch.rand(1, 3, 227, 227)
    with torch.inference_mode():
        assert torch.equal(ours(x), theirs(x))


def test_transformer_of_a_path_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="takes a PIL image"):
        transformer("a.jpg")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I", "F"])
def test_transformer_takes_any_mode(mode: str) -> None:
    x = transformer(Image.new(mode, (30, 20)))
    assert x.shape == (3, 227, 227)
    assert x.dtype == torch.float32
    assert 0 <= x.min() <= x.max() <= 1
