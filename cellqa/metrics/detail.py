"""The detail budget: what of an image's detail is measured, inferred, noise, or invented."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.metrics._regression import adjusted, by_both, explained, signal_of
from cellqa.metrics._ring_kernels import ring_sums, triple_sums
from cellqa.metrics._spectrum import (
    energy,
    independent,
    noise_floor,
    ring_power,
    rings_of,
    spectrum,
    unusable,
)
from cellqa.metrics.alignment import displaced, displacement_nearby, known_part
from cellqa.metrics.case import Case
from cellqa.planes import Array
from cellqa.planes.finer import finer
from cellqa.planes.plane import Plane
from cellqa.shown import one_line

SHARES = ("measured", "noise", "inferred", "invented", "untestable")
DETAIL = 0.1  # of the Nyquist frequency: what is coarser is no detail
_AGAINST = 2.0  # standard errors by which a ground truth that is against the image is so
_MOVED = 0.02  # pixels: displacements below change nothing
_FAR = 3.0  # pixels: displacements beyond are undone only if the images then agree better


@dataclass(frozen=True)
class DetailBudget:
    """Where the detail of an enhanced image comes from, as shares of its power.

    Attributes
    ----------
    measured : float
        Explained by the raw image and by the ground truth.
    noise : float
        Explained by the raw image alone: its noise.
    inferred : float
        Explained by the ground truth alone: right, and not from this raw image.
    invented : float
        Explained by neither.
    untestable : float
        Not explained by the raw image, where the ground truth is itself noise and cannot testify.
    radii : ndarray, shape (n,)
        Frequency of each ring, 1 at the Nyquist frequency.
    power : ndarray, shape (n,)
        Of the enhanced image's spectrum in each ring.
    curves : ndarray, shape (n, 5)
        The shares in each ring, in the order above. Single rings vary by chance, below 0 too.
    """

    measured: float
    noise: float
    inferred: float
    invented: float
    untestable: float
    radii: Array
    power: Array
    curves: Array

    __repr__ = one_line

    @property
    def supported(self) -> float:
        """Explained by the ground truth, whatever the raw image shows."""
        return self.measured + self.inferred

    @property
    def invented_amplitude(self) -> float:
        """Amplitude of what is invented, over that of what the ground truth supports."""
        if self.supported <= 0:
            return math.inf if self.invented > 0 else math.nan
        return math.sqrt(max(self.invented, 0.0) / self.supported)


def detail_budget(
    reference: npt.ArrayLike, raw: npt.ArrayLike, image: npt.ArrayLike, *, scale: int = 1
) -> DetailBudget:
    """Split the detail of an enhanced image into measured, noise, inferred and invented.

    In each ring of frequencies, the spectra of ground truth G and raw image R explain shares of the
    power of the enhanced image's F, as in a regression with real coefficients: R²g, R²r and, both
    together, R²gr, adjusted for chance by the ring's degrees of freedom. Then

        measured = R²g + R²r - R²gr,  noise = R²gr - R²g,
        inferred = R²gr - R²r,        invented = 1 - R²gr,

    summed over the rings above a tenth of the Nyquist frequency, weighted by F's power. Whatever
    multiplies frequencies (gain, blur, sharpening, deconvolution) invents nothing; structures that
    neither image has do, however strong. What a filter that is not linear makes of noise counts as
    invented too.

    The ground truth's own noise, the median power beyond 0.9 of Nyquist, is taken off its power, so
    that a noisy truth accuses nobody; rings where it does not stand out of that noise by two
    standard errors are `untestable`. A ground truth that is against the image (a correlation below
    minus two standard errors) supports nothing. Displacements are undone first.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)
        At least 41 pixels a side; not constant.
    raw : array_like, shape (Y, X) or (Y / scale, X / scale)
    scale : int
        How many times the raw image's pixels the others have along each side.

    Returns
    -------
    DetailBudget

    Raises
    ------
    ValueError, TypeError
        Shapes do not fit, a side is below 41 pixels, an image is constant, or a value is NaN or
        infinite.

    Notes
    -----
    No one threshold tells the honest from the forged: docs/explanation/believing.md has the amounts
    of eleven honest methods and of forgeries. Compare methods on the same image: a forgery raises
    `invented` against the same image without it wherever it was tried.

    References
    ----------
    Draper NR, Smith H. Applied Regression Analysis, 3rd ed. (1998), chapter 5.
    doi 10.1002/9781118625590; Fuller WA. Measurement Error Models (1987), section 1.2.
    doi 10.1002/9780470316665

    Examples
    --------
    >>> from cellqa import detail_budget
    >>> from cellqa.simulate import acquire, filaments
    >>> truth = filaments((256, 256), cutoff=0.6, photons=1000, seed=1)
    >>> raw = acquire(truth.structure, cutoff=0.3, photons=300, seed=2).image
    >>> round(detail_budget(truth.image, raw, 3 * raw + 10).invented, 3)  # nothing was added
    0.0
    >>> other = filaments((256, 256), cutoff=0.6, photons=1000, seed=3).image
    >>> detail_budget(truth.image, raw, raw + 0.1 * other).invented > 0.05
    True
    """
    case = Case.of(image, reference=reference, raw=raw, scale=scale)
    budget = budget_of(case)
    if isinstance(budget, str):
        raise ValueError(f"no detail budget: {budget}")
    return budget


def supported(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """Share of the image's detail that the ground truth explains. Higher is better.

    R²g of `detail_budget`, which has the definition, sources and limits; the rest is noise,
    inventions, or what the ground truth cannot testify of. Needs no raw image.

    Returns
    -------
    float
        0 to 1. Undefined (nan that carries its reason) for constant images and below 41 pixels.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, or a value is NaN or infinite.

    Examples
    --------
    >>> from cellqa import supported
    >>> from cellqa.simulate import filaments
    >>> one, two = (filaments((256, 256), cutoff=0.5, seed=seed) for seed in (1, 2))
    >>> round(supported(one.image, one.ideal), 2), round(supported(one.image, two.ideal), 2)
    (1.0, 0.0)
    """
    return _supported(Case.of(image, reference=reference))


def invented(
    reference: npt.ArrayLike, raw: npt.ArrayLike, image: npt.ArrayLike, *, scale: int = 1
) -> float:
    """Share of the image's detail that neither ground truth nor raw image explain. Lower is better.

    See `detail_budget` for parameters, errors, sources (doi 10.1002/9781118625590) and an example.

    Returns
    -------
    float
        0 to 1.
    """
    return float(np.clip(detail_budget(reference, raw, image, scale=scale).invented, 0, 1))


@dataclass(frozen=True)
class Sums:
    """What the rings hold of an image beside its ground truth and raw image."""

    radii: Array
    freedom: Array  # independent numbers in each ring
    power: Array  # of the image
    with_reference: Array
    with_raw: Array


def enlarged(raw: Plane, shape: tuple[int, ...]) -> Plane:
    """The raw image in the enhanced image's pixels."""
    if raw.shape == shape:
        return raw
    larger = finer(raw.pixels, shape)
    return Plane(larger, larger.dtype)


def at_rest(first: Plane, second: Plane, by: tuple[float, float]) -> Array:
    """The second image's spectrum, its displacement against the first undone."""
    half = second.once(spectrum)
    y, x = known_part(by)
    if math.hypot(y, x) < _MOVED:
        return half
    turned = _turned(half, y, x)
    if math.hypot(y, x) > _FAR:
        # what was misplaced may be what was found: then the image agrees better where it is
        theirs = first.once(spectrum)
        there, here = (float((theirs * s.conj()).real[:, 1:].sum()) for s in (turned, half))
        return turned if there > here else half
    return turned


def _turned(half: Array, y: float, x: float) -> Array:
    """A spectrum of an image moved by -(y, x) pixels."""
    ny, nx = half.shape[0], 2 * half.shape[1] - 1
    turn_y = np.exp(2j * np.pi * np.fft.fftfreq(ny) * y).astype(np.complex64)
    turn_x = np.exp(2j * np.pi * np.arange(half.shape[1]) / nx * x).astype(np.complex64)
    return np.asarray(half * turn_y[:, None] * turn_x)


def sums_of(case: Case) -> Sums | str:
    """The sums over rings, or why there are none; for `Case.once`."""
    truth, image = case.pair
    problem = unusable(truth, image)
    if not problem and case.raw is not None and case.raw.flat:
        problem = "the raw image is constant"
    if problem:
        return problem
    rings, radii, counts = rings_of(image.shape)
    first = truth.once(spectrum)
    third = first if case.raw is None else truth.beside(case.raw, _raw_in_place)
    ours = at_rest(truth, image, case.once(displaced))
    power, with_truth, with_raw = triple_sums(ours, first, third, rings, radii.size + 1)[1:-1].T
    return Sums(radii, counts * independent(image.shape), power, with_truth, with_raw)


def _raw_in_place(truth: Plane, raw: Plane) -> Array:
    """The raw image's spectrum in the ground truth's place; for `Plane.beside`."""
    return at_rest(truth, enlarged(raw, truth.shape), truth.beside(raw, displacement_of))


def displacement_of(truth: Plane, raw: Plane) -> tuple[float, float]:
    """Of the raw image, in the ground truth's pixels; for `Plane.beside`."""
    return displacement_nearby(truth, enlarged(raw, truth.shape))


@dataclass(frozen=True)
class _Truth:
    """The ground truth's rings: its signal's power, and where that stands out of its noise."""

    power: Array
    testifies: Array


def _truth(plane: Plane) -> _Truth:
    """For `Plane.once`."""
    noise = plane.once(floor_of) * rings_of(plane.shape)[2]
    freedom = rings_of(plane.shape)[2] * independent(plane.shape)
    return _Truth(*signal_of(plane.once(ring_power), noise, freedom))


def noise_variance(plane: Plane) -> float:
    """Of the plane's noise, in its squared grey levels, by its highest frequencies."""
    low, high = plane.extremes
    with np.errstate(over="ignore"):
        return float(plane.once(floor_of) * np.square(high - low) / energy(plane.shape))


def floor_of(plane: Plane) -> float:
    """Power of the noise at each frequency; for `Plane.once`."""
    _, radii, counts = rings_of(plane.shape)
    return noise_floor(plane.once(ring_power), radii, counts)


@dataclass(frozen=True)
class Beside:
    """Rings of a raw image in its ground truth's place: its power, its product with the truth."""

    power: Array
    product: Array
    floor: float  # power of the raw image's noise at each frequency


def raw_beside(truth: Plane, raw: Plane) -> Beside:
    """For `Plane.beside`."""
    rings, radii, counts = rings_of(truth.shape)
    ours = truth.beside(raw, _raw_in_place)
    product, power, _ = ring_sums(ours, truth.once(spectrum), rings, radii.size + 1)[1:-1, :3].T
    return Beside(power, product, noise_floor(power, radii, counts))


def budget_of(case: Case) -> DetailBudget | str:
    """The budget, or why there is none; for `Case.once`."""
    sums = case.once(sums_of)
    if isinstance(sums, str):
        return sums
    assert case.raw is not None
    truth = case.pair[0]
    known, of_raw = truth.once(_truth), truth.beside(case.raw, raw_beside)
    raw, raw_truth = of_raw.power, of_raw.product
    against = -_AGAINST * np.sqrt(sums.power * truth.once(ring_power) / sums.freedom)
    signal = np.where(known.testifies, known.power, 0.0)
    by_raw = explained(sums.with_raw, sums.power, raw)
    in_favour = known.testifies & (sums.with_reference > 0)
    by_truth = np.where(in_favour, explained(sums.with_reference, sums.power, signal), 0.0)
    both, on_truth, apart = by_both(
        sums.with_reference, sums.with_raw, raw_truth, sums.power, signal, raw
    )
    solvable = known.testifies & apart
    both = np.where(solvable & ((on_truth > 0) | (sums.with_reference > against)), both, by_raw)
    both = np.minimum(np.maximum(both, np.maximum(by_truth, by_raw)), 1.0)
    by_raw, by_truth = (adjusted(share, sums.freedom, 1) for share in (by_raw, by_truth))
    both = adjusted(both, sums.freedom, 2)
    left = 1 - both
    parts = (
        by_truth + by_raw - both,
        both - by_truth,
        both - by_raw,
        np.where(known.testifies, left, 0.0),
        np.where(known.testifies, 0.0, left),
    )
    curves = np.column_stack(parts)
    power = np.where(sums.radii >= DETAIL, sums.power, 0.0)
    if not power.sum() > 0:
        return "the image has no detail"
    shares = (curves * power[:, None]).sum(axis=0) / power.sum()
    named = {name: float(share) for name, share in zip(SHARES, shares, strict=True)}
    return DetailBudget(radii=sums.radii, power=sums.power, curves=curves, **named)


def _supported(case: Case) -> float:
    sums = case.once(sums_of)
    if isinstance(sums, str):
        return Undefined(f"supported: {sums}")
    known = case.pair[0].once(_truth)
    testifies = known.testifies & (sums.with_reference > 0)
    share = np.where(testifies, explained(sums.with_reference, sums.power, known.power), 0.0)
    power = np.where(sums.radii >= DETAIL, sums.power, 0.0)
    if not power.sum() > 0:
        return Undefined("supported: the image has no detail")
    total = (adjusted(share, sums.freedom, 1) * power).sum() / power.sum()
    return float(np.clip(total, 0, 1))


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: the shares of the budget, and `supported`."""
    values: dict[str, float] = {}
    wanted = names & {*SHARES, "invented_amplitude"}
    if wanted:
        budget = case.once(budget_of)
        if isinstance(budget, str):
            values |= dict.fromkeys(wanted, Undefined(f"detail budget: {budget}"))
        else:
            shares = wanted & {*SHARES}
            values |= {name: float(np.clip(getattr(budget, name), 0, 1)) for name in shares}
            values["invented_amplitude"] = budget.invented_amplitude
    if "supported" in names:
        values["supported"] = _supported(case)
    return values
