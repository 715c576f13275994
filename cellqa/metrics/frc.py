"""Fourier ring correlation: the finest detail in which two images agree."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cellqa.errors import Bound, Undefined
from cellqa.metrics._ring_kernels import ring_sums
from cellqa.metrics._spectrum import (
    SMALLEST_SIDE,
    independent,
    rings_of,
    spectrum,
    unusable,
)
from cellqa.metrics.case import Case
from cellqa.metrics.shared_noise import SHARED, shares_noise
from cellqa.planes import Array
from cellqa.planes.plane import Plane, as_pair, as_plane, check_pixel_size
from cellqa.shown import one_line

THRESHOLDS = ("1/7", "0.5", "half-bit")
SMOOTHING = 0.025  # half width of the smoothing window, as a share of the Nyquist frequency
BEYOND_CHANCE = 3.5  # standard errors that unrelated images do not reach over a whole band
SUSTAINED = 0.05  # agreement over a narrower band is taken for chance

# Koho et al. 2019, Supplementary Note 2: factor at the crossing x, a exp(c (x - b)) + d.
_CALIBRATION = (0.95988146, 0.97979108, 13.90441896, 0.55146136)


@dataclass(frozen=True)
class RingCorrelation:
    """A Fourier ring correlation curve and where it ends.

    Attributes
    ----------
    radii : ndarray, shape (n,)
        Frequency of each ring, 1 at the Nyquist frequency; the mean (0) has no ring.
    correlation, smoothed : ndarray, shape (n,)
        -1 to 1; as measured, and as it is compared with the threshold.
    threshold : ndarray, shape (n,)
        As chosen, or what chance reaches where that is higher.
    counts : ndarray, shape (n,)
        Frequencies of the whole plane in each ring.
    cutoff : float
        Highest frequency of agreement, 1 at the Nyquist frequency; 0 where there is none.
    at_least : bool
        The curve never falls below the threshold: `cutoff` is 1, the truth 1 or more.
    """

    radii: Array
    correlation: Array
    smoothed: Array
    threshold: Array
    counts: Array
    cutoff: float
    at_least: bool

    __repr__ = one_line

    def resolution(self, pixel_size: float = 1.0) -> float:
        """Return 2 x pixel size / cut-off in the unit of `pixel_size`; inf without agreement."""
        return 2 * pixel_size / self.cutoff if self.cutoff > 0 else math.inf


def frc(first: npt.ArrayLike, second: npt.ArrayLike, *, threshold: str = "1/7") -> RingCorrelation:
    """Fourier ring correlation of two images.

    FRC(k) = sum Re(F G*) / sqrt(sum |F|^2 sum |G|^2) over the frequencies of ring k, one frequency
    step of the longer side wide. Both images are cropped to odd sides and apodised over 20 pixels,
    as in decorrelation analysis.

    The curve is smoothed by a Hann window of 2.5 % of the Nyquist frequency to either side, each
    ring weighted by its number of frequencies. The cut-off is the upper end of the last band in
    which the smoothed curve stays at or above the threshold over 5 % of the Nyquist frequency (3
    rings at least): what happens in the rings next to zero (offsets, uneven light) cannot end the
    search, and neither can a single ring that exceeds the threshold by chance extend it. A band of
    that width in which it stays below *minus* the threshold ends the search: contrast is inverted
    there, as by defocus.

    No threshold is lower than 3.5 standard errors of the smoothed curve of images that have
    nothing in common, whose variance sum |F|^2 |G|^2 / (sum |F|^2 sum |G|^2) holds for each ring as
    it is: a small ring agrees by chance. Of unrelated pairs of 41 to 512 pixels, less than 1 %
    agree. Below some 64 pixels, faint agreement is lost to it.

    The taper leaks: where the signal is very strong (some 5,000 photons and more, or no noise at
    all), power of low frequencies that both images share is found in higher rings, and a cut-off
    below 0.3 comes out up to a third too high.

    Parameters
    ----------
    first, second : array_like, shape (Y, X)
        At least 41 pixels a side; not constant.
    threshold : str
        `1/7` (Rosenthal and Henderson 2003); `0.5`; `half-bit` (van Heel and Schatz 2005), which
        takes half of a ring's frequencies as independent.

    Returns
    -------
    RingCorrelation

    Raises
    ------
    ValueError, TypeError
        Shapes differ, a side is below 41 pixels, an image is constant, a value is NaN or infinite,
        or the threshold is unknown.

    References
    ----------
    Saxton WO, Baumeister W. J Microsc 127, 127-138 (1982). doi 10.1111/j.1365-2818.1982.tb00405.x
    Nieuwenhuizen RPJ et al. Nat Methods 10, 557-562 (2013). doi 10.1038/nmeth.2448
    van Heel M, Schatz M. J Struct Biol 151, 250-262 (2005). doi 10.1016/j.jsb.2005.05.009

    Examples
    --------
    >>> from cellqa import frc
    >>> from cellqa.simulate import filaments
    >>> one, two = (filaments((256, 256), cutoff=0.5, photons=300, seed=s).ideal for s in (1, 2))
    >>> frc(one, two).cutoff  # unrelated images agree in nothing
    0.0
    """
    one, two = as_pair(first, second)
    for plane, name in ((one, "first"), (two, "second")):
        _check(plane, name, SMALLEST_SIDE)
    return between(one, two, threshold)


def frc_resolution(
    reference: npt.ArrayLike,
    image: npt.ArrayLike,
    *,
    pixel_size: float = 1.0,
    threshold: str = "1/7",
) -> float:
    """Finest detail in which the image and the ground truth agree. Lower is better.

    2 x pixel size / the cut-off of their Fourier ring correlation; see `frc`.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)
    pixel_size : float
        In micrometres; the result then is in micrometres. With 1 it is in pixels.
    threshold : str
        `1/7`, `0.5` or `half-bit`.

    Returns
    -------
    float
        2 pixels to `inf` (agreement nowhere). 2 pixels is a bound (`Bound`, with its reason) where
        the curve never falls below the threshold: the truth is 2 pixels or finer, as for identical
        images. A `Bound`, too, where the image has the ground truth's noise, as when it was made
        of it (see `cellqa.metrics.shared_noise`): the true value is no finer. Undefined (nan that
        carries its reason) for constant images and below 41 pixels a side.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, a value is NaN or infinite, `pixel_size` is not above 0, or the threshold is
        unknown.

    References
    ----------
    Nieuwenhuizen et al. 2013, doi 10.1038/nmeth.2448; and as `frc`.

    Examples
    --------
    >>> from cellqa import frc_resolution
    >>> from cellqa.simulate import filaments, optical_blur
    >>> sharp = filaments((256, 256), cutoff=0.8, photons=3000, seed=1).image
    >>> frc_resolution(sharp, sharp, pixel_size=0.1)
    0.2
    """
    check_pixel_size(pixel_size)
    _check_threshold(threshold)
    case = Case.of(image, reference=reference, frc_threshold=threshold)
    return resolution_between(case, pixel_size)


def frc_single(image: npt.ArrayLike, *, threshold: str = "1/7") -> RingCorrelation:
    """Fourier ring correlation of a single raw image with itself.

    The image is taken apart into the four sub-images of every second row and column; the curves
    of both diagonal pairs are averaged and ended as in `frc`. The diagonal offset of the pairs
    lowers the cut-off; it is corrected with the factor that Koho et al. calibrated for the
    threshold 1/7. The noise of neighbouring pixels must be independent: use it on raw camera
    images, never on enhanced, interpolated, compressed or demosaiced ones.

    Parameters
    ----------
    image : array_like, shape (Y, X)
        At least 82 pixels a side; not constant.
    threshold : str
        `1/7`, `0.5` or `half-bit`; the calibration was made for 1/7.

    Returns
    -------
    RingCorrelation
        Radii in units of the whole image's Nyquist frequency, before the correction; `cutoff` is
        corrected. `at_least` where the curve ends above the threshold.

    Raises
    ------
    ValueError, TypeError
        As `frc`.

    References
    ----------
    Koho S et al. Fourier ring correlation simplifies image restoration in fluorescence
    microscopy. Nat Commun 10, 3103 (2019). doi 10.1038/s41467-019-11024-z

    Examples
    --------
    >>> from cellqa import frc_single
    >>> from cellqa.simulate import filaments
    >>> raw = filaments((512, 512), cutoff=0.3, photons=300, seed=1).image
    >>> round(frc_single(raw).cutoff, 2)
    0.29
    """
    plane = as_plane(image, "image")
    _check(Plane(plane, plane.dtype), "image", 2 * SMALLEST_SIDE)
    _check_threshold(threshold)
    ny, nx = (n - n % 2 for n in plane.shape)
    parts = {
        (y, x): Plane(np.ascontiguousarray(plane[y:ny:2, x:nx:2]), plane.dtype)
        for y in (0, 1)
        for x in (0, 1)
    }
    for part in parts.values():
        _check(part, "image", SMALLEST_SIDE)
    pairs = (((0, 0), (1, 1)), ((0, 1), (1, 0)))
    curves = [_correlation(parts[a], parts[b]) for a, b in pairs]
    mean, variance = np.mean(curves, axis=0)
    curve = _ended(mean, variance, *rings_of(parts[0, 0].pixels.shape)[1:], threshold)
    a, b, c, d = _CALIBRATION
    factor = a * math.exp(c * (curve.cutoff - b)) + d
    return RingCorrelation(
        curve.radii / 2,
        curve.correlation,
        curve.smoothed,
        curve.threshold,
        curve.counts,
        min(curve.cutoff * factor, 1.0),
        curve.at_least,
    )


def between(first: Plane, second: Plane, threshold: str = "1/7") -> RingCorrelation:
    """`frc` of checked planes."""
    _check_threshold(threshold)
    radii, counts = rings_of(first.shape)[1:]
    return _ended(*_correlation(first, second), radii, counts, threshold)


def correlation_of(case: Case) -> RingCorrelation:
    """`frc` of image and reference, for `Case.once`."""
    reference, image = case.pair
    return between(image, reference, case.frc_threshold)


def resolution_between(case: Case, pixel_size: float) -> float:
    """`frc_resolution` of a case."""
    problem = unusable(*case.pair)
    if problem:
        return Undefined(f"frc_resolution: {problem}")
    curve = case.once(correlation_of)
    value = curve.resolution(pixel_size)
    if shares_noise(case.pair[0], curve):
        return Bound(value, f"frc_resolution: {SHARED}")
    if curve.at_least:
        return Bound(value, "frc_resolution: agreement up to the Nyquist frequency, or beyond")
    if math.isinf(value):
        return Bound(value, "frc_resolution: agreement at no frequency")
    return value


def _check(plane: Plane, name: str, smallest: int) -> None:
    if min(plane.shape) < smallest:
        raise ValueError(
            f"`{name}` must have at least {smallest} x {smallest} pixels, got {plane.shape}"
        )
    if plane.flat:
        raise ValueError(f"`{name}` must not be constant")


def _check_threshold(threshold: str) -> None:
    if threshold not in THRESHOLDS:
        raise ValueError(f"`threshold` must be one of {', '.join(THRESHOLDS)}, got {threshold!r}")


def _correlation(first: Plane, second: Plane) -> tuple[Array, Array]:
    """The curve, and the variance that it has where the images have nothing in common."""
    rings, radii, _ = rings_of(first.shape)
    spectra = first.once(spectrum), second.once(spectrum)
    cross, power1, power2, both = ring_sums(*spectra, rings, radii.size + 1)[1:-1].T
    power = power1 * power2
    known = power > 0
    correlation = np.divide(cross, np.sqrt(power), out=np.zeros(radii.size), where=known)
    chance = np.divide(both, power, out=np.ones(radii.size), where=known)
    return correlation, chance / independent(first.shape)


def _ended(
    correlation: Array, variance: Array, radii: Array, counts: Array, threshold: str
) -> RingCorrelation:
    """Smooth a curve and find where it ends."""
    n = radii.size
    hann = _smoothing(n)
    total = np.convolve(counts, hann, "same")
    smoothed = np.convolve(correlation * counts, hann, "same") / total
    error = np.sqrt(np.convolve(variance * counts**2, hann**2, "same")) / total
    limit = np.maximum(_threshold(threshold, counts), BEYOND_CHANCE * error)
    cutoff, at_least = _last_crossing(smoothed, limit, max(3, round(SUSTAINED * n)))
    return RingCorrelation(radii, correlation, smoothed, limit, counts, cutoff / n, at_least)


@lru_cache(maxsize=16)
def _smoothing(n: int) -> Array:
    return np.asarray(np.hanning(2 * max(1, round(SMOOTHING * n)) + 3)[1:-1])


def _threshold(name: str, counts: Array) -> Array:
    if name != "half-bit":
        return np.full(counts.size, 1 / 7 if name == "1/7" else 0.5)
    root = np.sqrt(counts / 2)  # the spectrum of a real image repeats itself
    return np.asarray((0.2071 * root + 1.9102) / (1.2071 * root + 0.9102))  # Eq. 17


def _last_crossing(curve: Array, limit: Array, width: int) -> tuple[float, bool]:
    """Ring (from 1, with fraction) at which the curve falls below the limit for the last time."""
    inverted = _bands(curve < -limit, width)
    stop = inverted[0][0] if inverted else curve.size
    agreeing = _bands(curve[:stop] >= limit[:stop], width)
    if not agreeing:
        return 0.0, False
    last = agreeing[-1][1] - 1
    if last == curve.size - 1:
        return float(curve.size), True
    above, below = curve[last] - limit[last], limit[last + 1] - curve[last + 1]
    return float(last + 1 + above / (above + below)), False


def _bands(wanted: Array, width: int) -> list[tuple[int, int]]:
    """Start and end of each run of at least `width` that are true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
    runs = zip(edges[::2], edges[1::2], strict=True)
    return [(int(start), int(end)) for start, end in runs if end - start >= width]


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: `frc_resolution`."""
    return {"frc_resolution": resolution_between(case, case.pixel_size)}
