"""Resolution from a single image: decorrelation analysis (Descloux et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

from cellqa.checks import Plane, as_plane
from cellqa.errors import Undefined
from cellqa.metrics._family import Family, Settings
from cellqa.metrics._kernels import (
    decorrelation_curves,
    first_peak_from_above,
    last_peak,
    radial_sums,
    sum_and_extremes,
    taper,
)

Array = npt.NDArray[Any]

EDGE = 20  # pixels over which the border is apodised
N_RADII = 50
N_FILTERS = 10
MIN_AMPLITUDE = 0.05
SMALLEST_SIDE = 2 * EDGE + 1  # smaller images consist of apodised border only


@dataclass(frozen=True)
class Decorrelation:
    """Everything that decorrelation analysis finds in one image.

    Attributes
    ----------
    kc : float
        Cut-off frequency, 1 at the Nyquist frequency; raw, also where `has_peak` is false.
    amplitude : float
        A0, the height of the unfiltered curve's peak; low values mean a noisy image.
    has_peak : bool
        False for a constant image, for kc = 0 and for white noise, where kc means nothing.
    constant : bool
        Whether all pixels are equal.
    radii, refined_radii : ndarray, shape (50,)
        Radii at which the curves of the first and of the second pass are sampled.
    curves : ndarray, shape (12, 50)
        First pass: the unfiltered curve, then one for each high-pass filter.
    refined_curves : ndarray, shape (10, 50)
        Second pass, around the first pass's cut-off.
    peaks : ndarray, shape (n, 2)
        (radius, amplitude) of each curve's peak, in the order of the curves of both passes.
    """

    kc: float
    amplitude: float
    has_peak: bool
    constant: bool
    radii: Array
    curves: Array
    refined_radii: Array
    refined_curves: Array
    peaks: Array

    def resolution(self, pixel_size: float = 1.0) -> float:
        """Return 2 x pixel size / kc in the unit of `pixel_size`; nan without a peak."""
        return 2 * pixel_size / self.kc if self.has_peak else math.nan


@dataclass(frozen=True)
class _Plan:
    """What depends on the image's shape alone: radial bins and where thresholds fall in them."""

    taper_y: Array  # window of each axis, cropped to odd length
    taper_x: Array
    bins: Array  # (my + 1, mx + 1): bin of each frequency of one quadrant
    y2: Array  # (my + 1,): squared radius along each axis
    x2: Array  # (mx + 1,)
    counts: Array  # frequencies of the whole plane in each bin
    radius2: Array  # mean squared radius of each bin
    radii: Array  # (50,)
    stops: Array  # (50,): number of bins below each radius of the first pass
    refined_radii: Array  # (50, 50): second-pass radii for each grid index of kc
    refined_stops: Array  # (50, 50)


def decorrelation(image: npt.ArrayLike, *, fast: bool = False) -> Decorrelation:
    """Analyse how the image's spectrum correlates with its own normalised version.

    For each radius r, d(r) is the correlation of the spectrum with its phase inside r
    (Eq. 1 of the paper). The curve's peak gives the highest frequency with signal above noise;
    high-pass filtering repeats it for finer detail, a second pass refines the largest cut-off.

    Parameters
    ----------
    image : array_like, shape (Y, X)
        Any integer or float type; at least 3 x 3 pixels.
    fast : bool
        The fast mode of the authors' program: each curve is scanned from r = 1 downwards and
        the first peak met is taken. A different estimator: it differs on a quarter of images.

    Returns
    -------
    Decorrelation

    Raises
    ------
    ValueError, TypeError
        The image is not two-dimensional, smaller than 3 x 3, or holds NaN or infinity.

    Notes
    -----
    Masks, filters and the normalised spectrum are all radial, so that three radial histograms
    of one FFT (sum of magnitudes, of squared magnitudes, number of frequencies) hold every
    curve of both passes. Cost: one real FFT and one pass over its result.

    References
    ----------
    Descloux A, Grussmayer KS, Radenovic A. Parameter-free image resolution estimation based on
    decorrelation analysis. Nat Methods 16, 918-924 (2019). doi 10.1038/s41592-019-0515-7

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import decorrelation
    >>> noise = np.random.default_rng(1).normal(size=(256, 256))
    >>> decorrelation(noise).has_peak
    False
    """
    return _analyse(Plane(as_plane(image, "image", smallest=3), np.dtype(float)).real, fast)


def _analyse(plane: Array, fast: bool) -> Decorrelation:
    plan = _plan(plane.shape)
    shape = plan.taper_y.size, plan.taper_x.size
    total, low, high = sum_and_extremes(plane)
    gain = 1 / (float(high) - float(low)) if high > low else 1.0  # keeps float32 from overflow
    sums, counts = _spectrum_sums(plane, total / plane.size, gain, plan)

    def curves(filters: Array, stops: Array) -> Array:
        return np.asarray(decorrelation_curves(sums, counts, plan.radius2, filters, stops))

    def peak(curve: Array, radii: Array, start: int = 0) -> tuple[int, float, float]:
        index = first_peak_from_above(curve, start) if fast else last_peak(curve)
        return index, float(radii[index]), float(curve[index])

    unfiltered = curves(np.array([np.inf]), plan.stops)[0]
    index0, r0, a0 = peak(unfiltered, plan.radii)
    filters = _first_filters(shape, r0)
    first = curves(filters, plan.stops)
    found = [(index0, r0, a0)] + [peak(c, plan.radii, max(index0 - 1, 0)) for c in first]
    best = max(range(len(found)), key=lambda i: (found[i][1], i))
    refined_radii = plan.refined_radii[found[best][0]]
    second = curves(_second_filters(shape, filters, best), plan.refined_stops[found[best][0]])
    refined = [peak(c, refined_radii) for c in second]

    # the second pass's first result takes the place of the last filter's (the authors' program)
    candidates = [p[1:] for p in found[1:-1] + refined + found[:1]]
    kc = max((r for r, a in candidates if a >= MIN_AMPLITUDE), default=0.0)
    return Decorrelation(
        kc=kc,
        amplitude=a0,
        has_peak=bool(low != high) and kc > float(plan.radii[1]),
        constant=bool(low == high),
        radii=plan.radii,
        curves=np.vstack([unfiltered[None], first]),
        refined_radii=refined_radii,
        refined_curves=second,
        peaks=np.array([p[1:] for p in found + refined]),
    )


def resolution(image: npt.ArrayLike, *, pixel_size: float = 1.0, compat: bool = False) -> float:
    """Resolution by decorrelation analysis: 2 x pixel size / kc. Lower is better.

    Parameters
    ----------
    image : array_like, shape (Y, X)
    pixel_size : float
        In micrometres; the result then is in micrometres. With 1 it is in pixels.
    compat : bool
        As the CIEGAN authors' tables: fast mode, and a number even where there is no peak.

    Returns
    -------
    float
        At least 2 pixels. Undefined (nan that carries its reason) for images below 41 pixels a
        side, which are all apodised border, and where the curves have no peak: constant images
        and white noise.

    References
    ----------
    Descloux et al. 2019, doi 10.1038/s41592-019-0515-7

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import resolution
    >>> from cellqa.simulate import filaments
    >>> scene = filaments((256, 256), cutoff=0.35, photons=1000, seed=1)
    >>> round(resolution(scene.image, pixel_size=0.1), 2)  # truth: 2 x 0.1 / 0.35 = 0.57
    0.64
    """
    if not pixel_size > 0:
        raise ValueError(f"`pixel_size` must be above 0 (micrometres), got {pixel_size}")
    return _resolution(Plane.of(image, "image"), pixel_size, compat)


def _resolution(plane: Plane, pixel_size: float, compat: bool) -> float:
    if min(plane.raw.shape) < SMALLEST_SIDE:
        return Undefined(f"resolution: a side below {SMALLEST_SIDE} pixels is all apodised border")
    found = _analyse(plane.real, compat)
    if found.has_peak or (compat and found.kc > 0 and not found.constant):
        return 2 * pixel_size / found.kc
    return Undefined("resolution: the decorrelation curves have no peak (constant image or noise)")


def _spectrum_sums(plane: Array, mean: float, gain: float, plan: _Plan) -> tuple[Array, Array]:
    """Radial sums of the spectrum and the number of frequencies that are not exactly 0."""
    # Without its mean the image keeps more of float32's digits; the mean only moves F(0, 0).
    tapered = np.empty((plan.taper_y.size, plan.taper_x.size), np.float32)
    total = taper(plane, mean, gain, plan.taper_y, plan.taper_x, tapered)
    total += mean * gain * tapered.size
    spectrum = scipy.fft.rfft2(tapered, overwrite_x=True)
    spectrum[0, 0] = total
    sums, zeros = radial_sums(spectrum, plan.bins, plan.y2, plan.x2, plan.radius2)
    return sums, plan.counts - zeros


def _taper(size: int) -> Array:
    """Weights of one axis: 1 inside, half a cosine down to 0 over the last 20 pixels."""
    x = np.abs(_linspace(-size / 2, size / 2, size))
    border = x > size / 2 - EDGE
    ramp = np.where(border, -x - np.mean(-x[border]), 0.0)
    low, high = ramp.min(), ramp.max()
    phase = (ramp - low) / (high - low) * np.pi - np.pi / 2 if high > low else ramp
    return np.asarray((np.sin(np.where(border, phase, np.pi / 2)) + 1) / 2)


def _linspace(start: float, stop: float, n: int) -> Array:
    """`linspace` built from both ends, so that it is exactly symmetric (as GNU Octave's)."""
    step = (stop - start) / (n - 1)
    half = n // 2
    out = np.empty(n)
    out[:half] = start + np.arange(half) * step
    out[n - half :] = (stop - np.arange(half) * step)[::-1]
    if n % 2:
        out[half] = 0.0 if start == -stop else (start + stop) / 2
    return out


@lru_cache(maxsize=4)  # one holds a quarter of the bytes of a uint32 image
def _plan(full: tuple[int, int]) -> _Plan:
    tapers = [_taper(n)[: n - (n + 1) % 2] for n in full]
    shape = [w.size for w in tapers]
    my, mx = shape[0] // 2, shape[1] // 2
    y, x = (_linspace(-1, 1, n)[n // 2 :] for n in shape)
    radius = np.sqrt(x[None, :] ** 2 + y[:, None] ** 2)
    radii = _linspace(0, 1, N_RADII)
    step = radii[1] - radii[0]
    refined = np.stack([_linspace(max(k - step, 0.0), min(k + 0.4, 1.0), N_RADII) for k in radii])
    # Every threshold is an edge, so that no frequency is ever on the wrong side of one; the fine
    # grid keeps the filters' values within a bin alike.
    fine = 4 * max(shape)
    edges = np.unique(np.concatenate([radii, refined.ravel(), np.arange(1, fine) / fine]))
    edges = edges[(edges > 0) & (edges <= 1)]
    index = np.searchsorted(edges, radius, side="right").astype(np.int32)
    weight = np.full((my + 1, mx + 1), 4.0)
    weight[0] /= 2
    weight[:, 0] /= 2
    n_bins = edges.size  # bins below r = 1; frequencies outside share one more bin
    counts = np.bincount(index.ravel(), weight.ravel(), n_bins + 1)
    total = np.bincount(index.ravel(), (weight * radius**2).ravel(), n_bins + 1)
    radius2 = total / np.maximum(counts, 1)

    def below(thresholds: Array) -> Array:
        found = np.searchsorted(edges, thresholds) + 1
        return np.where(thresholds > 0, found, 0).astype(np.int64)

    return _Plan(
        tapers[0],
        tapers[1],
        index,
        y**2,
        x**2,
        counts,
        radius2,
        radii,
        below(radii),
        refined,
        below(refined),
    )


def _first_filters(shape: tuple[int, int], r0: float) -> Array:
    widest = 2 / r0 if r0 > 0 else max(shape) / 2
    return np.concatenate([[shape[0] / 4], np.geomspace(widest, 0.15, N_FILTERS)])


def _second_filters(shape: tuple[int, int], filters: Array, best: int) -> Array:
    """Ten filters around the one with the largest cut-off; `best` is 0 for the unfiltered curve.

    The tenth filter takes the interval of the ninth, as in the authors' program.
    """
    if best == 0:
        low, high = float(shape[0]), filters[0]
    elif best < N_FILTERS:
        low, high = filters[best - 1], filters[best]
    else:
        low, high = filters[best - 2], filters[best - 1]
    return np.geomspace(low, high, N_FILTERS)


def _prepare(reference: Plane | None, settings: Settings, names: Set[str]) -> None:
    return None  # the ground truth has no part in it


def _measure(prepared: None, image: Plane, settings: Settings, names: Set[str]) -> dict[str, float]:
    return {"resolution": _resolution(image, settings.pixel_size, settings.compat)}


RESOLUTION = Family(_prepare, _measure)
