from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from cellqa.errors import Undefined
from cellqa.planes.plane import as_pair, as_plane, check_data_range


@pytest.mark.parametrize(
    ("given", "wider"),
    [
        ("bool", "float32"),
        ("int8", "float32"),
        ("int16", "float32"),
        ("float16", "float32"),
        ("int32", "float64"),
        ("uint32", "float64"),
        ("int64", "float64"),
        ("uint8", "uint8"),
        ("uint16", "uint16"),
        ("float32", "float32"),
        (">u2", "uint16"),
    ],
)
def test_types_are_widened_without_loss(given: str, wider: str) -> None:
    values = np.array([[0, 1], [1, 0]]) if given == "bool" else np.array([[0, 1], [100, 127]])
    plane = as_plane(values.astype(given), "image")
    assert plane.dtype == wider
    assert np.array_equal(plane, values)


def test_strided_views_become_contiguous() -> None:
    plane = as_plane(np.arange(24).reshape(4, 6)[::2, ::-1], "image")
    assert plane.flags.c_contiguous


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((4, 4), complex), TypeError, "`image` must be of a real type"),
        (np.zeros((4, 4, 3)), ValueError, r"`image` must have the shape \(Y, X\)"),
        (np.zeros((0, 4)), ValueError, "at least one pixel"),
        (np.full((4, 4), np.nan), ValueError, "got 16 pixels that are NaN or infinite"),
        (np.array([[1.0, -np.inf]]), ValueError, "got 1 pixels that are NaN or infinite"),
    ],
)
def test_bad_images(image: np.ndarray, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        as_plane(image, "image")


def test_pairs_must_have_one_shape() -> None:
    with pytest.raises(ValueError, match=r"shape of `reference` \(4, 4\), got \(4, 5\)"):
        as_pair(np.zeros((4, 4)), np.zeros((4, 5)))


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf])
def test_data_range_must_be_above_0(bad: float) -> None:
    with pytest.raises(ValueError, match="`data_range` must be a finite number above 0"):
        check_data_range(bad)


def test_undefined_is_nan_and_keeps_its_reason_between_processes() -> None:
    copy = pickle.loads(pickle.dumps(Undefined("no peak")))
    assert math.isnan(copy)
    assert copy.reason == "no peak"
