"""Compiled loops of decorrelation analysis: window, radial sums, curves, peaks."""

from __future__ import annotations

import numpy as np

from cellqa.planes import Array
from cellqa.planes.compiled import kernel

# Steps of the table from which exp(-u) is interpolated, and the u beyond which it is 0.
_STEPS = 64
_LAST = 40.0
_EXP_TABLE = np.exp(-(np.arange(int(_LAST * _STEPS) + 2)) / _STEPS)


@kernel(fastmath={"contract", "reassoc", "nsz"})
def taper(plane: Array, mean: float, gain: float, wy: Array, wx: Array, out: Array) -> float:
    """(plane - mean) x gain x window into `out`, cropped to the windows; returns its exact sum."""
    total = 0.0
    for y in range(wy.size):
        row = 0.0
        for x in range(wx.size):
            value = (plane[y, x] - mean) * gain * wx[x]
            row += value
            out[y, x] = value * wy[y]
        total += row * wy[y]
    return total


@kernel(error_model="numpy")
def radial_sums(
    spectrum: Array, bins: Array, y2: Array, x2: Array, radius2: Array
) -> tuple[Array, Array]:
    """Sums over each radial bin of |F|, |F|^2, and of both times (R^2 - the bin's mean R^2).

    `spectrum` is the half plane that `rfft2` returns for an image of odd sides; rows +y and -y
    lie at the same radius and are folded, all but the first column count twice. Also returned:
    the number of frequencies that are exactly 0, for each bin.
    """
    ny, nx = spectrum.shape
    sums = np.zeros((radius2.size, 4))
    zeros = np.zeros(radius2.size)
    for y in range(ny // 2 + 1):
        for x in range(nx):
            f = spectrum[y, x]
            power = f.real * f.real + f.imag * f.imag
            magnitude = np.sqrt(power)
            zero = np.float32(power == 0)
            if y > 0:
                f = spectrum[ny - y, x]
                other = f.real * f.real + f.imag * f.imag
                power += other
                magnitude += np.sqrt(other)
                zero += np.float32(other == 0)
            if x > 0:
                power *= 2
                magnitude *= 2
                zero *= 2
            b = bins[y, x]
            distance = y2[y] + x2[x] - radius2[b]
            row = sums[b]
            row[0] += magnitude
            row[1] += power
            row[2] += magnitude * distance
            row[3] += power * distance
            if zero > 0:
                zeros[b] += zero
    return sums, zeros


@kernel()
def join_bins(
    sums: Array, counts: Array, radius2: Array, groups: Array, n: int
) -> tuple[Array, Array, Array]:
    """Join neighbouring bins into `n` groups: their sums, counts and mean squared radius."""
    joined = np.zeros((n, 4))
    number = np.zeros(n)
    mean = np.zeros(n)
    for b in range(radius2.size):
        g = groups[b]
        number[g] += counts[b]
        mean[g] += counts[b] * radius2[b]
    for g in range(n):
        if number[g] > 0:
            mean[g] /= number[g]
    for b in range(radius2.size):
        g = groups[b]
        distance = radius2[b] - mean[g]
        joined[g, 0] += sums[b, 0]
        joined[g, 1] += sums[b, 1]
        joined[g, 2] += sums[b, 2] + sums[b, 0] * distance
        joined[g, 3] += sums[b, 3] + sums[b, 1] * distance
    return joined, number, mean


@kernel(error_model="numpy", fastmath={"contract", "nsz"})
def _high_pass(g: float, radius2: Array, out: Array) -> None:
    """1 - exp(-2 g^2 R^2) of each bin, to 1e-13; infinite g filters nothing."""
    if np.isinf(g):
        out[:] = 1.0
        return
    scale = 2 * g * g
    for b in range(out.size):
        u = scale * radius2[b]
        if u >= _LAST:
            out[b] = 1.0
            continue
        i = np.int64(u * _STEPS + 0.5)
        f = i / _STEPS - u
        out[b] = 1 - _EXP_TABLE[i] * (1 + f * (1 + f / 2 * (1 + f / 3 * (1 + f / 4))))


@kernel(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def decorrelation_curves(
    sums: Array, counts: Array, radius2: Array, filters: Array, stops: Array
) -> Array:
    """d(r) of each high-pass filter at the radii that end after `stops` bins, floored to 3 digits.

    The filter is taken at the bin's mean R^2, with its slope there for how the bin's magnitude
    and power are spread around that mean.
    """
    n_bins = radius2.size - 1  # the last bin lies outside r = 1
    out = np.zeros((filters.size, stops.size))
    h = np.empty(n_bins)
    number = np.zeros(stops.size)
    for k in range(stops.size):
        start = 0 if k == 0 else stops[k - 1]
        number[k] = (0.0 if k == 0 else number[k - 1]) + counts[start : stops[k]].sum()
    for i in range(filters.size):
        g = filters[i]
        _high_pass(g, radius2, h)
        slope = 0.0 if np.isinf(g) else 2 * g * g
        energy = 0.0
        for b in range(n_bins):
            energy += (sums[b, 1] * h[b] + 2 * slope * (1 - h[b]) * sums[b, 3]) * h[b]
        total = 0.0
        start = 0
        for k in range(stops.size):
            for b in range(start, stops[k]):
                total += sums[b, 0] * h[b] + slope * (1 - h[b]) * sums[b, 2]
            start = max(start, stops[k])
            square = energy * number[k]
            if square > 0:
                out[i, k] = np.floor(1000 * (total / np.sqrt(square))) / 1000
    return out


@kernel()
def _last_peak(curve: Array) -> int:
    """Index of the last running maximum that a lower value follows; 0 if there is none."""
    peak = 0
    highest = 0
    for k in range(1, curve.size):
        if curve[k] > curve[highest]:
            highest = k
        elif curve[k] < curve[highest]:
            peak = highest
    return peak


@kernel()
def _first_peak_from_above(curve: Array, start: int) -> int:
    """Scan downwards; the first suffix whose peak is not its first sample gives the index."""
    for first in range(curve.size - 1, start - 1, -1):
        peak = _last_peak(curve[first:])
        if peak > 0:
            return int(first + peak)
    return start


@kernel()
def peaks(curves: Array, start: int, fast: bool) -> Array:
    """Index of the peak of each curve; `fast` scans from above and not below `start`."""
    out = np.empty(curves.shape[0], np.int64)
    for i in range(curves.shape[0]):
        out[i] = _first_peak_from_above(curves[i], start) if fast else _last_peak(curves[i])
    return out


@kernel(error_model="numpy")
def sector_sums(
    spectrum: Array, bins: Array, y2: Array, x2: Array, radius2: Array, sectors: int
) -> tuple[Array, Array]:
    """As `radial_sums` for each pair of opposite wedges; also the number of frequencies != 0.

    Wedge k is centred on the direction k x 180 degrees / `sectors`, counted from +x towards +y
    (downwards in the image). The frequency 0 is shared by all.
    """
    ny, nx = spectrum.shape
    sums = np.zeros((sectors, radius2.size, 4))
    counts = np.zeros((sectors, radius2.size))
    for row in range(ny):
        y = row if row <= ny // 2 else ny - row
        sign = 1.0 if row <= ny // 2 else -1.0
        for x in range(nx):
            f = spectrum[row, x]
            power = f.real * f.real + f.imag * f.imag
            if power == 0:
                continue
            angle = np.arctan2(sign * np.sqrt(y2[y]), np.sqrt(x2[x]))  # -90 to 90 degrees
            k = int(np.floor(angle / np.pi * sectors + 0.5)) % sectors
            b = bins[y, x]
            weight = 1.0 if x == 0 else 2.0
            distance = y2[y] + x2[x] - radius2[b]
            first, last = (0, sectors) if x == 0 and y == 0 else (k, k + 1)
            share = weight / (last - first)
            for s in range(first, last):
                sums[s, b, 0] += share * np.sqrt(power)
                sums[s, b, 1] += share * power
                sums[s, b, 2] += share * np.sqrt(power) * distance
                sums[s, b, 3] += share * power * distance
                counts[s, b] += share
    return sums, counts
