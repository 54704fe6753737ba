"""`MemorabilityModel`: ResMem as a FiftyOne model, for `apply_model`, `compute_embeddings` and the model zoo."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fiftyone.core.models as fom
import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import ImageError, OptionError, UnreadableImageError
from resmem_plugin.core.images.preprocess import pixels
from resmem_plugin.core.images.reader import DecodeMode, ImageReader, describe
from resmem_plugin.core.scores import Flaw
from resmem_plugin.core.scoring.options import ScorerOptions
from resmem_plugin.core.scoring.scorer import Scorer

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

_FLAWS = {
    Flaw.CLIPPED: "it has values outside 0-255, which were clipped, so its score means little: convert it to 8 bits",
    Flaw.THUMBNAIL: "it begins with a thumbnail, as raw files do, and only that was scored: develop it to JPEG first",
}

_logger = logging.getLogger(__name__)


class MemorabilityModel(fom.SupportsGetItem, fom.EmbeddingsMixin, fom.TorchModelMixin, fom.Model):  # type: ignore[misc,unused-ignore]
    """ResMem as a FiftyOne model, for `apply_model` and `compute_embeddings`.

    The scores are those of `Scorer`. `compute_memorability` does more: it stores errors and the provenance, resumes
    after an interruption, and scores patches. This class is for code that takes any FiftyOne model.

    Images that cannot be read: whatever the batch size, each costs its own value only. A warning in the log has the
    reason, and the sample's field is not changed. `skip_failures=False` does not stop at it.

    Embeddings are the 256 activations of the network's last hidden layer, float32, for `compute_embeddings` and
    `fob.compute_visualization(dataset, model=model)`. The embedding of an image that cannot be read is None, in the
    field or in the list that FiftyOne then returns instead of an array; with `skip_failures=False` a batch without any
    readable image raises. Visualizations skip such images.

    Patches: `compute_patch_embeddings(model, "ground_truth")` works, but FiftyOne decodes the images with OpenCV, which
    rotates them by their EXIF orientation, and an empty box costs the other boxes of its image. On a patches view
    `apply_model` fails, and `compute_embeddings` embeds whole images. For scores use
    `compute_memorability(dataset, patches_field="ground_truth")`.

    Pass `batch_size` to FiftyOne's functions, whose default is 1. Their `num_workers` are processes that decode images;
    the network stays in this process.

    Args:
        device: "auto" (CUDA, then MPS, then the CPU), "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto" (fp16 on CUDA, else fp32), "fp32", "bf16" or "fp16". For int8 pass a `scorer` with images to
            calibrate on.
        batch_size: the largest number of images per forward pass; None: what is fastest on the device.
        decode: "exact" (upstream's pixels), or "fast"; see `ScorerOptions`.
        weights: path of the weights, or None for the installed ones; see `ScorerOptions`.
        exif_transpose: rotate images by their EXIF orientation, which upstream ignores.
        storage_options: for samples whose filepath is a URL, passed to fsspec.
        scorer: a `Scorer`, instead of the options above.

    Raises:
        OptionError: for an option that does not exist or is not available on this machine.
        WeightsError: if the weights are not found or damaged.

    Examples:
        >>> import fiftyone as fo
        >>> from resmem_plugin.fiftyone import MemorabilityModel
        >>> dataset = fo.Dataset.from_images(["coffee.png", "rocket.jpg"], progress=False)
        >>> model = MemorabilityModel(device="cpu")
        >>> dataset.apply_model(model, "memorability", batch_size=32, progress=False)
        >>> [round(score, 2) for score in dataset.values("memorability")]
        [0.88, 0.64]
        >>> dataset.compute_embeddings(model, batch_size=32, progress=False).shape
        (2, 256)
    """

    has_collate_fn = True
    media_type = "image"
    ragged_batches = False
    preprocess = True  # FiftyOne sets it to False while its data loaders do the preprocessing
    config = None
    _using_gpu = False  # FiftyOne then does not pin memory, which fails for what `ReadImage` returns

    def __init__(
        self,
        *,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
        decode: DecodeMode = "exact",
        weights: str | os.PathLike[str] | None = None,
        exif_transpose: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        scorer: Scorer | None = None,
    ) -> None:
        options = ScorerOptions(
            device=device,
            precision=precision,
            batch_size=batch_size,
            decode=decode,
            weights=weights,
            exif_transpose=exif_transpose,
            storage_options=storage_options,
        )
        if scorer is not None:
            options.check_unused()
        self.scorer = scorer or Scorer.of(options)
        _ = self.scorer.engine  # raises for int8 that is not calibrated

    @property
    def has_embeddings(self) -> bool:
        """Whether the network has embeddings: ResMem has, your own network may not."""
        return self.scorer.engine.can_embed

    @property
    def transforms(self) -> Callable[[Image.Image], Tensor]:
        """What FiftyOne applies to the patches that it crops: PIL image -> uint8 tensor (3, 227, 227)."""
        return _to_tensor

    def build_get_item(self, field_mapping: Mapping[str, str] | None = None) -> ReadImage:
        """What FiftyOne's data loaders call, in worker processes, to load a sample's image."""
        reader = self.scorer.reader
        options = {
            "decode": reader.decode,
            "exif_transpose": reader.exif_transpose,
            "storage_options": reader.storage_options,
            "max_pixels": reader.max_pixels,
            "base64": reader.base64,
        }
        return ReadImage(options, field_mapping)

    @staticmethod
    def collate_fn(batch: list[Any]) -> list[Any]:
        """The batch unchanged: images that cannot be read keep their positions."""
        return batch

    def predict(self, arg: Any) -> float | None:
        """The memorability of one image: a uint8 array (H, W, 3), a PIL image or a path.

        None if it cannot be scored; the log says why.
        """
        return self.predict_all([arg])[0]

    def predict_all(self, args: Iterable[Any]) -> list[float | None]:
        """The memorability of each image, or None: see `predict`."""
        return [None if row is None else float(row) for row in self._run(self.scorer.engine.forward, args)]

    def embed(self, arg: Any) -> npt.NDArray[np.float32]:
        """The embedding (256,) of one image: a uint8 array (H, W, 3), a PIL image or a path.

        Raises:
            UnreadableImageError: if it has none; the log says why.
        """
        return np.asarray(self.embed_all([arg])[0])

    def embed_all(self, args: Iterable[Any]) -> npt.NDArray[np.float32] | list[npt.NDArray[np.float32] | None]:
        """The embeddings of images, array (B, 256), or a list with None for images that cannot be read, if any.

        Raises:
            UnreadableImageError: if all of them have none; the log says why.
            OptionError: if the network is your own and has no embeddings.
        """
        rows = self._run(self.scorer.engine.embed, args)
        found = [row for row in rows if row is not None]
        if rows and not found:
            raise UnreadableImageError("none of these images can be read: the warnings above say why")
        if len(found) == len(rows):
            return np.stack(found) if found else np.empty((0, 0), np.float32)
        return [None if row is None else row.view(_Embedding) for row in rows]

    def _run(
        self, compute: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]], args: Iterable[Any]
    ) -> list[npt.NDArray[np.float32] | None]:
        """The network's output for each image; None, and a warning in the log, for one that cannot be read."""
        images = [arg if isinstance(arg, LoadedImage) else self._load(arg) for arg in args]
        good = [image.pixels for image in images if image.pixels is not None]
        size = self.scorer.batch_size or self.scorer.engine.batch_size
        rows = (row for i in range(0, len(good), size) for row in compute(np.stack(good[i : i + size])))
        results: list[npt.NDArray[np.float32] | None] = []
        for image in images:
            result, problem = None if image.pixels is None else next(rows), image.problem
            if result is not None and not np.isfinite(result).all():
                result, problem = None, "the network returned NaN: check its weights, or use precision='fp32'"
            if problem:
                _logger.warning("%s: %s", image.name, problem)
            results.append(result)
        return results

    def _load(self, arg: Any) -> LoadedImage:
        from torch import Tensor

        if not isinstance(arg, Tensor):
            return load_image(self.scorer.reader, arg)
        array = arg.permute(1, 2, 0).cpu().numpy()
        return load_image(self.scorer.reader, array) if self.preprocess else LoadedImage("a patch", array)


@dataclass(frozen=True)
class LoadedImage:
    """An image from FiftyOne's data loaders, for the network.

    Attributes:
        name: its path, or the kind of object.
        pixels: the network's input (227, 227, 3), or None if it cannot be read.
        problem: why not, or what else is wrong with it.
    """

    name: str
    pixels: npt.NDArray[np.uint8] | None = None
    problem: str | None = None


def load_image(reader: ImageReader, reference: object) -> LoadedImage:
    """Read an image. An error is returned as a `problem`: an exception would cost the whole batch."""
    name = describe(reference)
    try:
        opened = reader.read(reference)
        return LoadedImage(
            name, pixels(opened.image), "; ".join(text for flaw, text in _FLAWS.items() if flaw in opened.flaw) or None
        )
    except ImageError as error:
        return LoadedImage(name, problem=str(error))
    except Exception as error:
        return LoadedImage(name, problem=f"cannot be read as an image: {type(error).__name__}: {error}")


class ReadImage:
    """What a data loader calls with a sample's filepath. It is pickled to worker processes, without the network.

    It has the interface of `fiftyone.utils.torch.GetItem`, whose module would import torch.

    Args:
        reader_options: options of an `ImageReader`, which itself cannot be pickled.
        field_mapping: {"filepath": name of the field with the images' paths}.
    """

    required_keys = ("filepath",)

    def __init__(self, reader_options: Mapping[str, Any], field_mapping: Mapping[str, str] | None = None) -> None:
        unknown = sorted(set(field_mapping or ()) - set(self.required_keys))
        if unknown:
            raise OptionError(f"{', '.join(unknown)}: no option of apply_model, nor a field that this model reads")
        self.field_mapping = {"filepath": "filepath", **(field_mapping or {})}
        self._options = reader_options
        self._reader = ImageReader(**reader_options)

    def __reduce__(self) -> tuple[Any, ...]:
        return ReadImage, (self._options, self.field_mapping)

    def __call__(self, sample: Mapping[str, Any]) -> LoadedImage:
        """The image of a sample, given as the fields in `field_mapping`."""
        return load_image(self._reader, sample["filepath"])


class _Embedding(np.ndarray[Any, Any]):
    """An embedding from a batch in which another image has none.

    FiftyOne stacks the embeddings of a collection at the end, which would fail with a None among them: `np.stack` then
    returns the list that `compute_embeddings` documents for that case.
    """

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func is np.stack and any(row is None for row in args[0]):
            return [None if row is None else np.asarray(row) for row in args[0]]
        return super().__array_function__(func, types, args, kwargs)


def _to_tensor(image: Image.Image) -> Tensor:
    import torch

    return torch.from_numpy(pixels(image).transpose(2, 0, 1).copy())
