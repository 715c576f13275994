"""Displacement of periodic structure, which can be told up to its period only."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy.fft

from cellqa.errors import Bound, Undefined
from cellqa.metrics._spectrum import window
from cellqa.planes import Array

_ALIKE = 0.7  # a second peak of the correlation as high as that is another period
_CORRELATED = 0.3  # correlation from which images have their structure in common
_SEEN = 1 / 4  # of the side: larger displacements are compared over too little
_NEAR = 0.3  # of the period: how near to its place the next peak on the other side lies
_FLAT = 0.02  # ratio of curvatures: along a line, no displacement can be told
_STEPS = (0.5, 0.1, 0.02, 0.02)  # pixels, of the refinement
_UNTOLD = "shift: periodic along a line: the displacement along it cannot be told"


def lattice_displacement(
    first: Array, second: Array, shape: tuple[int, int], ky: int, kx: int
) -> tuple[float, float] | None:
    """The smallest displacement (y, x) that takes a periodic image to the other.

    Parameters
    ----------
    first, second : ndarray
        Spectra of the reference and the image; see `cellqa.metrics._spectrum.spectrum`.
    shape : (int, int)
        Of the images, cropped to odd sides.
    ky, kx : int
        Frequencies that are used.

    Returns
    -------
    tuple or None
        None where the structure is not periodic. Values are `Bound`s that name the period; along
        the lines of a grating, undefined.
    """
    rows = np.r_[0 : ky + 1, first.shape[0] - ky : first.shape[0]]
    f, g = (s[rows, : kx + 1] for s in (first, second))
    cross = np.conj(f) * g
    cross[0, 0] = 0  # the means say nothing about a shift
    norm = math.sqrt(_power(f) * _power(g))
    if norm == 0:
        return None
    size = [scipy.fft.next_fast_len(2 * k + 1, real=True) for k in (ky, kx)]
    padded = np.zeros((size[0], size[1] // 2 + 1), np.complex64)
    padded[: ky + 1, : kx + 1] = cross[: ky + 1]
    padded[size[0] - ky :, : kx + 1] = cross[ky + 1 :]
    map_ = scipy.fft.fftshift(scipy.fft.irfft2(padded, s=size)) * (size[0] * size[1] / norm)
    lags = [(np.arange(n) - n // 2) * (full / n) for n, full in zip(size, shape, strict=True)]
    seen = [np.abs(lag) <= _SEEN * n for lag, n in zip(lags, shape, strict=True)]
    peaks = _peaks(map_[np.ix_(*seen)])
    if peaks is None:
        return None
    y, x = lags[0][seen[0]], lags[1][seen[1]]
    places = np.column_stack([y[peaks[:, 0]], x[peaks[:, 1]]])
    at = places[np.hypot(*places.T).argmin()]
    steps = places - at
    lengths = np.hypot(*steps.T)
    lengths[lengths == 0] = np.inf
    period = float(lengths.min())
    step = steps[lengths.argmin()]
    if any(np.hypot(*(places - at - side * step).T).min() > _NEAR * period for side in (-1, 1)):
        return None  # two things alike make no lattice
    fy = np.r_[0 : ky + 1, -ky:0] / shape[0]
    fx = np.arange(kx + 1) / shape[1]
    cross[:, 1:] *= 2
    at, hessian = _refined(cross, fy, fx, at, shape)
    values, vectors = np.linalg.eigh(-hessian)
    told = [True, True]
    if values[0] < _FLAT * values[1]:
        told = [abs(component) < 0.1 for component in vectors[:, 0]]
    reason = f"shift: periodic structure: known up to its period of {period:.1f} pixels"
    known = [
        Bound(float(v), reason) if ok else Undefined(_UNTOLD)
        for v, ok in zip(at, told, strict=True)
    ]
    return known[0], known[1]


def _power(half: Array) -> float:
    """Of all frequencies but 0, from a half plane."""
    each = np.square(half.real) + np.square(half.imag)
    return float(2 * each.sum(dtype=float) - each[:, 0].sum(dtype=float) - each[0, 0])


def _peaks(map_: Array) -> Array | None:
    """Maxima of a periodic correlation, as high as the highest; None where it is not periodic."""
    highest = float(map_.max())
    if highest < _CORRELATED:
        return None
    from scipy.ndimage import label, maximum_position  # slow to import, rarely needed

    if np.count_nonzero(map_ > _ALIKE * highest) > map_.size // 2:
        return None
    lobes, n = label(map_ > 0.5 * highest, structure=np.ones((3, 3)))
    if n < 3:
        return None
    each = np.array(maximum_position(map_, lobes, np.arange(1, n + 1)))
    heights = map_[tuple(each.T)]
    each = each[heights > _ALIKE * highest]
    return each if len(each) >= 3 else None


@lru_cache(maxsize=8)
def _overlap(n: int) -> tuple[Array, Array]:
    """How much of the taper's energy overlaps after a displacement, by displacement."""
    w = window(n)
    padded = np.abs(np.fft.rfft(w, 2 * w.size)) ** 2
    correlation = np.fft.irfft(padded)[: w.size]
    return np.arange(w.size, dtype=float), np.maximum(correlation / correlation[0], 1e-3)


def _refined(
    cross: Array, fy: Array, fx: Array, at: Array, shape: tuple[int, int]
) -> tuple[Array, Array]:
    """The maximum of the correlation next to a place, and its second derivatives there."""
    hessian = np.zeros((2, 2))
    for step in _STEPS:
        offsets = step * np.arange(-1, 2)
        ys, xs = at[0] + offsets, at[1] + offsets
        turned = (
            np.exp(2j * np.pi * np.outer(ys, fy)) @ cross @ np.exp(2j * np.pi * np.outer(fx, xs))
        )
        overlap = [np.interp(np.abs(v), *_overlap(n)) for v, n in zip((ys, xs), shape, strict=True)]
        c = turned.real / np.outer(*overlap)
        slope = np.array([c[2, 1] - c[0, 1], c[1, 2] - c[1, 0]]) / (2 * step)
        mixed = (c[2, 2] - c[2, 0] - c[0, 2] + c[0, 0]) / (4 * step**2)
        bend = [c[2, 1] - 2 * c[1, 1] + c[0, 1], c[1, 2] - 2 * c[1, 1] + c[1, 0]]
        hessian = np.array([[bend[0] / step**2, mixed], [mixed, bend[1] / step**2]])
        values, vectors = np.linalg.eigh(-hessian)
        kept = values > _FLAT * max(values[1], 1e-300)
        move = vectors[:, kept] @ ((vectors[:, kept].T @ slope) / values[kept])
        at = at + np.clip(move, -2 * step, 2 * step)
    return at, hessian
