"""Resolution from a single image: decorrelation analysis (Descloux et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cellqa.errors import Bound, Undefined
from cellqa.metrics._radial_kernels import (
    decorrelation_curves,
    join_bins,
    peaks,
    radial_sums,
)
from cellqa.metrics._spectrum import (
    SMALLEST_SIDE,
    TOO_SMALL,
    independent,
    linspace,
    quadrant,
    spectrum,
    weights,
)
from cellqa.metrics.case import Case
from cellqa.planes import Array
from cellqa.planes.plane import Plane, as_plane, check_pixel_size
from cellqa.shown import one_line

FINE = 4  # bins for each pixel of the longer side
N_RADII = 50
N_FILTERS = 10
MIN_AMPLITUDE = 0.05
_BANDS = (0.8, 0.8667, 0.9333, 1.0)  # radii between which the noise is looked at; corners beyond
_WHITE = 1.12  # ratio of the bands' powers up to which noise is white
_SURE = 4.0  # standard errors of that ratio
OF_THE_FILTER = "tells of the filter, not of the detail"
FILTERED = (
    "the highest frequencies hold no white noise (filtered, denoised, resampled or compressed): it "
    f"{OF_THE_FILTER}"
)


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
    white : bool
        The premise of the analysis: noise that is white at the highest frequencies. Where it is
        not, kc tells of the filter that took it, not of the detail.
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
    white: bool
    radii: Array
    curves: Array
    refined_radii: Array
    refined_curves: Array
    peaks: Array

    __repr__ = one_line

    def resolution(self, pixel_size: float = 1.0) -> float:
        """Return 2 x pixel size / kc in the unit of `pixel_size`; nan without a peak."""
        return 2 * pixel_size / self.kc if self.has_peak else math.nan


@dataclass(frozen=True)
class _Radii:
    """The radii of one pass, and the bins joined as far as these radii allow."""

    radii: Array  # (50,)
    groups: Array  # (bins,): the group of each bin
    stops: Array  # (51,): number of groups below each radius, and below r = 1


@dataclass(frozen=True)
class Plan:
    """What depends on the image's shape alone: radial bins and where thresholds fall in them."""

    shape: tuple[int, int]  # of the image, cropped to odd sides
    bins: Array  # (my + 1, mx + 1): bin of each frequency of one quadrant
    y2: Array  # (my + 1,): squared radius along each axis
    x2: Array  # (mx + 1,)
    edges: Array  # upper edge of each bin below r = 1
    fine: Array  # those edges that every pass keeps
    counts: Array  # frequencies of the whole plane in each bin
    radius2: Array  # mean squared radius of each bin
    first: _Radii
    second: dict[int, _Radii]  # by the grid index of kc, made when needed


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
    return _analyse(Plane(as_plane(image, "image", smallest=3), np.dtype(float)), fast)


def normal(image: Plane) -> Decorrelation:
    """The analysis in normal mode, for `Plane.once`."""
    return _analyse(image, fast=False)


def _analyse(image: Plane, fast: bool) -> Decorrelation:
    plan = plan_of(image.shape)
    sums, zeros = radial_sums(image.once(spectrum), plan.bins, plan.y2, plan.x2, plan.radius2)
    return from_sums(sums, plan.counts - zeros, plan, fast=fast, constant=image.flat)


def from_sums(
    sums: Array, counts: Array, plan: Plan, *, fast: bool, constant: bool
) -> Decorrelation:
    """The analysis of radial sums, over all frequencies or those of one sector."""
    shape = plan.shape

    def curves(filters: Array, radii: _Radii) -> Array:
        joined = join_bins(sums, counts, plan.radius2, radii.groups, radii.stops[-1] + 1)
        return np.asarray(decorrelation_curves(*joined, filters, radii.stops[:-1]))

    filters = np.array([np.inf])
    unfiltered = curves(filters, plan.first)
    index0 = int(peaks(unfiltered, 0, fast)[0])
    filters = _first_filters(shape, float(plan.first.radii[index0]))
    first = np.vstack([unfiltered, curves(filters, plan.first)])
    all_peaks = peaks(first, max(index0 - 1, 0), fast)
    all_peaks[0] = index0
    radius = plan.first.radii[all_peaks]
    best = int(np.flatnonzero(radius == radius.max())[-1])
    refined = _second(plan, int(all_peaks[best]))
    second = curves(_second_filters(shape, filters, best), refined)
    found2 = peaks(second, 0, fast)

    places = [np.column_stack([radius, first[np.arange(len(all_peaks)), all_peaks]])]
    places.append(np.column_stack([refined.radii[found2], second[np.arange(len(found2)), found2]]))
    peak = np.vstack(places)
    # the second pass's first result takes the place of the last filter's (the authors' program)
    counted = np.delete(peak, len(all_peaks) - 1, axis=0)
    kc = float(counted[counted[:, 1] >= MIN_AMPLITUDE, 0].max(initial=0.0))
    return Decorrelation(
        kc=kc,
        amplitude=float(peak[0, 1]),
        has_peak=not constant and kc > float(plan.first.radii[1]),
        constant=constant,
        white=_is_white(sums, counts, plan),
        radii=plan.first.radii,
        curves=first,
        refined_radii=refined.radii,
        refined_curves=second,
        peaks=peak,
    )


def _is_white(sums: Array, counts: Array, plan: Plan) -> bool:
    """Whether the power of the highest frequencies is the same in all bands, corners included."""
    radius = np.sqrt(plan.radius2)
    radius[-1] = np.inf  # the corners
    band = np.searchsorted(_BANDS, radius)
    number = np.bincount(band, counts, len(_BANDS) + 1)[1:]
    power = np.bincount(band, sums[:, 1], len(_BANDS) + 1)[1:] / np.maximum(number, 1)
    most, least = int(power.argmax()), int(power.argmin())
    if not power[most] > 0:
        return True  # no noise at all
    if not power[least] > 0:
        return False
    ratio = power[most] / power[least]
    error = math.sqrt((2 / number[[most, least]]).sum() / independent(plan.shape))
    return bool(ratio <= max(_WHITE, 1 + _SURE * error))


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
        At least 2 pixels. A `Bound` with its reason where the highest frequencies hold no white
        noise, the premise of the analysis: filtered, denoised, resampled and compressed images read
        finer than they are. Undefined (nan that carries its reason) for images below 41 pixels a
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
    check_pixel_size(pixel_size)
    return resolution_of(Plane.of(image, "image"), pixel_size, compat)


def resolution_of(plane: Plane, pixel_size: float = 1.0, compat: bool = False) -> float:
    """`resolution` of a checked plane."""
    if min(plane.shape) < SMALLEST_SIDE:
        return Undefined(f"resolution: {TOO_SMALL}")
    analysis = _analyse(plane, fast=True) if compat else plane.once(normal)
    if analysis.has_peak or (compat and analysis.kc > 0 and not analysis.constant):
        value = 2 * pixel_size / analysis.kc
        return value if analysis.white or compat else Bound(value, f"resolution: {FILTERED}")
    return Undefined("resolution: the decorrelation curves have no peak (constant image or noise)")


@lru_cache(maxsize=4)  # one holds a quarter of the bytes of a uint32 image
def plan_of(full: tuple[int, int]) -> Plan:
    """Bins and radii for images of this shape."""
    y, x = quadrant(full)
    my, mx = y.size - 1, x.size - 1
    shape = 2 * my + 1, 2 * mx + 1
    radius = np.sqrt(x[None, :] ** 2 + y[:, None] ** 2)
    radii = linspace(0, 1, N_RADII)
    # Every threshold is an edge, so that no frequency is ever on the wrong side of one; the fine
    # grid keeps the filters' values within a bin alike.
    fine = np.arange(1, FINE * max(shape) + 1) / (FINE * max(shape))
    refined = [_refined_radii(radii, k) for k in range(N_RADII)]
    edges = np.unique(np.concatenate([radii, *refined, fine]))
    edges = edges[(edges > 0) & (edges <= 1)]
    index = np.searchsorted(edges, radius, side="right").astype(np.int32)
    weight = weights(y, x)
    n_bins = edges.size  # bins below r = 1; frequencies outside share one more bin
    counts = np.bincount(index.ravel(), weight.ravel(), n_bins + 1)
    total = np.bincount(index.ravel(), (weight * radius**2).ravel(), n_bins + 1)
    radius2 = total / np.maximum(counts, 1)
    first = _joined(edges, fine, radii)
    return Plan(shape, index, y**2, x**2, edges, fine, counts, radius2, first, {})


def _refined_radii(radii: Array, k: int) -> Array:
    """Radii of the second pass for kc at a grid index: one step below to 0.4 above."""
    step = radii[1] - radii[0]
    return linspace(max(radii[k] - step, 0.0), min(radii[k] + 0.4, 1.0), N_RADII)


def _second(plan: Plan, k: int) -> _Radii:
    if k not in plan.second:
        radii = _refined_radii(plan.first.radii, k)
        plan.second[k] = _joined(plan.edges, plan.fine, radii)
    return plan.second[k]


def _joined(edges: Array, fine: Array, radii: Array) -> _Radii:
    """Groups of bins between the fine grid's edges and these radii."""
    kept = np.unique(np.concatenate([fine, radii]))
    kept = kept[(kept > 0) & (kept <= 1)]
    groups = np.append(np.searchsorted(kept, edges), kept.size)  # the last lies outside r = 1
    stops = np.where(radii > 0, np.searchsorted(kept, radii) + 1, 0)
    last = np.append(stops, kept.size)  # the number of groups below r = 1
    return _Radii(radii, groups.astype(np.int64), last.astype(np.int64))


def _first_filters(shape: tuple[int, int], r0: float) -> Array:
    widest = 2 / r0 if r0 > 0 else max(shape) / 2
    return np.concatenate([[shape[0] / 4], _geomspace(widest, 0.15)])


def _geomspace(start: float, stop: float) -> Array:
    # NumPy's own takes longer than all curves together
    return np.asarray(np.exp(linspace(math.log(start), math.log(stop), N_FILTERS)))


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
    return _geomspace(low, high)


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: `resolution`."""
    value = resolution_of(case.image, case.pixel_size, case.compat)
    enlarged = case.raw is not None and case.image.shape != case.raw.shape
    if enlarged and value < 2 * case.scale * case.pixel_size and not case.compat:
        value = Undefined(
            "resolution: finer than two pixels of the input, which measured nothing there"
        )
    return {"resolution": value}
