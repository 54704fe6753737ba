"""Whatever its shape, dtype and strides, an array is scored as the picture it holds, or refused with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.core.errors import UnsupportedImageError
from resmem_plugin.core.images.reader import ImageReader

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
def test_any_array(red: Scorer, array: npt.NDArray[Any]) -> None:
    is_image = array.dtype == np.uint8 and array.size > 0
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
def test_arrays_of_records(array: npt.NDArray[Any]) -> None:
    with pytest.raises(UnsupportedImageError, match="not uint8"):
        ImageReader().read(array)
