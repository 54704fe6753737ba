"""What `ImageReader` makes of references, arrays, modes and orientations."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageOps

from resmem_plugin import Scorer
from resmem_plugin.core.errors import ClippedImagesWarning, OptionError, ThumbnailsWarning, UnsupportedImageError
from resmem_plugin.core.images.reader import ImageReader
from resmem_plugin.core.scores import Flaw
from tests.conftest import flat
from tests.models import Red
from tests.sample_images import ENCODED, photograph


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    photograph().save(buffer, "JPEG")
    return buffer.getvalue()


def test_every_kind_of_reference_is_the_same_image(red: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "a b[1]?.png"
    photograph().save(path)
    content = path.read_bytes()
    references = [
        path,
        str(path),
        content,
        bytearray(content),
        memoryview(content),
        Image.open(io.BytesIO(content)),
        np.asarray(photograph()),
        np.asarray(photograph().convert("RGBA")),
        path.as_uri().replace("%20", " ").replace("%5B", "[").replace("%5D", "]").replace("%3F", "?"),
    ]
    scores = {round(score.memorability, 6) for score in red.score(references)}
    assert len(scores) == 1


def test_one_lazy_pil_image_in_many_threads(red: Scorer) -> None:
    image = Image.open(io.BytesIO(_jpeg()))  # not loaded: its threads must not read one stream at once
    scores = Scorer(device="cpu", model=red.engine.model, num_workers=8).score([image] * 64)  # type: ignore[attr-defined]
    assert len({score.memorability for score in scores}) == 1


def test_an_array_that_is_reused_by_a_generator(red: Scorer) -> None:
    buffer = flat(0).copy()

    def frames() -> Iterator[object]:
        for value in range(20):
            buffer[:] = value
            yield buffer

    scores = [score.memorability for score in red.iter_scores(frames())]
    assert scores == pytest.approx([value / 255 for value in range(20)], abs=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_transpose_agrees_with_pillow(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    photograph().save(buffer, "PNG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(buffer))
    found = ImageReader(exif_transpose=True).read(buffer.getvalue()).image
    assert np.array_equal(np.asarray(found), np.asarray(expected))


def test_invalid_exif_metadata_is_ignored() -> None:
    tags = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHI4s", 0x011A, 2, 4, b"abc") + b"\0" * 4
    exif = b"Exif\0\0" + struct.pack("<2sHIH", b"II", 42, 8, 2) + tags  # a resolution that is text
    buffer = io.BytesIO()
    photograph().save(buffer, "JPEG", exif=exif)
    assert ImageReader(exif_transpose=True).read(buffer.getvalue()).image.size == (200, 300)


def test_arrays_of_negative_strides(red: Scorer) -> None:
    array = np.asarray(photograph())
    flipped = array[:, ::-1]
    score, expected = red.score([flipped, np.ascontiguousarray(flipped)])
    assert score.memorability == expected.memorability


def test_exif_orientation_is_an_option(red: Scorer) -> None:
    upright = Scorer(device="cpu", model=red.engine.model, exif_transpose=True)  # type: ignore[attr-defined]
    rotated = ENCODED["exif-rotated.jpg"]()
    assert ImageReader().read(rotated).image.size == (300, 200)
    assert ImageReader(exif_transpose=True).read(rotated).image.size == (200, 300)
    assert red.provenance.id != upright.provenance.id


@pytest.mark.parametrize("name", ["I16.png", "I16-big-endian.tif", "I.tif", "F-0-to-1.tif"])
def test_clipped_images_are_scored_as_upstream_does_with_a_warning(name: str, red: Scorer) -> None:
    with pytest.warns(ClippedImagesWarning, match=r"1 image\(s\).*Convert them to 8 bits first. Indices: 1") as caught:
        red.score([flat(0), ENCODED[name]()])
    assert caught[0].filename == __file__


def _raw_file() -> bytes:
    """What a raw file of a camera is to Pillow: a TIFF whose first image is a small one."""
    written = io.BytesIO()
    Image.new("RGB", (160, 120), (51, 0, 0)).save(written, "TIFF", tiffinfo={254: 1})
    return written.getvalue()


@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.parametrize("exif_transpose", [False, True])
def test_thumbnails_of_raw_files_are_scored_with_a_warning(
    processes: bool, exif_transpose: bool, tmp_path: Path
) -> None:
    (tmp_path / "a.nef").write_bytes(_raw_file())
    images = [flat(0), str(tmp_path / "a.nef"), Image.open(io.BytesIO(_raw_file()))]
    cache = tmp_path / "scores.sqlite"
    scorer = Scorer(
        device="cpu", model=Red(), cache=cache, processes=processes, exif_transpose=exif_transpose, num_workers=1
    )
    for _ in ("scored", "from the cache"):
        with pytest.warns(ThumbnailsWarning, match=r"^2 image\(s\) begin with a thumbnail.*Indices: 1 \(.*a\.nef\), 2"):
            scores = scorer.score(images)
        assert [score.flaw for score in scores] == [Flaw.NONE, Flaw.THUMBNAIL, Flaw.THUMBNAIL]
        assert scores[1].memorability == pytest.approx(0.2)


def test_a_tiff_of_full_size_is_no_thumbnail(red: Scorer) -> None:
    written = io.BytesIO()
    Image.new("RGB", (9, 9)).save(written, "TIFF", tiffinfo={254: 2})  # one page of several
    assert red.score([written.getvalue()])[0].flaw is Flaw.NONE


@pytest.mark.parametrize("name", ["I16-dark.png", "F.tif"])
def test_deep_images_within_8_bits_are_not_clipped(name: str, red: Scorer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert red.score([ENCODED[name]()])[0].ok


def test_alpha_channel_is_dropped(red: Scorer) -> None:
    hidden = Image.new("RGBA", (8, 8), (51, 0, 0, 0))
    assert red.score([hidden])[0].memorability == pytest.approx(0.2)


@pytest.mark.weights
def test_fast_decoding_stays_near_exact_decoding(scorer: Scorer, photos: dict[str, Path]) -> None:
    contents = []
    for name in ("retina.jpg", "astronaut.png", "coffee.png", "rocket.jpg", "china.jpg", "flower.jpg"):
        buffer = io.BytesIO()
        Image.open(photos[name]).convert("RGB").resize((3200, 2400), Image.Resampling.BICUBIC).save(buffer, "JPEG")
        contents.append(buffer.getvalue())
    fast = Scorer(device="cpu", decode="fast")
    assert ImageReader(decode="fast").read(contents[0]).image.size == (1600, 1200)
    exact = [score.memorability for score in scorer.score(contents)]
    assert [score.memorability for score in fast.score(contents)] == pytest.approx(exact, abs=5e-3)


def test_decode_is_exact_or_fast() -> None:
    with pytest.raises(OptionError, match="'exact' or 'fast'"):
        ImageReader(decode="quick")  # type: ignore[arg-type]


_NUMBERS = st.one_of(st.just(np.dtype(np.uint8)), arrays.scalar_dtypes())

_SHAPES = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([3, 4])),
    arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=9),
)


@st.composite
def _arrays(draw: st.DrawFn) -> npt.NDArray[Any]:
    """Arrays of any kind, seen through any order of their axes and any slices, backwards ones too."""
    array: npt.NDArray[Any] = draw(arrays.arrays(draw(_NUMBERS), draw(_SHAPES)))
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    if array.ndim and draw(st.booleans()):
        array = array[draw(arrays.basic_indices(array.shape, allow_newaxis=True, allow_ellipsis=False))]
    if draw(st.booleans()):
        array = np.broadcast_to(array, array.shape)  # read-only
    return array if isinstance(array, np.ndarray) else np.array(array)


@settings(max_examples=200, deadline=None)
@given(array=_arrays())
def test_any_array_is_an_image_or_an_error(red: Scorer, array: npt.NDArray[Any]) -> None:
    is_image = array.dtype == np.uint8 and array.size > 0
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    elif array.ndim == 3 and array.shape[0] == 1 and array.shape[2] not in (3, 4):
        array = array[0]
    is_image &= array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    score = red.score([array], errors="coerce")[0]
    assert score.ok == is_image
    if is_image:
        expected = Image.fromarray(np.ascontiguousarray(array)).convert("RGB")
        assert np.array_equal(np.asarray(ImageReader().read(array).image), np.asarray(expected))
    else:
        assert score.error is not None
        assert score.error.startswith("an array of ")


@settings(max_examples=200, deadline=None)
@given(array=arrays.arrays(arrays.array_dtypes(), arrays.array_shapes(max_side=3)))
def test_structured_arrays_are_errors(array: npt.NDArray[Any]) -> None:
    with pytest.raises(UnsupportedImageError, match="not uint8"):
        ImageReader().read(array)
