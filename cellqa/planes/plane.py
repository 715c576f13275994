"""Checks of images given as arrays; nowhere else are shape, type and finiteness judged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cellqa.planes import Array
from cellqa.planes.tensors import as_array
from cellqa.shown import one_line

Value = TypeVar("Value")

# Types the compiled loops take; every other is widened to one of them without loss.
_WIDEN = {
    "bool": "float32",
    "int8": "float32",
    "int16": "float32",
    "float16": "float32",  # OpenCV corrupts its memory when given float16
    "int32": "float64",
    "uint32": "float64",
    "int64": "float64",
    "uint64": "float64",
    "uint8": "uint8",
    "uint16": "uint16",
    "float32": "float32",
    "float64": "float64",
}


def as_plane(image: npt.ArrayLike, name: str, *, smallest: int = 1) -> Array:
    """Return the image as a contiguous (Y, X) array of uint8, uint16, float32 or float64.

    Other types are widened without loss (64-bit integers beyond 2**53 excepted): int8, int16,
    float16 and bool to float32, 32- and 64-bit integers to float64.

    Raises
    ------
    TypeError
        The type is not an integer, boolean or real floating point type.
    ValueError
        The shape is not (Y, X) with `smallest` pixels a side, or a value is NaN or infinite.

    Examples
    --------
    >>> as_plane([[1, 2], [3, 4]], "image").dtype
    dtype('float64')
    """
    plane = as_array(image, name)
    if plane.dtype.name not in _WIDEN:
        legal = "bool, integers, float16, float32, float64"
        raise TypeError(f"`{name}` must be of a real type ({legal}), got {plane.dtype}")
    if plane.ndim != 2:
        raise ValueError(f"`{name}` must have the shape (Y, X), got {plane.shape}")
    if min(plane.shape) < smallest:
        least = f"{smallest} x {smallest} pixels" if smallest > 1 else "one pixel"
        raise ValueError(f"`{name}` must have at least {least}, got {plane.shape}")
    plane = np.ascontiguousarray(plane, dtype=_WIDEN[plane.dtype.name])
    if plane.dtype.kind == "f" and not (np.isfinite(plane.min()) and np.isfinite(plane.max())):
        bad = plane.size - np.count_nonzero(np.isfinite(plane))
        raise ValueError(f"`{name}` must be finite, got {bad} pixels that are NaN or infinite")
    return plane


@dataclass(frozen=True)
class Plane:
    """A checked image, for the metrics.

    Attributes
    ----------
    pixels : ndarray, shape (Y, X)
        uint8, uint16, float32 or float64.
    dtype : numpy.dtype
        Of the image before it was widened.
    missing : ndarray of bool, shape (Y, X), or None
        Where there was NaN, which `pixels` has as the mean of the others; None where there was
        none.
    """

    pixels: Array
    dtype: np.dtype[Any]
    missing: Array | None = field(default=None, repr=False, compare=False)
    _known: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    __repr__ = one_line

    def once(self, compute: Callable[[Plane], Value]) -> Value:
        """`compute(self)`, kept: several metrics need an image's spectrum."""
        if compute not in self._known:
            self._known[compute] = compute(self)
        value: Value = self._known[compute]
        return value

    def beside(self, other: Plane, compute: Callable[[Plane, Plane], Value]) -> Value:
        """`compute(self, other)`, kept: several images need how the same two compare."""
        key = compute, id(other)
        if key not in self._known:
            self._known[key] = other, compute(self, other)  # other lives on, and so does its id
        value: Value = self._known[key][1]
        return value

    @property
    def shape(self) -> tuple[int, ...]:
        """(Y, X)."""
        return self.pixels.shape

    @classmethod
    def of(cls, image: npt.ArrayLike, name: str) -> Plane:
        """Check an image; see `as_plane` for what is refused."""
        return cls(as_plane(image, name), np.asarray(image).dtype)

    @classmethod
    def with_gaps(cls, image: npt.ArrayLike, name: str) -> Plane:
        """Check an image that may hold NaN where there is no picture.

        Raises
        ------
        ValueError, TypeError
            As `as_plane`, but for NaN; or there is nothing else.
        """
        pixels = np.asarray(image)
        missing = np.isnan(pixels) if pixels.dtype.kind == "f" else None
        if missing is None or not missing.any() or missing.all():
            return cls.of(image, name)
        filled = pixels.copy()
        filled[missing] = pixels[~missing].mean(dtype=np.float64)
        return cls(as_plane(filled, name), pixels.dtype, missing)

    def cropped(self, rows: slice, columns: slice) -> Plane:
        """A part of the image."""
        return Plane(np.ascontiguousarray(self.pixels[rows, columns]), self.dtype)

    @cached_property
    def real(self) -> Array:
        """The values as float32 where that is exact, else float64: what compiled loops take."""
        exact = self.pixels.dtype.itemsize <= 2 or self.pixels.dtype == np.float32
        return self.pixels.astype(np.float32 if exact else np.float64, copy=False)

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return float(self.pixels.min()), float(self.pixels.max())

    @cached_property
    def flat(self) -> bool:
        """Whether all values are equal, or their range is beyond floating point."""
        low, high = self.extremes
        return not (1e-300 < high - low < 1e300)

    @cached_property
    def digest(self) -> int:
        """A number of 56 bits that is equal for equal pixels of equal type.

        Of every fourth row, the mean and the extremes: other images have other ones.
        """
        about = f"{self.shape} {self.dtype} {self.extremes} {self.mean!r}"
        of = hashlib.blake2b(about.encode(), digest_size=7)
        of.update(np.ascontiguousarray(self.pixels[::4]).data)
        return int.from_bytes(of.digest(), "big")

    @cached_property
    def mean(self) -> float:
        """Mean value, added up in float64."""
        return float(self.real.mean(dtype=np.float64))


def as_pair(reference: npt.ArrayLike, image: npt.ArrayLike) -> tuple[Plane, Plane]:
    """Return both images as planes of one shape.

    Raises
    ------
    ValueError, TypeError
        As `as_plane`, or the shapes differ.
    """
    first = Plane.of(reference, "reference")
    second = Plane.of(image, "image")
    if first.shape != second.shape:
        raise ValueError(
            f"`image` must have the shape of `reference` {first.shape}, got {second.shape}"
        )
    return first, second


def check_data_range(data_range: float) -> float:
    """Return `data_range` as a float above 0.

    Raises
    ------
    ValueError
        It is not a finite number above 0.
    """
    if not (np.isfinite(data_range) and data_range > 0):
        raise ValueError(f"`data_range` must be a finite number above 0, got {data_range}")
    return float(data_range)


def check_pixel_size(pixel_size: float) -> None:
    """Refuse a pixel size that is not above 0.

    Raises
    ------
    ValueError
        It is 0, negative or nan.
    """
    if not pixel_size > 0:
        raise ValueError(f"`pixel_size` must be above 0 (micrometres), got {pixel_size}")
