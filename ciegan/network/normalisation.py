"""Grey levels as networks see them: black is -1, white is 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellqa.planes import Array

PERCENTILES = (0.1, 99.9)  # an image's black and white


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

    def limits(
        self, pixels: Array, whole: tuple[float, float] | None = None
    ) -> tuple[float, float]:
        """Black and white of an image: `whole` where known, else by its own percentiles."""
        if self.rule != "image":
            return self.low, self.high
        low, high = whole or map(float, np.percentile(pixels, PERCENTILES))
        return (low, high) if low < high else (low, low + 1)


def channels_of(shape: tuple[int, ...]) -> int:
    """Channels of an image (Y, X) or (Y, X, S)."""
    return 1 if len(shape) == 2 else shape[2]


def scaled(pixels: Array, limits: tuple[float, float]) -> Array:
    """Grey levels as -1 (black) to 1 (white), float32, channels first (C, Y, X)."""
    low, high = limits
    planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
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
