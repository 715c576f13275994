"""Can intensities still be measured? Flux of an enhanced image against that of the raw one."""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from cellqa.errors import Undefined
from cellqa.metrics._flux import (
    SMALLEST,
    background,
    grid_of,
    huber,
    line,
    surroundings,
    worked,
)
from cellqa.metrics._scale import misfit, reduced
from cellqa.metrics.case import Case
from cellqa.metrics.detail import noise_variance
from cellqa.planes import Array
from cellqa.planes.plane import Plane
from cellqa.shown import one_line

_STANDS_OUT = 5.0  # standard deviations of its noise that the raw image's flux must vary by
_LOG_P, _EDGE = (math.log(0.2), math.log(5.0)), 0.02  # a power at its limit is none
_PLAIN = 6.0  # how much more residual a power without offset may leave
_LINE = 0.03  # off 1, up to which a power with offset is a line

NAMES = ("photometry_slope", "photometry_exponent", "flux_ratio", "photometry_offset")


@dataclass(frozen=True)
class Photometry:
    """How the local flux of an enhanced image follows that of the raw one.

    Attributes
    ----------
    slope : float
        Grey levels of the enhanced image for one of the raw image; 1 where differences of
        brightness are kept, below where they are compressed.
    exponent : float
        p of flux = k raw^p, or offset + k (raw - darkest)^p where that explains much more: 1 where
        brightness is kept in proportion, below 1 where bright objects lose most; nan where none
        from 0.2 to 5 fits.
    ratio : float
        Light above the background, enhanced over raw.
    offset : float
        What was added to the background, in grey levels.
    """

    slope: float
    exponent: float
    ratio: float
    offset: float

    __repr__ = one_line


def photometry(raw: npt.ArrayLike, image: npt.ArrayLike, *, scale: int = 1) -> Photometry:
    """Fit how the local flux of an enhanced image follows that of the raw one.

    Flux is the mean of Gaussian surroundings (a twelfth of the shorter side, 5 to 24 pixels of an
    image of 256) on a grid, far above the blur that an enhancement may undo: any linear filter that
    keeps the mean, as deconvolution, keeps it. Fits are robust: places that an object was added to
    or removed from count less.

    Parameters
    ----------
    raw : array_like, shape (Y, X)
        The unenhanced image, at least 64 pixels a side.
    image : array_like, shape (Y, X) or (scale x Y, scale x X)
    scale : int
        How many times as many pixels the enhanced image has along each side.

    Returns
    -------
    Photometry

    Raises
    ------
    ValueError, TypeError
        A value is NaN or infinite, shapes do not fit, an image is too small, or the brightness of
        the raw image does not vary beyond its noise at these scales.

    Notes
    -----
    The exponent is fitted with the power taken of the pixels, and averaged after, since the mean of
    a power is not the power of the mean. Powers are of the raw image with pixels averaged to 256
    along the shorter side, and smoothed by one pixel. A power without offset is preferred unless
    one with an offset leaves less than a sixth of its residual, or is a line that leaves less.

    References
    ----------
    Linearity as in CCD photometry: Howell, Handbook of CCD Astronomy (2006), chapter 3.
    Robust weights: Huber 1964, doi 10.1214/aoms/1177703732.

    Examples
    --------
    >>> from cellqa import photometry
    >>> from cellqa.simulate import nuclei
    >>> raw = nuclei((256, 256), photons=500, seed=1).image.astype(float)
    >>> kept = photometry(raw, 1.2 * raw + 50)
    >>> round(kept.slope, 2), round(kept.exponent, 2), round(kept.ratio, 2)
    (1.2, 1.0, 1.2)
    >>> round(photometry(raw, raw**0.7).exponent, 1)
    0.7
    """
    first, second = Plane.of(raw, "raw"), Plane.of(image, "image")
    found = _fitted(first, second, scale)
    if isinstance(found, str):
        raise ValueError(f"photometry is undefined: {found}")
    return found


def _fitted(raw: Plane, image: Plane, scale: int) -> Photometry | str:
    """The fit, or why there is none."""
    problem = misfit(raw, image, scale)
    if problem:
        return problem
    if min(raw.shape) < SMALLEST:
        return f"the raw image has fewer than {SMALLEST} pixels a side"
    if raw.flat or image.flat:
        return f"the {'raw ' if raw.flat else ''}image is constant"
    factor, sigma = grid_of(raw.shape)
    source, enhanced = (worked(plane, factor) for plane in (raw, reduced(image, scale)))
    flux = surroundings(sigma)
    of_raw, ours = flux(source), flux(enhanced)
    # noise that is left in the mean of Gaussian surroundings
    noise = math.sqrt(raw.once(noise_variance) / (4 * math.pi)) / (sigma * factor)
    if not of_raw.std() > _STANDS_OUT * noise:
        return "the brightness of the raw image does not vary beyond its noise"
    dark, dark_ours = background(of_raw, ours)
    light = float((of_raw - dark).sum())
    ratio = float((ours - dark_ours).sum()) / light if light > 0 else math.nan
    return Photometry(line(of_raw, ours)[0], _exponent(source, ours, flux), ratio, dark_ours - dark)


def _exponent(source: Array, ours: Array, flux: Callable[[Array], Array]) -> float:
    """The power of the better of two models."""
    smooth = cv2.GaussianBlur(source, (0, 0), 1.0, borderType=cv2.BORDER_REFLECT)
    darkest = float(smooth.min())
    offset = _power(smooth - darkest, ours, flux, offset=True)
    if darkest < 0:  # nothing is proportional to what has both signs
        return offset[0] if abs(math.log(offset[0])) < _LOG_P[1] - _EDGE else math.nan
    plain = _power(smooth, ours, flux, offset=False)
    # a line is a line: where brightness varies little, a power would lie close to it
    line = abs(offset[0] - 1) < _LINE and offset[1] < plain[1]
    best = offset[0] if line or plain[1] > _PLAIN * offset[1] else plain[0]
    return best if _LOG_P[0] + _EDGE < math.log(best) < _LOG_P[1] - _EDGE else math.nan


def _power(
    pixels: Array, ours: Array, flux: Callable[[Array], Array], *, offset: bool
) -> tuple[float, float]:
    """The power of least squares, and the residual that it leaves."""
    unit = pixels / max(float(pixels.max()), 1e-30)
    weights = np.ones_like(ours)

    def residual(log_p: float) -> Array:
        powers = flux(cv2.pow(unit, math.exp(log_p)))
        columns = [powers, np.ones_like(powers)] if offset else [powers]
        root = np.sqrt(weights)
        design = np.stack(columns, axis=1)
        solved = np.linalg.lstsq(design * root[:, None], ours * root, rcond=None)[0]
        return np.asarray(ours - design @ solved)

    def squares(log_p: float) -> float:
        return float((weights * residual(log_p) ** 2).sum())

    best = 0.0
    low, high = _LOG_P
    for _ in range(2):
        best = float(
            minimize_scalar(
                squares, bounds=(low, high), method="bounded", options={"xatol": 5e-4}
            ).x
        )
        left = residual(best)
        weights = huber(left)
        low, high = max(_LOG_P[0], best - 0.2), min(_LOG_P[1], best + 0.2)
    return math.exp(best), math.sqrt(float(np.average(left**2, weights=weights)))


def photometry_slope(raw: npt.ArrayLike, image: npt.ArrayLike, *, scale: int = 1) -> float:
    """Grey levels of the enhanced image for one of the raw image. 1 is best.

    See `photometry` for parameters, errors and source (doi 10.1214/aoms/1177703732).

    Returns
    -------
    float
        Unbounded; 1 where differences of brightness are kept.
    """
    return photometry(raw, image, scale=scale).slope


def photometry_exponent(raw: npt.ArrayLike, image: npt.ArrayLike, *, scale: int = 1) -> float:
    """Power that takes the raw image's brightness to the enhanced one's. 1 is best.

    See `photometry` for parameters, errors and source (doi 10.1214/aoms/1177703732).

    Returns
    -------
    float
        0.2 to 5; 1 where brightness is kept in proportion.
    """
    return photometry(raw, image, scale=scale).exponent


def flux_ratio(raw: npt.ArrayLike, image: npt.ArrayLike, *, scale: int = 1) -> float:
    """Light above the background, enhanced over raw. 1 is best.

    See `photometry` for parameters, errors and source.

    Returns
    -------
    float
        Unbounded; 1 where all of it is kept.
    """
    return photometry(raw, image, scale=scale).ratio


def photometry_offset(raw: npt.ArrayLike, image: npt.ArrayLike, *, scale: int = 1) -> float:
    """Grey levels that were added to the background. 0 is best.

    See `photometry` for parameters, errors and source.
    """
    return photometry(raw, image, scale=scale).offset


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family, of one fit."""
    assert case.raw is not None  # the metrics are called for only where there is one
    found = _fitted(case.raw, case.image, case.scale)
    if isinstance(found, str):
        return dict.fromkeys(NAMES, Undefined(f"photometry: {found}"))
    none = Undefined("photometry_exponent: no power from 0.2 to 5 fits")
    power = none if math.isnan(found.exponent) else found.exponent
    return dict(zip(NAMES, (found.slope, power, found.ratio, found.offset), strict=True))
