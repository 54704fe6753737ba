"""Parity: every fp32 engine gives the scores of the published package, on photographs and on every kind of image."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageCms

from resmem_plugin import ResMem, Scorer, transformer
from resmem_plugin.core.engines.resolve import ENGINES
from tests import upstream
from tests.core import golden
from tests.sample_images import photograph

pytestmark = pytest.mark.weights

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    return golden.contents()


@pytest.fixture(scope="module")
def oracle(contents: dict[str, bytes]) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # upstream's own habits
        return upstream.session_scores(contents)


@pytest.fixture(scope="module", params=[name for name in ENGINES if name != "auto"])
def ours(request: pytest.FixtureRequest, contents: dict[str, bytes], cache_folder: Path) -> dict[str, float]:
    """The scores of each engine in fp32."""
    scorer = Scorer(device="cpu", engine=request.param, precision="fp32")
    assert (scorer.provenance.engine, scorer.provenance.precision) == (request.param, "fp32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 16-bit and float images are among them
        return {name: score.memorability for name, score in zip(contents, scorer.score(contents.values()), strict=True)}


def test_there_are_at_least_twelve_photographs(photos: dict[str, Path]) -> None:
    assert len(photos) >= 12


def test_every_fp32_engine_agrees_with_upstream(ours: dict[str, float], oracle: dict[str, float]) -> None:
    assert ours == pytest.approx(oracle, abs=TOLERANCE)


def test_every_fp32_engine_agrees_with_the_golden_table(ours: dict[str, float]) -> None:
    assert ours == pytest.approx(golden.read(), abs=TOLERANCE)


def test_the_golden_table_agrees_with_upstream(oracle: dict[str, float]) -> None:
    assert golden.read() == pytest.approx(oracle, abs=TOLERANCE)


def test_transformer_equals_upstreams_bit_for_bit(contents: dict[str, bytes]) -> None:
    import resmem

    for name, content in contents.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = resmem.transformer(Image.open(io.BytesIO(content)).convert("RGB"))
        assert torch.equal(transformer(Image.open(io.BytesIO(content))), theirs), name


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"])
def test_pil_images_of_any_mode(mode: str, scorer: Scorer) -> None:
    image = _in_mode(photograph(), mode)
    expected = upstream.score_image(image.convert("RGB"))
    assert scorer.score([image])[0].memorability == pytest.approx(expected, abs=TOLERANCE)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "PA":
        return image.quantize(32).convert("PA")
    if mode == "LAB":
        return ImageCms.profileToProfile(  # type: ignore[return-value]
            image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
    return image.convert(mode)


def test_state_dict_has_upstreams_entries() -> None:
    theirs = upstream.model().state_dict()
    with torch.device("meta"):
        mine = ResMem().state_dict()
    assert len(mine) == 956
    assert {key: tensor.shape for key, tensor in mine.items()} == {key: tensor.shape for key, tensor in theirs.items()}


def test_state_dicts_can_be_exchanged(photos: dict[str, Path]) -> None:
    network = ResMem(pretrained=True)
    assert all(torch.equal(tensor, network.state_dict()[key]) for key, tensor in upstream.model().state_dict().items())
    network.eval()
    x = torch.stack([transformer(Image.open(photos[name])) for name in ("coffee.png", "rocket.jpg")])
    with torch.inference_mode():
        assert torch.allclose(network(x), upstream.model()(x), atol=TOLERANCE)


@pytest.fixture
def an_image_at_its_path(photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> float:
    """The README's own path, holding a image with an alpha channel; returns its golden score."""
    (tmp_path / "path/to").mkdir(parents=True)
    Image.open(photos["coffee.png"]).convert("RGBA").save(tmp_path / "path/to/image", "PNG")
    monkeypatch.chdir(tmp_path)
    return golden.read()["coffee.png"]


def test_upstreams_readme_runs_verbatim(an_image_at_its_path: float) -> None:
    # Upstream's README but for the package's name. Its convert() does nothing, its batch dimension is missing.
    from resmem_plugin import ResMem, transformer

    model = ResMem(pretrained=True)

    from PIL import Image

    img = Image.open("./path/to/image")
    img.convert("RGB")

    model.eval()

    image_x = transformer(img)

    prediction = model(image_x)

    assert prediction.shape == (1,)
    assert float(prediction.detach()) == pytest.approx(an_image_at_its_path, abs=TOLERANCE)
