"""Grey levels as networks see them: black is -1, white is 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cellqa.enhance.filters import as_type
from cellqa.planes import Array
from cellqa.planes.compiled import kernel
from cellqa.shown import one_line
from ciegan.network.percentiles import percentiles

PERCENTILES = (0.1, 99.9)  # an image's black and white


RAW = (np.dtype(np.uint8), np.dtype(np.uint16))  # types of which networks take pixels as they are


_EXACT = 2**20  # grey levels beyond lose fractions in float32


@dataclass(frozen=True)
class Normalisation:
    """Which grey levels become -1 and 1.

    Attributes
    ----------
    rule : str
        `image`, `train` or `range`; see `ciegan.config.Data`.
    low, high : float
        Of the training set; with `image`, what they are there on average.
    """

    rule: str
    low: float
    high: float

    __repr__ = one_line

    def limits(
        self, pixels: Array, whole: tuple[float, float] | None = None
    ) -> tuple[float, float]:
        """Black and white of an image: `whole` where known, else by its own percentiles."""
        if self.rule != "image":
            return self.low, self.high
        low, high = whole or percentiles(pixels, PERCENTILES)
        return (low, high) if low < high else (low, low + 1)


def channels_of(shape: tuple[int, ...]) -> int:
    """Channels of an image (Y, X) or (Y, X, S)."""
    return 1 if len(shape) == 2 else shape[2]


def scaled(pixels: Array, limits: tuple[float, float]) -> Array:
    """Grey levels as -1 (black) to 1 (white), float32, channels first (C, Y, X)."""
    low, high = limits
    planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    if planes.dtype in RAW:
        made = np.empty(planes.shape, np.float32)
        _scale(planes, np.float32(low), np.float32(2 / (high - low)), made)
        return made
    # large offsets do not fit into float32
    wide: Array = planes.astype(np.float32 if planes.dtype.itemsize <= 2 else np.float64)
    wide -= low
    wide *= 2 / (high - low)
    wide -= 1
    return wide.astype(np.float32, copy=False)


def unscaled(planes: Array, limits: tuple[float, float], colour: bool) -> Array:
    """The inverse of `scaled`, (Y, X) or (Y, X, 3): float32, or float64 where that is needed."""
    low, high = limits
    pixels = planes.astype(np.float64)
    pixels += 1
    pixels *= (high - low) / 2
    pixels += low
    if max(abs(low), abs(high)) <= _EXACT:
        pixels = pixels.astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(pixels, 0, -1)) if colour else pixels[0]


def rounded(
    planes: Array, limits: tuple[float, float], colour: bool, dtype: np.dtype[Any]
) -> tuple[Array, int]:
    """`unscaled`, as an image of a type, and how many values were beyond its range.

    Parameters
    ----------
    planes : ndarray of float32, shape (C, Y, X)
    limits : (float, float)
        Grey levels of -1 and 1.
    colour : bool
        Whether the image is (Y, X, C); otherwise (Y, X).
    dtype : numpy.dtype
    """
    low, high = limits
    if dtype in RAW and planes.dtype == np.float32 and max(abs(low), abs(high)) <= _EXACT:
        pixels = np.empty((*planes.shape[1:], len(planes)) if colour else planes.shape[1:], dtype)
        made = np.moveaxis(pixels, -1, 0) if colour else pixels[None]
        clipped = _round(planes, low, (high - low) / 2, np.float32(np.iinfo(dtype).max), made)
        return pixels, int(clipped)
    return as_pixels(unscaled(planes, limits, colour), dtype)


def as_pixels(values: Array, dtype: np.dtype[Any]) -> tuple[Array, int]:
    """Grey levels as pixels of a type, and how many were beyond its range."""
    beyond = 0
    if dtype.kind in "iu":
        ends = np.iinfo(dtype)
        beyond = int(((values < ends.min - 0.5) | (values > ends.max + 0.5)).sum())
    return as_type(values, dtype), beyond


# One pass through memory in place of ten; the results are those of NumPy, to the bit.


@kernel()
def _scale(planes: Array, low: float, factor: float, made: Array) -> None:
    channels, rows, columns = planes.shape
    for c in range(channels):
        for y in range(rows):
            for x in range(columns):
                made[c, y, x] = (np.float32(planes[c, y, x]) - low) * factor - np.float32(1)


@kernel()
def _round(planes: Array, low: float, half: float, largest: Any, made: Array) -> Any:
    channels, rows, columns = planes.shape
    half_level, no_fractions = np.float32(0.5), np.float32(1.5 * 2**23)
    clipped: Any = 0
    for c in range(channels):
        for y in range(rows):
            for x in range(columns):
                value: Any = np.float32((np.float64(planes[c, y, x]) + 1.0) * half + low)
                clipped += (value < -half_level) | (value > largest + half_level)
                value = min(max(value, np.float32(0)), largest)
                # the sum has no bits for fractions: rounded to even, as by `rint`, but in SIMD
                made[c, y, x] = np.int32((value + no_fractions) - no_fractions)
    return clipped
