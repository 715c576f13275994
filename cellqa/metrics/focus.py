"""Focus measures: how sharp a plane is, by itself. They compare planes of one stack only.

Every measure but the last is the energy of a filtered image. By Parseval's theorem that is a sum
over its power spectrum, weighted by the filter's; white noise, and hot pixels, whose spectrum is
white too, are a floor of it that is taken off. What is left scales with the square of the
brightness, as the energy of coarse structure does, by which `cellqa.focus` divides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cellqa.metrics._spectrum import (
    NOISE,
    SMALLEST_SIDE,
    energy,
    independent,
    noise_floor,
    quadrant,
    ring_power,
    rings_of,
    spectrum,
    weights,
)
from cellqa.metrics.resolution import normal
from cellqa.planes import Array
from cellqa.planes.impulses import impulses, without_impulses
from cellqa.planes.plane import Plane
from cellqa.planes.region import Region

_BAND = (0.1, 0.5)  # radii of the high-frequency energy; beyond, there mostly is noise
_TILES = 8  # along the longer side, at most
_SEEN = 5.0  # standard errors
_COARSE = (0.02, 0.12)  # radii of structure that scales with the brightness, and hardly with focus


def normalised_variance(y: Array, x: Array) -> Array:
    """The variance (Groen et al. 1985, doi 10.1002/cyto.990060202); contrast."""
    return np.ones(np.broadcast_shapes(y.shape, x.shape))


def brenner(y: Array, x: Array) -> Array:
    """Differences over two pixels (Brenner 1976, doi 10.1177/24.1.1254907)."""
    return np.asarray(4 - 2 * np.cos(2 * np.pi * y) - 2 * np.cos(2 * np.pi * x))


def tenengrad(y: Array, x: Array) -> Array:
    """The Sobel gradient (Krotkov 1988, doi 10.1007/BF00127822)."""

    def along(a: Array, b: Array) -> Array:
        return np.asarray((2 * np.sin(np.pi * a) * (2 + 2 * np.cos(np.pi * b))) ** 2)

    return along(y, x) + along(x, y)


def laplacian_variance(y: Array, x: Array) -> Array:
    """The Laplacian (Pech-Pacheco 2000, doi 10.1109/ICPR.2000.903548)."""
    return np.asarray((4 - 2 * np.cos(np.pi * y) - 2 * np.cos(np.pi * x)) ** 2)


def band_energy(y: Array, x: Array) -> Array:
    """Everything between a tenth and a half of the Nyquist frequency."""
    radius = np.hypot(y, x)
    return np.asarray(((radius > _BAND[0]) & (radius < _BAND[1])).astype(float))


# The power of each filter at frequencies (y, x), 1 at Nyquist.
FILTERS: Mapping[str, Callable[[Array, Array], Array]] = {
    "normalised_variance": normalised_variance,
    "brenner": brenner,
    "tenengrad": tenengrad,
    "laplacian_variance": laplacian_variance,
    "band_energy": band_energy,
}
DECORRELATION = "decorrelation"  # cut-off kc of decorrelation analysis
MEASURES = (*FILTERS, DECORRELATION)
CONTRAST = "normalised_variance"  # what a thin phase object loses at focus


@dataclass(frozen=True)
class Sharpness:
    """What focus measures know of a plane.

    Attributes
    ----------
    mean : float
        Of the plane.
    coarse : float
        Energy of coarse structure, which a little defocus leaves as it is, without noise; 0 where
        it is within five standard errors of none.
    energies, errors : ndarray, shape (5, tiles)
        Mean square of the filtered plane without its noise, of each tile, and the standard error of
        that.
    cutoff : float
        kc of decorrelation analysis; nan without a peak.
    """

    mean: float
    coarse: float
    energies: Array
    errors: Array
    cutoff: float


def sharpness(plane: Plane) -> Sharpness | None:
    """Measure a plane; None where it is constant. Margins of one value are left out.

    Parameters
    ----------
    plane : Plane
        41 pixels a side at least.

    Raises
    ------
    ValueError
        It is smaller.
    """
    if min(plane.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"`planes` must have at least {SMALLEST_SIDE} pixels a side, got {plane.shape}"
        )
    if plane.flat:
        return None
    part = Region.of([plane]).taken(plane, own=True)
    if min(part.shape) < SMALLEST_SIDE or part.flat:
        part = plane
    part = _without_impulses(part)
    tiles = [_energies(tile) for tile in _tiles(part)]
    energies, errors = (np.array(values).T for values in zip(*tiles, strict=True))
    analysis = part.once(normal)
    return Sharpness(
        part.mean,
        _coarse(part),
        energies,
        errors,
        analysis.kc if analysis.has_peak else math.nan,
    )


def _without_impulses(plane: Plane) -> Plane:
    """The plane without hot pixels, which may be many."""
    places, around = impulses(plane.real)
    if not len(places):
        return plane
    pixels = without_impulses(plane.real.astype(np.float32), places, around)
    return Plane(pixels, np.dtype(np.float32))


def _tiles(plane: Plane) -> list[Plane]:
    """The plane in up to 8 x 8 parts: debris in one of them outvotes nobody."""
    counts = [max(1, min(_TILES, n // SMALLEST_SIDE)) for n in plane.shape]
    edges = [np.linspace(0, n, k + 1).astype(int) for n, k in zip(plane.shape, counts, strict=True)]
    return [
        Plane(np.ascontiguousarray(plane.pixels[top:bottom, left:right]), plane.dtype)
        for top, bottom in zip(edges[0], edges[0][1:], strict=False)
        for left, right in zip(edges[1], edges[1][1:], strict=False)
    ]


@lru_cache(maxsize=8)
def _ring_weights(shape: tuple[int, ...]) -> Array:
    """Mean power of each filter over each ring; shape (5, rings)."""
    rings, radii, counts = rings_of(shape)
    y, x = quadrant(shape)
    weight = weights(y, x).ravel()
    each = []
    for power in FILTERS.values():
        values = power(y[:, None], x[None, :])
        sums = np.bincount(rings.ravel(), (np.broadcast_to(values, rings.shape)).ravel() * weight)
        each.append(sums[1 : radii.size + 1] / counts)
    return np.array(each)


def _coarse(plane: Plane) -> float:
    power, counts, radii, unit = _spectrum_of(plane)
    inside = (radii > _COARSE[0]) & (radii < _COARSE[1])
    floor = noise_floor(power, radii, counts)
    value = float((power - floor * counts)[inside].sum())
    share = independent(plane.shape)
    noise = floor * counts[inside].sum()
    of_floor = noise * np.sqrt(2 / (share * counts[radii > NOISE].sum()))
    error = np.hypot(floor * np.sqrt(2 * counts[inside].sum() / share), of_floor)
    return value * unit if value > _SEEN * error else 0.0


def _spectrum_of(plane: Plane) -> tuple[Array, Array, Array, float]:
    """Power, number and radius of each ring; and the square of a grey level over the pixels."""
    _, radii, counts = rings_of(plane.shape)
    half = plane.once(spectrum)
    low, high = plane.extremes
    number = half.shape[0] * (2 * half.shape[1] - 1)
    unit = float((high - low) ** 2 / (number * energy(plane.shape)))
    return plane.once(ring_power), counts, radii, unit


def _energies(tile: Plane) -> tuple[Array, Array]:
    """Energy of each filter without noise, and its standard error."""
    if tile.flat:
        return np.zeros(len(FILTERS)), np.zeros(len(FILTERS))
    power, counts, radii, unit = _spectrum_of(tile)
    floor = noise_floor(power, radii, counts)
    filters = _ring_weights(tile.shape)
    values = filters @ (power - floor * counts)
    share = independent(tile.shape)
    own = (filters**2) @ (2 * counts / share)
    of_floor = (filters @ counts) ** 2 * 2 / (share * counts[radii > NOISE].sum())
    return values * unit, floor * np.sqrt(own + of_floor) * unit
