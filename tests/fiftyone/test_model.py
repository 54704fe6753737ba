from __future__ import annotations

import itertools
import math
import pickle
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError, UnreadableImageError
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.fiftyone.model import LoadedImage, MemorabilityModel, load_image
from tests.conftest import flat
from tests.models import WithEmbeddings


@pytest.fixture(scope="module")
def embedder() -> MemorabilityModel:
    return MemorabilityModel(scorer=Scorer(device="cpu", model=WithEmbeddings(), batch_size=3))


@pytest.fixture
def flats(tmp_path: Path) -> list[Path]:
    """Six images, of which `red` scores the nth as n / 5."""
    paths = [tmp_path / f"{value}.png" for value in range(0, 256, 51)]
    for path in paths:
        Image.fromarray(flat(int(path.stem))).save(path)
    return paths


def add(dataset: Any, paths: Iterable[Path | str], **fields: Any) -> list[str]:
    """Add samples, and return their paths."""
    import fiftyone as fo

    dataset.add_samples([fo.Sample(filepath=str(path), **fields) for path in paths], progress=False)
    filepaths: list[str] = dataset.values("filepath")
    return filepaths


def interleaved(good: list[Path], bad: dict[str, str]) -> list[Path | str]:
    return [path for pair in itertools.zip_longest(good, bad.values()) for path in pair if path is not None]


@pytest.mark.weights
@pytest.mark.parametrize(("batch_size", "num_workers"), [(None, 0), (4, 2), (100, 0)])
def test_apply_model_scores_equal_those_of_the_scorer(
    dataset: Any,
    scorer: Scorer,
    photos: dict[str, Path],
    bad: dict[str, str],
    batch_size: int | None,
    num_workers: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    import fiftyone as fo

    good = [photos[name] for name in ("coffee.png", "rocket.jpg", "moon.png", "chelsea.png")]
    paths = add(dataset, interleaved(good, bad))
    dataset.apply_model(
        MemorabilityModel(device="cpu"), "memorability", batch_size=batch_size, num_workers=num_workers, progress=False
    )
    assert isinstance(dataset.get_field("memorability"), fo.FloatField)
    expected = [score.memorability if score.ok else None for score in scorer.score(paths, errors="coerce")]
    assert sum(score is None for score in expected) == len(bad)
    assert dataset.values("memorability") == pytest.approx(expected, abs=1e-6)
    for path in bad.values():
        assert f"{path}: " in caplog.text


@pytest.mark.weights
@pytest.mark.parametrize(("batch_size", "num_workers"), [(1, 0), (4, 2)])
def test_compute_embeddings_equal_those_of_the_scorer(
    dataset: Any, scorer: Scorer, photos: dict[str, Path], bad: dict[str, str], batch_size: int, num_workers: int
) -> None:
    import fiftyone as fo

    good = [photos[name] for name in ("coffee.png", "rocket.jpg", "moon.png", "chelsea.png")]
    paths = add(dataset, interleaved(good, bad))
    model = MemorabilityModel(scorer=scorer)
    options = {"batch_size": batch_size, "num_workers": num_workers, "progress": False}
    returned = dataset.compute_embeddings(model, **options)
    dataset.compute_embeddings(model, embeddings_field="embedding", **options)
    assert isinstance(dataset.get_field("embedding"), fo.VectorField)
    kept = dataset.values("embedding")
    assert isinstance(returned, list)
    for path, one, other in zip(paths, returned, kept, strict=True):
        if path in bad.values():
            assert one is None
            assert other is None
            continue
        expected = scorer.engine.embed(pixels(Image.open(path))[None].copy())[0]
        assert type(one) is np.ndarray
        assert (one.shape, one.dtype) == ((256,), np.float32)
        assert one == pytest.approx(expected, abs=1e-4)
        assert other == pytest.approx(expected, abs=1e-4)


def test_embeddings_of_good_images_are_an_array(dataset: Any, embedder: MemorabilityModel, flats: list[Path]) -> None:
    add(dataset, flats)
    embeddings = dataset.compute_embeddings(embedder, batch_size=4, num_workers=0, progress=False)
    assert type(embeddings) is np.ndarray
    assert embeddings == pytest.approx(np.repeat(np.arange(6)[:, None] / 5, 3, axis=1), abs=1e-6)


def test_visualizations_skip_unreadable_images(
    dataset: Any, embedder: MemorabilityModel, flats: list[Path], bad: dict[str, str]
) -> None:
    import fiftyone.brain as fob

    add(dataset, interleaved(flats, bad))
    dataset.compute_embeddings(embedder, embeddings_field="embedding", batch_size=4, num_workers=0, progress=False)
    options = {"method": "pca", "num_dims": 2, "verbose": False}
    ids = {sample.id for sample in dataset if Path(sample.filepath) in flats}
    of_field = fob.compute_visualization(dataset, embeddings="embedding", brain_key="of_field", **options)
    of_model = fob.compute_visualization(
        dataset,
        model=embedder,
        brain_key="of_model",
        batch_size=4,
        num_workers=0,
        progress=False,
        **options,
    )
    for results in (of_field, of_model):
        assert set(results.sample_ids) == ids
        assert results.points.shape == (6, 2)
        assert np.isfinite(results.points).all()
    assert dataset.load_brain_results("of_model").points == pytest.approx(of_model.points)


def test_patches_can_be_embedded(
    dataset: Any, embedder: MemorabilityModel, tmp_path: Path, bad: dict[str, str]
) -> None:
    import fiftyone as fo

    halves = np.concatenate([np.full((40, 20, 3), 51, np.uint8), np.full((40, 20, 3), 255, np.uint8)], axis=1)
    Image.fromarray(halves).save(tmp_path / "halves.png")
    boxes = [[0, 0, 0.5, 1], [0.5, 0, 0.5, 1], [0, 0, 1, 1]]
    objects = fo.Detections(detections=[fo.Detection(label="half", bounding_box=box) for box in boxes])
    add(dataset, [tmp_path / "halves.png", bad["text"]], objects=objects)
    good, broken = dataset.values("id")
    embeddings = dataset.compute_patch_embeddings(embedder, "objects", batch_size=2, num_workers=0, progress=False)
    assert embeddings[broken] is None
    assert embeddings[good][:, 0] == pytest.approx([0.2, 1, 0.6], abs=1e-2)
    dataset.compute_patch_embeddings(
        embedder, "objects", embeddings_field="embedding", batch_size=1, num_workers=2, progress=False
    )
    assert dataset[good].objects.detections[1].embedding[0] == pytest.approx(1)


def test_a_whole_image_as_a_patch_is_embedded_as_the_image(
    dataset: Any, embedder: MemorabilityModel, photos: dict[str, Path]
) -> None:
    import fiftyone as fo

    whole = fo.Detections(detections=[fo.Detection(label="all", bounding_box=[0, 0, 1, 1])])
    add(dataset, [photos["coffee.png"]], objects=whole)
    options = {"num_workers": 0, "progress": False}
    image = dataset.compute_embeddings(embedder, **options)
    patches = dataset.compute_patch_embeddings(embedder, "objects", **options)
    assert patches[dataset.first().id] == pytest.approx(image, abs=1e-6)


def test_arrays_and_pil_images(embedder: MemorabilityModel, caplog: pytest.LogCaptureFixture) -> None:
    assert embedder.predict(flat(51)) == pytest.approx(0.2)
    images = [flat(0), Image.new("L", (9, 5), 255), flat(51)[:, :, 0], flat(1).astype(np.float32), flat(102)]
    assert embedder.predict_all(images) == pytest.approx([0, 1, 0.2, None, 0.4])
    assert "<array (4, 4, 3) float32>: " in caplog.text
    assert embedder.predict_all(np.stack([flat(51), flat(102)])) == pytest.approx([0.2, 0.4])
    assert embedder.predict(torch.from_numpy(flat(51)).permute(2, 0, 1)) == pytest.approx(0.2)
    assert embedder.predict_all([]) == []
    assert embedder.embed(flat(51)) == pytest.approx(np.full(3, 0.2))
    assert len(embedder.embed_all([])) == 0
    with pytest.raises(UnreadableImageError, match="none of these images can be read"):
        embedder.embed(b"no image")


def test_nan_of_the_network_becomes_none(caplog: pytest.LogCaptureFixture) -> None:
    def model(x: Tensor) -> Tensor:
        return torch.where(x[:, 0, 0, 0] > 0, x[:, 0, 0, 0], math.nan)

    nan = MemorabilityModel(scorer=Scorer(device="cpu", model=model))
    assert nan.predict_all([flat(51), flat(0)]) == [pytest.approx(0.2), None]
    assert "the network returned NaN" in caplog.text


def test_clipped_images_and_thumbnails_are_scored_with_a_warning(
    embedder: MemorabilityModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "deep.png")
    assert embedder.predict(tmp_path / "deep.png") == pytest.approx(1)
    assert "deep.png: it has values outside 0-255" in caplog.text
    Image.new("RGB", (16, 12), (51, 0, 0)).save(tmp_path / "raw.tif", tiffinfo={254: 1})
    assert embedder.predict(tmp_path / "raw.tif") == pytest.approx(0.2)
    assert "raw.tif: it begins with a thumbnail" in caplog.text


def test_batches_are_no_larger_than_the_scorers(flats: list[Path]) -> None:
    sizes: list[int] = []

    def model(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return x[:, 0].mean(dim=(1, 2))

    MemorabilityModel(scorer=Scorer(device="cpu", model=model, batch_size=4)).predict_all(flats)
    assert sizes == [4, 2]


def test_field_mapping_of_filepath(dataset: Any, embedder: MemorabilityModel, flats: list[Path]) -> None:
    add(dataset, flats[:1], thumbnail=str(flats[1]))
    options: dict[str, Any] = {"num_workers": 0, "progress": False}
    dataset.apply_model(embedder, "memorability", filepath="thumbnail", **options)
    assert dataset.values("memorability") == pytest.approx([0.2])
    with pytest.raises(OptionError, match="threshold: no option of apply_model"):
        dataset.apply_model(embedder, "memorability", threshold=0.5, **options)


def test_a_view_of_patches_is_refused(dataset: Any, embedder: MemorabilityModel, flats: list[Path]) -> None:
    import fiftyone as fo

    add(dataset, flats[:1], objects=fo.Detections(detections=[fo.Detection(label="a", bounding_box=[0, 0, 1, 1])]))
    with pytest.raises(ValueError, match="has no field 'objects'"):  # FiftyOne's words; the class says what to do
        dataset.to_patches("objects").apply_model(embedder, "memorability", num_workers=0, progress=False)


def test_field_is_unchanged_for_unreadable_images(dataset: Any, embedder: MemorabilityModel, flats: list[Path]) -> None:
    add(dataset, flats[:2], memorability=0.9)
    flats[0].unlink()
    dataset.apply_model(embedder, "memorability", batch_size=2, num_workers=0, progress=False)
    assert dataset.values("memorability") == pytest.approx([0.9, 0.2])


def test_a_network_without_embeddings(dataset: Any, red: Scorer, flats: list[Path]) -> None:
    add(dataset, flats[:1])
    model = MemorabilityModel(scorer=red)
    assert not model.has_embeddings
    with pytest.raises(ValueError, match="must expose embeddings"):
        dataset.compute_embeddings(model)
    with pytest.raises(OptionError, match="has no embeddings"):
        model.embed_all([flat(1)])


def test_get_item_pickles_without_the_network(embedder: MemorabilityModel, flats: list[Path]) -> None:
    pickled = pickle.dumps((embedder.build_get_item({"filepath": "thumbnail"}), embedder.collate_fn))
    assert len(pickled) < 1000
    read, collate = pickle.loads(pickled)
    assert read.field_mapping == {"filepath": "thumbnail"}
    (loaded,) = collate([read({"filepath": str(flats[1])})])
    assert isinstance(loaded, LoadedImage)
    assert isinstance(loaded.pixels, np.ndarray)
    assert embedder.predict_all([loaded]) == pytest.approx([0.2])


def test_any_error_affects_only_its_own_image(red: Scorer) -> None:
    class Broken(Image.Image):
        def load(self) -> Any:
            raise RuntimeError("the decoder fell over")

    assert "the decoder fell over" in str(load_image(red.reader, Broken()).problem)
    assert "missing value" in str(load_image(red.reader, None).problem)


def test_the_readers_options_reach_the_data_loaders(dataset: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(np.concatenate([flat(0), flat(255)])).save(tmp_path / "turned.jpg", exif=exif)

    def top(x: Tensor) -> Tensor:
        return x[:, 0, 0, 0]

    add(dataset, [tmp_path / "turned.jpg"])
    for exif_transpose, expected in ((False, 0), (True, 1)):
        scorer = Scorer(device="cpu", model=top, exif_transpose=exif_transpose)
        dataset.apply_model(MemorabilityModel(scorer=scorer), "memorability", num_workers=0, progress=False)
        assert dataset.values("memorability") == pytest.approx([expected], abs=0.05)


def test_scorer_excludes_other_options(red: Scorer) -> None:
    with pytest.raises(OptionError, match="scorer brings its own device"):
        MemorabilityModel(scorer=red, device="cpu")
    with pytest.raises(OptionError, match="device must be"):
        MemorabilityModel(device="tpu")


def test_importing_it_does_not_load_torch() -> None:
    code = "import sys, resmem_plugin.fiftyone.model; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
