"""The displacement of two tiles that overlap: phase correlation, then least squares."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import scipy.fft
import scipy.ndimage

from cellqa.planes import Array

THINNEST = 10  # pixels of overlap below which any two tiles may agree
_EDGE = 1  # pixels at the border of tiles that smoothing has mirrored
_PEAKS = 8  # of the phase correlation that are looked at
_APART = 3  # pixels within which peaks are one
_BAND = 0.15  # cycles per pixel: noise has more of the phases beyond than structure has
_SMOOTH = 1.0  # pixels: noise between them would draw the result to whole pixels
_PASSES = 12
_CONVERGED = 2e-3  # pixels
_STEPS = 12  # pixels from a peak of the phases that the correlation's may lie
_FARTHEST = 1.5  # pixels from the correlation's peak that its refinement may go


class Match(NamedTuple):
    """Displacement of the second tile against the first, and the correlation of their overlap.

    The correlation is nan where there was nothing to correlate.
    """

    y: float
    x: float
    correlation: float


def prepared(plane: Array) -> Array:
    """A tile as `register` wants it: smoothed a little, in float32."""
    return np.asarray(cv2.GaussianBlur(plane.astype(np.float32), (0, 0), _SMOOTH))


def register(
    first: Array,
    second: Array,
    centre: tuple[float, float],
    reach: tuple[float, float],
    *,
    refine: bool = True,
) -> Match:
    """Displacement (y, x) of the second tile against the first, within `reach` of `centre`.

    The parts of both tiles that can overlap are phase correlated (Kuglin and Hines 1975). Its
    highest peaks are judged by the normalised cross-correlation of the overlap that each would
    mean (Preibisch et al. 2009, doi 10.1093/bioinformatics/btp184), smooth differences of
    illumination taken off. From the best, the correlation is climbed (Chalfoun et al. 2017, doi
    10.1038/s41598-017-04567-y), and refined to a fraction of a pixel.

    Parameters
    ----------
    first, second : ndarray, shape (Y, X)
        From `prepared`.
    centre, reach : (float, float)
        Along Y and X, in pixels.
    refine : bool
        Whole pixels are enough otherwise.
    """
    at = (round(centre[0]), round(centre[1]))
    around = (math.ceil(reach[0]), math.ceil(reach[1]))
    best = Match(float(at[0]), float(at[1]), math.nan)
    for y, x in _candidates(first, second, at, around):
        correlation = _correlation(first, second, (y, x))
        if not correlation <= best.correlation and not math.isnan(correlation):
            best = Match(float(y), float(x), correlation)
    if math.isnan(best.correlation):
        return best
    best = _climbed(first, second, best)
    if not refine:
        return best
    a, b = (part.astype(np.float64) for part in _overlap(first, second, (best.y, best.x)))
    dy, dx, correlation = _refined(a, b)
    if math.isnan(correlation):
        return best
    return Match(best.y + dy, best.x + dx, correlation)


def _candidates(
    first: Array, second: Array, centre: tuple[int, int], reach: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Whole displacements at the highest peaks of the phase correlation, highest first."""
    sides = [_facing(n, d, r) for n, d, r in zip(first.shape, centre, reach, strict=True)]
    if any(own.stop - own.start < THINNEST for own, _ in sides):
        return
    a = first[sides[0][0], sides[1][0]]
    b = second[sides[0][1], sides[1][1]]
    size = [
        scipy.fft.next_fast_len(max(n, m, 2 * r + 1), real=True)
        for n, m, r in zip(a.shape, b.shape, reach, strict=True)
    ]
    cross = scipy.fft.rfft2(a - a.mean(), s=size)
    cross *= np.conj(scipy.fft.rfft2(b - b.mean(), s=size))
    cross /= np.abs(cross) + np.finfo(np.float32).tiny
    fy, fx = scipy.fft.fftfreq(size[0]), scipy.fft.rfftfreq(size[1])
    cross *= np.exp(-((fy / _BAND) ** 2))[:, None] * np.exp(-((fx / _BAND) ** 2))[None, :]
    surface = scipy.fft.irfft2(cross, s=size, overwrite_x=True)
    # where in the surface the displacements within reach stand
    rows, columns = (
        np.arange(d - r, d + r + 1) - own.start + other.start
        for d, r, (own, other) in zip(centre, reach, sides, strict=True)
    )
    window = surface[np.ix_(rows % size[0], columns % size[1])]
    for _ in range(_PEAKS):
        y, x = np.unravel_index(int(window.argmax()), window.shape)
        if window[y, x] == -np.inf:
            return
        top, left = max(0, int(y) - _APART), max(0, int(x) - _APART)
        window[top : y + _APART + 1, left : x + _APART + 1] = -np.inf
        yield int(y) + centre[0] - reach[0], int(x) + centre[1] - reach[1]


def _climbed(first: Array, second: Array, match: Match) -> Match:
    """The whole displacement uphill of one at which the correlation is highest.

    Noise moves the peaks of phases by some pixels where an image is blurred.
    """
    seen: dict[tuple[int, int], float] = {}
    for _ in range(_STEPS):
        around = [(int(match.y) + y, int(match.x) + x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        for place in around:
            if place not in seen:
                seen[place] = _correlation(first, second, place)
        top = max(around, key=lambda place: (not math.isnan(seen[place]), seen[place]))
        if not seen[top] > match.correlation:
            break
        match = Match(float(top[0]), float(top[1]), seen[top])
    return match


def _facing(side: int, displacement: int, reach: int) -> tuple[slice, slice]:
    """Along one axis, the parts of both tiles that lie in the other at some displacement."""
    low, high = displacement - reach, displacement + reach
    own = slice(min(side, max(0, low)), max(0, min(side, side + high)))
    other = slice(min(side, max(0, -high)), max(0, min(side, side - low)))
    return own, other


def _overlap(first: Array, second: Array, by: tuple[float, float]) -> tuple[Array, Array]:
    """What both tiles show, at a whole displacement."""
    own, other = [], []
    for side, d in zip(first.shape, map(int, by), strict=True):
        start, stop = max(0, d) + _EDGE, min(side, side + d) - _EDGE
        own.append(slice(start, max(start, stop)))
        other.append(slice(start - d, max(start, stop) - d))
    return first[tuple(own)], second[tuple(other)]


def _correlation(first: Array, second: Array, by: tuple[int, int]) -> float:
    """Normalised cross-correlation of the overlap; nan where it is too thin, or flat."""
    a, b = _overlap(first, second, by)
    if min(a.shape) < THINNEST - 2 * _EDGE:
        return math.nan
    a, b = _standard(a), _standard(b)
    return float(np.mean(a * b, dtype=np.float64))


def _standard(part: Array) -> Array:
    """Without its biquadratic trend (illumination), at unit standard deviation; nan if flat."""
    rows, columns = (np.linspace(-1, 1, n)[:, None] ** np.arange(3) for n in part.shape)
    py, px = (np.linalg.qr(basis)[0].astype(part.dtype) for basis in (rows, columns))
    rest = part - part.mean()
    spread = float(rest.std())
    rest -= py @ (py.T @ rest @ px) @ px.T
    deviation = float(rest.std())
    # what rounding leaves of a smooth part is no structure
    return rest / (deviation if deviation > 1e-4 * spread else math.nan)


def _refined(first: Array, second: Array) -> tuple[float, float, float]:
    """Displacement that is left, below 1.5 pixels, and the correlation that it gives.

    Gauss-Newton on the squared difference of both overlaps at equal mean and contrast, with the
    mean of their gradients (Lucas and Kanade 1981); it maximises the correlation, as Evangelidis
    and Psarakis 2008 (doi 10.1109/TPAMI.2008.113) do. Unlike the phases of a spectrum it needs no
    taper, which would leave little of a thin overlap.
    """
    margin = math.ceil(_FARTHEST)
    inner = (slice(margin, -margin),) * 2
    fixed = _standard(first[inner])
    coefficients = scipy.ndimage.spline_filter(second, mode="mirror")
    by = np.zeros(2)
    for _ in range(_PASSES):
        moved = scipy.ndimage.shift(coefficients, by, mode="mirror", prefilter=False)
        moved = _standard(moved[inner])
        gy, gx = np.gradient((fixed + moved) / 2)
        rest = fixed - moved
        normal = np.array([[np.vdot(gy, gy), np.vdot(gy, gx)], [np.vdot(gy, gx), np.vdot(gx, gx)]])
        side = -np.array([np.vdot(gy, rest), np.vdot(gx, rest)])
        if not np.isfinite(normal).all() or np.linalg.cond(normal) > 1e8:
            return 0.0, 0.0, math.nan
        step = np.linalg.solve(normal, side)
        by += step
        if np.abs(by).max() > _FARTHEST:
            return 0.0, 0.0, math.nan
        if np.abs(step).max() < _CONVERGED:
            break
    return float(by[0]), float(by[1]), float(np.mean(fixed * moved))
