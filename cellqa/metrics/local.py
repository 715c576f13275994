"""Decorrelation analysis of parts of an image: where it is sharp, and in which direction."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cellqa.metrics._radial_kernels import radial_sums, sector_sums
from cellqa.metrics._spectrum import SMALLEST_SIDE, spectrum
from cellqa.metrics.resolution import Decorrelation, Plan, from_sums, plan_of
from cellqa.planes import Array
from cellqa.planes.plane import Plane, as_plane, check_pixel_size
from cellqa.shown import one_line
from cellqa.terminal import Progress

TILE = 128
_COARSEST = 8.0  # a finest detail above a quarter of the tile is no detail: kc < 8 / tile
_STANDS_OUT = 2.0  # power of what is resolved over that of the noise
_NOISE_FROM = 0.85  # radius from which the spectrum is taken for noise


@dataclass(frozen=True)
class LocalResolution:
    """Resolution of overlapping tiles.

    Attributes
    ----------
    values : ndarray of float, shape (rows, columns)
        Resolution of each tile in pixels, or micrometres if `pixel_size` was given; nan where the
        tile has no structure.
    y, x : ndarray of int
        Centre of each row and column of tiles, in pixels.
    tile, step : int
        In pixels.
    shape : tuple of int
        Of the image.
    """

    values: Array
    y: Array
    x: Array
    tile: int
    step: int
    shape: tuple[int, int]

    __repr__ = one_line

    def full_size(self) -> Array:
        """The map in the image's size: each pixel has the value of the nearest tile's centre."""
        rows, columns = (
            np.abs(np.arange(n)[:, None] - centres).argmin(axis=1)
            for n, centres in zip(self.shape, (self.y, self.x), strict=True)
        )
        return np.asarray(self.values[np.ix_(rows, columns)], dtype=np.float32)


def resolution_map(
    image: npt.ArrayLike,
    *,
    pixel_size: float = 1.0,
    tile: int = TILE,
    step: int | None = None,
    progress: Progress | None = None,
) -> LocalResolution:
    """Decorrelation analysis of overlapping tiles, each without its linear trend.

    A tile is blank (nan) where it has no structure: no peak; a cut-off below 8 / tile, that is, no
    detail finer than a quarter of the tile; or less than twice the mean power of the highest
    frequencies (radius 0.85 to 1, taken for noise) in what would be resolved. Of 300 tiles of
    noise, and 300 of noise on a gradient, none passed.

    Parameters
    ----------
    image : array_like, shape (Y, X)
    pixel_size : float
        In micrometres; 1 for a result in pixels.
    tile : int
        Side of the tiles, 41 pixels at least. Small tiles read too fine: at 64 pixels by 10 to
        40 %, at 128 by up to 13 %, most where noise is strong.
    step : int, optional
        Between tiles; default a quarter of a tile.
    progress : callable, optional
        Called with the number of rows of tiles done and of all.

    Returns
    -------
    LocalResolution

    Raises
    ------
    ValueError, TypeError
        The image is smaller than a tile, not two-dimensional, or holds NaN or infinity; `tile` or
        `step` is too small.

    References
    ----------
    Descloux et al. 2019, doi 10.1038/s41592-019-0515-7

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import resolution_map
    >>> from cellqa.simulate import filaments
    >>> image = filaments((256, 256), cutoff=0.5, photons=1000, seed=1).image
    >>> local = resolution_map(image, pixel_size=0.1)
    >>> local.values.shape, round(float(np.nanmedian(local.values)), 2)
    ((5, 5), 0.44)
    """
    plane = as_plane(image, "image")
    step = max(1, tile // 4) if step is None else step
    if tile < SMALLEST_SIDE:
        raise ValueError(f"`tile` must be at least {SMALLEST_SIDE} pixels, got {tile}")
    if step < 1:
        raise ValueError(f"`step` must be at least 1 pixel, got {step}")
    check_pixel_size(pixel_size)
    if min(plane.shape) < tile:
        raise ValueError(
            f"`image` must be at least one tile ({tile} pixels) wide, got {plane.shape}"
        )
    # the last tile ends at the border, so that nothing is left out
    tops, lefts = ([*range(0, n - tile, step), n - tile] for n in plane.shape)
    values = np.full((len(tops), len(lefts)), math.nan)
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            kc = _cutoff(plane[top : top + tile, left : left + tile])
            if kc:
                values[row, column] = 2 * pixel_size / kc
        if progress:
            progress(row + 1, len(tops))
    y, x = (np.array(starts) + tile // 2 for starts in (tops, lefts))
    return LocalResolution(values, y, x, tile, step, (plane.shape[0], plane.shape[1]))


def sector_resolution(image: npt.ArrayLike, *, sectors: int = 8) -> list[Decorrelation]:
    """Decorrelation analysis by direction: of pairs of opposite wedges of the spectrum.

    Detail that repeats along x is in sector 0, along y (down) in the middle one: astigmatism,
    motion and uneven scan lines make some directions worse than others.

    Parameters
    ----------
    image : array_like, shape (Y, X)
        At least 41 pixels a side.
    sectors : int
        Number of wedges over 180 degrees, 2 to 36; wedge k is centred on k x 180 / `sectors`
        degrees, from +x towards +y.

    Returns
    -------
    list of Decorrelation
        Without a peak also where the power of what would be resolved is less than twice that of
        the highest frequencies: noise.

    Raises
    ------
    ValueError, TypeError
        The image is too small, not two-dimensional, or holds NaN or infinity; or `sectors` is out
        of range.

    Examples
    --------
    >>> import scipy.ndimage
    >>> from cellqa import sector_resolution
    >>> from cellqa.simulate import spots
    >>> ideal = spots((256, 256), cutoff=0.7, photons=3000, seed=1).ideal
    >>> moved = scipy.ndimage.gaussian_filter1d(ideal, 3, axis=1)  # motion along x
    >>> along_x, along_y = sector_resolution(moved, sectors=2)
    >>> along_x.kc < 0.6 * along_y.kc
    True
    """
    if not 2 <= sectors <= 36:
        raise ValueError(f"`sectors` must be 2 to 36, got {sectors}")
    plane = Plane.of(image, "image")
    if min(plane.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"`image` must have at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, "
            f"got {plane.shape}"
        )
    plan = plan_of(plane.shape)
    per_sector = sector_sums(
        plane.once(spectrum), plan.bins, plan.y2, plan.x2, plan.radius2, sectors
    )
    results = []
    for sums, counts in zip(*per_sector, strict=True):
        sector = from_sums(sums, counts, plan, fast=False, constant=plane.flat)
        if sector.has_peak and not _stands_out(sector.kc, sums, counts, plan):
            sector = replace(sector, has_peak=False)
        results.append(sector)
    return results


def _cutoff(pixels: Array) -> float:
    """Kc of one tile; 0 where it has no structure."""
    flat = _without_trend(pixels)
    plane = Plane(flat, flat.dtype)
    plan = plan_of(flat.shape)
    sums, zeros = radial_sums(spectrum(plane), plan.bins, plan.y2, plan.x2, plan.radius2)
    counts = plan.counts - zeros
    analysis = from_sums(sums, counts, plan, fast=False, constant=plane.flat)
    if not analysis.has_peak or analysis.kc < _COARSEST / max(flat.shape):
        return 0.0
    return analysis.kc if _stands_out(analysis.kc, sums, counts, plan) else 0.0


def _stands_out(kc: float, sums: Array, counts: Array, plan: Plan) -> bool:
    """Whether what is resolved has more power than the noise."""
    radius = np.sqrt(plan.radius2[:-1])
    power, number = sums[:-1, 1], counts[:-1]
    resolved = (radius > _COARSEST / 2 / max(plan.shape)) & (radius < kc)
    bands = (resolved, radius > _NOISE_FROM)
    signal, noise = (power[band].sum() / max(number[band].sum(), 1) for band in bands)
    return bool(signal >= _STANDS_OUT * noise)


@lru_cache(maxsize=4)
def _slopes(shape: tuple[int, int]) -> tuple[Array, Array]:
    """Unit vectors of a slope along y and along x: orthogonal to each other and to constants."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    along_y, along_x = (
        np.broadcast_to(y[:, None], shape).copy(),
        np.broadcast_to(x[None, :], shape).copy(),
    )
    return along_y / np.linalg.norm(along_y), along_x / np.linalg.norm(along_x)


def _without_trend(pixels: Array) -> Array:
    """The pixels without mean and linear trend (least squares)."""
    largest = max(abs(float(pixels.max())), abs(float(pixels.min())))
    if not 1e-300 < largest < 1e300:
        return np.zeros(pixels.shape, np.float32)
    flat = pixels / largest
    flat = flat - flat.mean(dtype=np.float64)
    for slope in _slopes(pixels.shape):
        flat = flat - np.vdot(slope, flat) * slope
    # what rounding leaves of a constant or of a plain slope is no structure
    rounding = 1e-6 if pixels.dtype == np.float32 else 1e-12
    if np.abs(flat).max() < rounding:
        flat[:] = 0
    return np.asarray(flat, dtype=np.float32)
