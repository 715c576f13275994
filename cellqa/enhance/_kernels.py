"""CLAHE for any real type, compiled."""

from __future__ import annotations

import numpy as np

from cellqa.planes import Array
from cellqa.planes.compiled import kernel


@kernel()
def _tile(ny: int, nx: int, rows: int, columns: int) -> tuple[int, int]:
    """Height and width of a tile, by OpenCV's rule: if one side has a remainder, both grow."""
    if ny % rows == 0 and nx % columns == 0:
        return ny // rows, nx // columns
    return ny // rows + 1, nx // columns + 1


@kernel()
def _mirror(at: int, n: int) -> int:
    """The pixel that stands at `at` when the far edge is mirrored."""
    if n == 1:
        return 0
    at %= 2 * n - 2
    return at if at < n else 2 * n - 2 - at


@kernel()
def _mapping(
    plane: Array, low: float, scale: float, clip_limit: float, rows: int, columns: int, bins: int
) -> Array:
    """Clipped, normalised cumulative histogram at the bins' edges, for each tile."""
    ny, nx = plane.shape
    height, width = _tile(ny, nx, rows, columns)
    table = np.zeros((rows, columns, bins + 1))
    area = height * width
    limit = max(int(clip_limit * area / bins), 1)
    for r in range(rows):
        for c in range(columns):
            counts = np.zeros(bins, np.int64)
            for y in range(r * height, (r + 1) * height):
                v = _mirror(y, ny)
                for x in range(c * width, (c + 1) * width):
                    u = _mirror(x, nx)
                    level = int((plane[v, u] - low) * scale)
                    counts[min(max(level, 0), bins - 1)] += 1
            excess = 0
            for b in range(bins):
                if counts[b] > limit:
                    excess += counts[b] - limit
                    counts[b] = limit
            # What is over the limit is spread as OpenCV does it: evenly, and the remainder one by
            # one from the lowest level up. In tiles of few pixels that shows.
            counts += excess // bins
            rest = excess % bins
            step = max(bins // max(rest, 1), 1)
            for k in range(rest):
                counts[k * step] += 1
            total = 0
            for b in range(bins):
                total += counts[b]
                table[r, c, b + 1] = total / area
    return table


@kernel()
def equalise(
    plane: Array, low: float, high: float, clip_limit: float, rows: int, columns: int, bins: int
) -> Array:
    """Map each pixel through its four nearest tiles' mappings, bilinearly."""
    ny, nx = plane.shape
    scale = bins / (high - low)
    table = _mapping(plane, low, scale, clip_limit, rows, columns, bins)
    height, width = _tile(ny, nx, rows, columns)
    out = np.empty((ny, nx))
    for y in range(ny):
        v = y / height - 0.5
        r = int(np.floor(v))
        down = v - r
        r0 = min(max(r, 0), rows - 1)
        r1 = min(max(r + 1, 0), rows - 1)
        for x in range(nx):
            u = x / width - 0.5
            c = int(np.floor(u))
            right = u - c
            c0 = min(max(c, 0), columns - 1)
            c1 = min(max(c + 1, 0), columns - 1)
            place = min(max((plane[y, x] - low) * scale, 0.0), float(bins))
            b = min(int(place), bins - 1)
            f = place - b
            upper = (1 - right) * (table[r0, c0, b] * (1 - f) + table[r0, c0, b + 1] * f)
            upper += right * (table[r0, c1, b] * (1 - f) + table[r0, c1, b + 1] * f)
            lower = (1 - right) * (table[r1, c0, b] * (1 - f) + table[r1, c0, b + 1] * f)
            lower += right * (table[r1, c1, b] * (1 - f) + table[r1, c1, b + 1] * f)
            out[y, x] = low + (high - low) * ((1 - down) * upper + down * lower)
    return out
