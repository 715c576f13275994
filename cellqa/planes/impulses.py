"""Hot pixels: alone, and further out than optics can make them."""

from __future__ import annotations

from typing import Any

import numpy as np

from cellqa.planes import Array
from cellqa.planes.compiled import kernel

_OUT = 4.0  # times as far out as the highest neighbour
_NOISE = 8.0  # standard deviations
_SAMPLE = 32  # rows, at most, that the noise is taken from


def impulses(pixels: Array) -> tuple[Array, Array]:
    """Pixels that stand out four times as far as any of their neighbours.

    Parameters
    ----------
    pixels : ndarray, shape (Y, X)

    Returns
    -------
    ndarray of int, shape (n, 2)
        Their places.
    ndarray of float, shape (n,)
        The median of the pixels around each, which may take its place.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).normal(100, 5, (64, 64))
    >>> image[10, 20] = 900
    >>> places, around = impulses(image)
    >>> places.tolist(), bool(around[0] < 120)
    ([[10, 20]], True)
    """
    values = np.ascontiguousarray(pixels)
    if min(values.shape) < 3:
        return np.empty((0, 2), int), np.empty(0)
    wide = values.dtype == np.float64  # whose values may be beyond those of float32
    rows = values[:: -(-len(values) // _SAMPLE)].astype(np.float64 if wide else np.float32)
    noise = float(np.median(np.abs(np.diff(rows, axis=1)))) / (0.6745 * np.sqrt(2))
    found, medians = np.empty((values.size // 4 + 1, 2), np.int32), np.empty(values.size // 4 + 1)
    number = int(_find(values, _NOISE * noise, found, medians))
    return found[:number], medians[:number]


def without_impulses(pixels: Array, places: Array, medians: Array) -> Array:
    """The image with other values at these places, in its own type."""
    if not len(places):
        return pixels
    made = pixels.copy()
    whole = np.rint(medians) if pixels.dtype.kind in "iu" else medians
    made[places[:, 0], places[:, 1]] = whole.astype(pixels.dtype)
    return made


@kernel()
def _find(values: Array, noise: float, found: Array, medians: Array) -> Any:
    rows, columns = values.shape
    block, number = np.empty(9), 0
    for y in range(rows):
        for x in range(columns):
            value = np.float64(values[y, x])
            # what is to stand out is above each neighbour by the noise: few are looked at closely
            if x > 0 and values[y, x - 1] >= value - noise:
                continue
            if x + 1 < columns and values[y, x + 1] >= value - noise:
                continue
            around = 0
            for j in range(max(y - 1, 0), min(y + 2, rows)):
                for i in range(max(x - 1, 0), min(x + 2, columns)):
                    if j != y or i != x:
                        block[around] = values[j, i]
                        around += 1
            highest = block[:around].max()
            if highest >= value - noise:
                continue
            middle = np.median(block[:around])
            if value - middle > _OUT * (highest - middle) + noise:
                found[number, 0], found[number, 1] = y, x
                medians[number] = middle
                number += 1
    return number
