"""Compiled loops of the consistency with the raw image: a Gaussian fitted in cosine space."""

from __future__ import annotations

import numpy as np

from cellqa.planes import Array
from cellqa.planes.compiled import kernel


@kernel(fastmath={"contract", "nsz"})
def radial_products(raw: Array, image: Array, y2: Array, x2: Array, scale: float, n: int) -> Array:
    """Sums of raw x image, image^2 and (squared radius x image^2) over `n` rings of cosines."""
    sums = np.zeros((n, 3))
    squares = x2.astype(np.float32)
    rings = np.empty(x2.size, np.int32)
    factor = np.float32(scale)
    for y in range(raw.shape[0]):
        start = np.float32(y2[y])
        for x in range(x2.size):  # a loop of its own, and in float32: eight at a time
            rings[x] = np.int32(np.sqrt(start + squares[x]) * factor)
        for x in range(x2.size):
            e = np.float64(image[y, x])
            row = sums[min(rings[x], n - 1)]
            row[0] += raw[y, x] * e
            row[1] += e * e
            row[2] += (y2[y] + x2[x]) * e * e
    return sums


@kernel(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _explained(sums: Array, square: Array, sigma: float) -> float:
    """What of the raw image's squares the image blurred by sigma explains, gain of any sign."""
    cross = 0.0
    energy = 0.0
    factor = -0.5 * np.pi * np.pi * sigma * sigma
    for k in range(square.size):
        g = np.exp(factor * square[k])
        cross += g * sums[k, 0]
        energy += g * g * sums[k, 1]
    return cross * cross / energy if energy > 0 else -np.inf


@kernel(error_model="numpy")
def best_sigma(sums: Array, square: Array, grid: Array) -> float:
    """The sigma that explains most: the best of the grid, refined by golden section."""
    best = 0
    highest = -np.inf
    for i in range(grid.size):
        value = _explained(sums, square, grid[i])
        if value > highest:
            highest = value
            best = i
    low = grid[max(best - 1, 0)]
    high = grid[min(best + 1, grid.size - 1)]
    ratio = (np.sqrt(5.0) - 1) / 2
    a = high - ratio * (high - low)
    b = low + ratio * (high - low)
    at_a = _explained(sums, square, a)
    at_b = _explained(sums, square, b)
    while high - low > 1e-3:
        if at_a >= at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = _explained(sums, square, a)
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = _explained(sums, square, b)
    middle = (low + high) / 2
    # the grid's own points may be the optimum: 0 is when the image is no sharper than the raw one
    if _explained(sums, square, middle) <= highest + 1e-9 * abs(highest):
        middle = grid[best]
    return float(middle)


@kernel(fastmath={"contract", "reassoc", "nsz"})
def blurred_products(raw: Array, image: Array, gy: Array, gx: Array) -> tuple[float, float]:
    """Sums of raw x blurred image and of blurred image^2, in cosine space."""
    cross = 0.0
    energy = 0.0
    for y in range(raw.shape[0]):
        row_cross = 0.0
        row_energy = 0.0
        for x in range(raw.shape[1]):
            e = gx[x] * image[y, x]
            row_cross += raw[y, x] * e
            row_energy += e * e
        cross += gy[y] * row_cross
        energy += gy[y] * gy[y] * row_energy
    return cross, energy
