"""The pixels that are kept for a training, and the batches of an epoch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from resmem_plugin import ScorerOptions
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.scoring.options import reader_of
from resmem_plugin.training.images import Batches, RatedPixels, crop, keep_logits, keep_pixels, training_loader
from tests.training.small_network import small_network

READER = reader_of(ScorerOptions())


def test_pixels_are_those_that_scoring_sees(photos: dict[str, Path], tmp_path: Path) -> None:
    images = [*map(str, photos.values())][:6]
    kept, failures = keep_pixels([*images, "none.png"], str(tmp_path), READER, progress=False)
    assert list(failures) == [6]
    assert failures[6].startswith("no such file")
    for row, image in enumerate(images):
        with Image.open(image) as opened:
            np.testing.assert_array_equal(crop(kept[row]), pixels(opened))


def test_pixels_are_decoded_once(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (9, 9, 9)).save(tmp_path / "a.png")
    keep_pixels([str(tmp_path / "a.png")], str(tmp_path), READER, progress=False)
    (tmp_path / "a.png").unlink()
    kept, failures = keep_pixels([str(tmp_path / "a.png")], str(tmp_path), READER, progress=False)
    assert not failures
    assert (kept[0] == 9).all()


def test_each_epoch_shows_every_image_once_whatever_the_devices() -> None:
    rows = np.arange(100, 123)
    orders = []
    for devices in (1, 2):
        shares = [Batches(rows, 8, seed=0, rank=rank, devices=devices) for rank in range(devices)]
        for epoch in range(2):
            for share in shares:
                share.set_epoch(epoch)
            batches = [sorted(np.concatenate([part for _, part in parts])) for parts in zip(*shares, strict=True)]
            assert sorted(np.concatenate(batches)) == rows.tolist()
            orders.append(batches)
    assert orders[:2] == orders[2:]
    assert orders[0] != orders[1]


def test_a_loader_goes_on_where_it_was_left() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 256, 256, 3), np.uint8)

    def batches() -> RatedPixels:
        return RatedPixels(images, np.linspace(0, 1, 20), None, augment="flip+crop", seed=3)

    loader = training_loader(batches(), np.arange(20), 4, seed=0, rank=0, devices=1)
    expected = list(loader)
    first = iter(loader)
    next(first), next(first)
    other = training_loader(batches(), np.arange(20), 4, seed=0, rank=0, devices=1)
    other.load_state_dict(loader.state_dict())
    rest = list(other)
    assert [batch["row"].tolist() for batch in rest] == [batch["row"].tolist() for batch in expected[2:]]
    assert all(torch.equal(x["images"], y["images"]) for x, y in zip(rest, expected[2:], strict=True))
    assert len(list(other)) == 5  # the next epoch is whole


def test_augmentation_mirrors_and_shifts() -> None:
    image = np.zeros((1, 256, 256, 3), np.uint8)
    image[0, :, :, 0], image[0, :, :, 1] = np.arange(256)[None], np.arange(256)[:, None]
    data = RatedPixels(image, np.zeros(1), None, augment="flip+crop", seed=0)
    seen = [data[epoch, np.array([0])]["images"][0].numpy() for epoch in range(60)]
    mirrored = [bool(each[0, 0, 0] > each[0, -1, 0]) for each in seen]
    assert 15 < sum(mirrored) < 45
    lefts = {int(min(each[0, 0, 0], each[0, -1, 0])) for each in seen}
    tops = {int(each[0, 0, 1]) for each in seen}
    assert min(lefts) < 5
    assert max(lefts) > 24
    assert max(lefts | tops) <= 29


def test_outputs_of_a_frozen_resnet_are_computed_once(tmp_path: Path) -> None:
    network, _ = small_network()
    images = np.random.default_rng(0).integers(0, 256, (20, 256, 256, 3), np.uint8)
    rows, path = np.array([0, 3, 19]), str(tmp_path / "logits")
    kept = keep_logits(network.features, "cpu", images, rows, path, mirrored=True, progress=False)
    x = torch.from_numpy(np.stack([crop(images[3]), crop(images[3], flip=True)])).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        expected = network.eval().features(x)
    np.testing.assert_allclose(kept[3], expected, atol=1e-5)
    network.features.fc.bias.data += 1  # which a second computation would show
    again = keep_logits(network.features, "cpu", images, rows, path, mirrored=True, progress=False)
    np.testing.assert_array_equal(again[rows], kept[rows])


def test_a_disk_that_is_too_small_is_told_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10**8)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(OptionError, match=r"need 0\.2 GB in .*, and 0\.1 are free"):
        keep_pixels(["none.png"] * 1000, str(tmp_path), READER, progress=False)
    assert not list(tmp_path.iterdir())


def test_images_of_the_caller_stay_open(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4), (9, 9, 9))
    keep_pixels([image], str(tmp_path), READER, progress=False)
    assert image.getpixel((0, 0)) == (9, 9, 9)
