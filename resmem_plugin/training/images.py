"""The pixels to train on, kept in a file of the run, and the batches of each epoch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import ImageError, OptionError
from resmem_plugin.core.images.preprocess import CENTER_CROP, INPUT_SIZE, RESIZED
from resmem_plugin.core.images.reader import ImageReader
from resmem_plugin.core.network.resnet import ResNet152
from resmem_plugin.core.scoring.options import available_cores
from resmem_plugin.core.scoring.progress import ProgressOption, reporting
from resmem_plugin.training.folded_resnet import resnet_logits

Batch: TypeAlias = "dict[str, Tensor]"
"""images uint8 (B, 227, 227, 3); measured (B,); row (B,); logits (B, 1000) if the ResNet is frozen."""

Pixels: TypeAlias = npt.NDArray[np.uint8]
_LEFT, _TOP = CENTER_CROP[:2]
_ROOM = RESIZED[0] - INPUT_SIZE + 1


def keep_pixels(
    images: Sequence[object], folder: str, reader: ImageReader, progress: ProgressOption
) -> tuple[Pixels, dict[int, str]]:
    """Decode every image once, into a file that is mapped: (N, 256, 256, 3), 0.2 MB each; and why some cannot be read.

    A file that was completed before is used again.

    Raises:
        OptionError: if the disk is too small for it.
    """
    path, done = os.path.join(folder, "images.npy"), os.path.join(folder, "images.json")
    if not os.path.exists(done):
        _require_space(folder, len(images) * 3 * RESIZED[0] * RESIZED[1])
        kept = np.lib.format.open_memmap(path, "w+", np.uint8, (len(images), *RESIZED, 3))
        failures = {}
        with ThreadPoolExecutor(available_cores()) as threads, reporting(progress, len(images)) as report:
            for row, (pixels, fault) in enumerate(threads.map(lambda image: _read(reader, image), images)):
                if fault is None:
                    kept[row] = pixels
                else:
                    failures[row] = fault
                report(fault is not None)
        kept.flush()
        _write_json(done, failures)
    with open(done, encoding="utf-8") as file:
        return np.load(path, mmap_mode="r"), {int(row): fault for row, fault in json.load(file).items()}


def _read(reader: ImageReader, image: object) -> tuple[Pixels | None, str | None]:
    try:
        return np.asarray(reader.read(image).image.resize(RESIZED, Image.Resampling.BILINEAR)), None
    except ImageError as error:
        return None, str(error)


def keep_logits(
    resnet: ResNet152,
    device: str,
    pixels: Pixels,
    rows: npt.NDArray[np.intp],
    path: str,
    *,
    mirrored: bool,
    progress: ProgressOption,
) -> npt.NDArray[np.float32]:
    """A frozen ResNet's outputs for these rows: (N, 1 or 2, 1000), the second for the mirrored image.

    They are kept in files that begin with the path. What a run that was killed had computed is not computed again.
    """
    done = f"{path}.json"
    variants, chunk = (False, True) if mirrored else (False,), 16
    shape = (len(pixels), len(variants), 1000)
    resnet.to(device)
    finished = 0
    if os.path.exists(done):
        with open(done, encoding="utf-8") as file:
            finished = int(json.load(file))
    if not finished:
        _require_space(os.path.dirname(path), 4 * int(np.prod(shape)))
    kept = np.lib.format.open_memmap(f"{path}.npy", "r+" if finished else "w+", np.float32, shape)
    with reporting(progress, len(rows)) as report:
        for start in range(0, len(rows), chunk):
            some = rows[start : start + chunk]
            if start >= finished:
                for number, flip in enumerate(variants):
                    batch = np.stack([crop(pixels[row], flip=flip) for row in some])
                    with torch.inference_mode():
                        kept[some, number] = resnet_logits(resnet, as_input(torch.from_numpy(batch).to(device))).cpu()
                kept.flush()
                _write_json(done, start + len(some))
            for _ in some:
                report(False)
    return kept


def crop(pixels: Pixels, *, flip: bool = False, left: int = _LEFT, top: int = _TOP) -> Pixels:
    """(256, 256, 3) -> (227, 227, 3): unless mirrored or shifted, `preprocess.pixels`."""
    found = pixels[top : top + INPUT_SIZE, left : left + INPUT_SIZE]
    return found[:, ::-1] if flip else found


def as_input(images: Tensor) -> Tensor:
    """uint8 (B, 227, 227, 3) -> float32 (B, 3, 227, 227) in [0, 1], channels last."""
    return images.permute(0, 3, 1, 2).to(torch.float32) / 255


class RatedPixels(Dataset[Batch]):
    """Batches of images with what was measured; an index is the epoch and the rows of a batch.

    Augmentation depends on the seed, the epoch and the row alone.
    """

    def __init__(
        self,
        pixels: Pixels,
        measured: npt.NDArray[np.float64],
        logits: npt.NDArray[np.float32] | None,
        *,
        augment: str = "none",
        seed: int = 0,
    ) -> None:
        self.pixels, self.measured, self.logits = pixels, measured, logits
        self.augment, self.seed = augment, seed

    def __getitem__(self, index: tuple[int, npt.NDArray[np.intp]]) -> Batch:
        epoch, rows = index
        places = [self._place(epoch, int(row)) for row in rows]
        batch = {
            "images": torch.from_numpy(
                np.stack([crop(self.pixels[row], **place) for row, place in zip(rows, places, strict=True)])
            ),
            "measured": torch.from_numpy(self.measured[rows]).float(),
            "row": torch.from_numpy(np.asarray(rows)),
        }
        if self.logits is not None:
            mirrored = [int(place["flip"]) for place in places]
            batch["logits"] = torch.from_numpy(self.logits[rows, mirrored])
        return batch

    def _place(self, epoch: int, row: int) -> dict[str, Any]:
        if self.augment == "none":
            return {"flip": False}
        random = np.random.default_rng((self.seed, epoch, row))
        flip = bool(random.integers(2))
        if self.augment == "flip":
            return {"flip": flip}
        left, top = random.integers(_ROOM, size=2)
        return {"flip": flip, "left": int(left), "top": int(top)}


class Batches(Sampler["tuple[int, npt.NDArray[np.intp]]"]):
    """The batches of an epoch for one of several devices, which share each batch; the order depends on the seed."""

    def __init__(
        self, rows: npt.NDArray[np.intp], batch_size: int, *, seed: int | None, rank: int = 0, devices: int = 1
    ) -> None:
        self.rows, self.batch_size, self.seed, self.rank, self.devices = rows, batch_size, seed, rank, devices
        self.epoch = self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.rows), self.batch_size)
        return whole + (rest >= self.devices)  # each device needs an image of the last batch

    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
        rows = self.rows if self.seed is None else np.random.default_rng((self.seed, self.epoch)).permutation(self.rows)
        for number in range(self.start, len(self)):
            batch = rows[number * self.batch_size : (number + 1) * self.batch_size]
            yield self.epoch, batch[self.rank :: self.devices]


class ResumableLoader(DataLoader[Batch]):
    """A loader that goes on at the batch where a checkpoint was written."""

    sampler: Batches
    _given = 0

    def __iter__(self) -> Any:
        self._given = self.sampler.start = self._given % max(len(self), 1)
        for batch in super().__iter__():
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Lightning keeps it in checkpoints."""
        return {"batches": self._given % max(len(self), 1)}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where `state_dict` was called."""
        self._given = state["batches"]


def training_loader(
    data: RatedPixels, rows: npt.NDArray[np.intp], batch_size: int, *, seed: int, rank: int, devices: int
) -> ResumableLoader:
    """Batches of these rows, in an order that changes with the epoch, for one of the devices."""
    batches = Batches(rows, batch_size, seed=seed, rank=rank, devices=devices)
    return ResumableLoader(data, sampler=batches, batch_size=None)


def validation_loader(
    data: RatedPixels, rows: npt.NDArray[np.intp], batch_size: int, *, rank: int, devices: int
) -> ResumableLoader:
    """Batches of one device's share of these rows, in their order."""
    share = Batches(rows[rank::devices], batch_size, seed=None)
    return ResumableLoader(data, sampler=share, batch_size=None)


def _require_space(folder: str, needed: int) -> None:
    """A mapped file on a full disk would end the process."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OptionError(
            f"the pixels of the images need {needed / 1e9:.1f} GB in {folder}, and {free / 1e9:.1f} are free: make "
            "room, or write the weights to another disk"
        )


def _write_json(path: str, content: object) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(content), encoding="utf-8")
