"""Transfer functions of a microscope out of focus: fluorescence, and weak objects in brightfield.

Frequencies are in cycles per micrometre, lengths in micrometres.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal
from scipy.optimize import minimize

from cellqa.planes import Array
from cellqa.planes.plane import as_pair, check_pixel_size
from cellqa.shown import one_line
from cellqa.simulate import filtered

_POINTS = 128  # of the fluorescence transfer function, denser at low frequencies
_BAND_POINTS = 256  # of the brightfield one, which oscillates at high frequencies
_GRID = 160  # of the pupil, along each side
_SOURCES = 24  # of the condenser, along its diameter
_PHASES = tuple(math.asinh(p) for p in (-16, -4, -1, 0, 1, 4, 16))
_STARTS = 4  # of the grid's points that are refined
_REFERENCE = 0.1  # cycles per micrometre at which `Microscope.phase` holds
_COARSEST = 0.002  # cycles per micrometre: coarser than any object that is weak
_LEAST = 0.02  # of the in-focus transfer, below which it is not divided by


@dataclass(frozen=True)
class Optics:
    """What the transfer function of fluorescence depends on.

    Attributes
    ----------
    na : float
        Numerical aperture of the objective.
    wavelength : float
        Of the light that is seen, in micrometres.
    index : float
        Refractive index of what the objective dips into: 1 air, 1.33 water, 1.515 oil.
    """

    na: float = 0.75
    wavelength: float = 0.55
    index: float = 1.0

    __repr__ = one_line

    def __post_init__(self) -> None:
        if not 0 < self.wavelength < 100:
            raise ValueError(f"`wavelength` must be in micrometres, got {self.wavelength}")
        if not 0 < self.na < self.index:
            raise ValueError(f"`na` must be above 0 and below `index`, got {self.na}")


@dataclass(frozen=True)
class Microscope(Optics):
    """What the transfer function of brightfield depends on: that of fluorescence, and this.

    Attributes
    ----------
    condenser_na : float
        Numerical aperture of the condenser.
    phase : float
        How many times stronger the object shifts phase than it absorbs, at periods of 10 µm.
    slope : float
        How that falls with frequency: phase x (0.1 / q)^slope, q in cycles per micrometre, as
        cells are smooth in thickness but not in absorption.
    """

    condenser_na: float = 0.2
    phase: float = 1.0
    slope: float = 0.0

    __repr__ = one_line

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.condenser_na < self.index:
            raise ValueError(f"`condenser_na` must be 0 to `index`, got {self.condenser_na}")
        if not math.isfinite(self.phase):
            raise ValueError(f"`phase` must be a finite number, got {self.phase}")
        if not 0 <= self.slope <= 2:
            raise ValueError(f"`slope` must be 0 to 2, got {self.slope}")

    def phase_at(self, frequency: npt.ArrayLike) -> Array:
        """How many times stronger the object shifts phase than it absorbs, at a frequency.

        Frequencies below 0.002 cycles per micrometre count as that.
        """
        radii = np.maximum(np.asarray(frequency, dtype=np.float64), _COARSEST)
        return self.phase * (_REFERENCE / radii) ** self.slope


def fluorescence_defocus(frequency: npt.ArrayLike, distance: float, microscope: Optics) -> Array:
    """What incoherent imaging out of focus passes of what it passes in focus.

    OTF_z(q) / OTF_0(q), with OTF the autocorrelation of the pupil, whose phase out of focus is
    2 pi z sqrt((n / lambda)^2 - rho^2) (Goodman, Introduction to Fourier Optics, section 6.4, with
    the exact instead of the parabolic phase). Within -1 to 1; 0 beyond the cut-off 2 NA / lambda.

    Parameters
    ----------
    frequency : array_like
        In cycles per micrometre.
    distance : float
        Between the object and the plane in focus, in micrometres.
    microscope : Optics

    Returns
    -------
    ndarray, shape of `frequency`

    Examples
    --------
    >>> scope = Optics(na=0.75, wavelength=0.52)
    >>> fluorescence_defocus([0.0, 0.1, 1.0], 4.0, scope).round(1)
    array([1. , 0.6, 0. ])
    """
    na, light = microscope.na, microscope.wavelength
    cutoff = 2 * na / light
    knots = _fluorescence(na, light, microscope.index, round(float(distance), 3))
    radii = np.asarray(frequency, dtype=np.float64)
    values = np.interp(radii, cutoff * _low_first(), knots)
    return np.where(radii < cutoff, values, 0.0)


def brightfield_defocus(frequency: npt.ArrayLike, distance: float, microscope: Microscope) -> Array:
    """What becomes of a weak object's image out of focus, relative to in focus.

    (Re C_z(q) + p(q) Im C_z(q)) / Re C_0(q) with C_z(q) = sum over the condenser's points s of
    P_z*(s) P_z(s + q), P_z the pupil with the phase 2 pi z sqrt((n / lambda)^2 - rho^2), and p how
    much stronger the object shifts phase than it absorbs (weak object transfer functions: Streibl
    1985, Eq. 12-16). Contrast inverts where it is negative: on one side of focus, at low
    frequencies. Beyond the transmitted band it is 0.

    Parameters
    ----------
    frequency : array_like
        In cycles per micrometre.
    distance : float
        Of the plane in focus from the object, in micrometres; its sign tells the side.
    microscope : Microscope

    Returns
    -------
    ndarray, shape of `frequency`

    References
    ----------
    Streibl N. Three-dimensional imaging by a microscope. J Opt Soc Am A 2, 121-127 (1985).
    doi 10.1364/JOSAA.2.000121

    Examples
    --------
    >>> scope = Microscope(phase=8.0)
    >>> above, below = (brightfield_defocus([0.2], z, scope)[0] for z in (5, -5))
    >>> bool(above * below < 0)
    True
    """
    m = microscope
    cutoff = (m.na + m.condenser_na) / m.wavelength
    key = m.na, m.wavelength, m.index, round(m.condenser_na, 4)
    defocused = _correlation(*key, round(float(distance), 3))
    focused = _correlation(*key, 0.0).real
    passed = focused > _LEAST * focused[0]
    relative = defocused / np.where(passed, focused, np.inf)
    radii = np.asarray(frequency, dtype=np.float64)
    knots = np.linspace(0, cutoff, _BAND_POINTS)
    values = np.interp(radii, knots, relative.real)
    values += m.phase_at(radii) * np.interp(radii, knots, relative.imag)
    return np.where(radii < cutoff, values, 0.0)


def defocused(
    image: npt.ArrayLike, transfer: Any, *, pixel_size: float, margin: float = 64
) -> Array:
    """Filter an image with a radial transfer function; the border is mirrored.

    Parameters
    ----------
    image : array_like, shape (Y, X)
    transfer : callable
        Of frequencies in cycles per micrometre.
    pixel_size : float
        In micrometres.
    margin : float
        Width of the mirrored border, in pixels.
    """
    check_pixel_size(pixel_size)
    return filtered(
        np.asarray(image, dtype=np.float64), lambda r: transfer(r / (2 * pixel_size)), margin
    )


@dataclass(frozen=True)
class BrightfieldFit:
    """A brightfield microscope that explains planes out of focus.

    Attributes
    ----------
    microscope : Microscope
    distances : tuple of float
        Of each plane, in micrometres, as fitted.
    correlations : tuple of float
        Of each plane with what the model makes of the plane in focus.
    """

    microscope: Microscope
    distances: tuple[float, ...]
    correlations: tuple[float, ...]

    __repr__ = one_line


def fit_brightfield(
    focus: npt.ArrayLike,
    planes: Sequence[npt.ArrayLike],
    distances: Sequence[float],
    *,
    pixel_size: float,
    microscope: Microscope | None = None,
    smallest: float = 3.0,
) -> BrightfieldFit:
    """Fit aperture, condenser, distances and the ratio of phase to absorption to a focus series.

    Maximises the mean correlation of each plane with the filtered plane in focus, over the sums of
    their spectra in rings, from the best points of a grid (Nelder-Mead). The wavelength is kept, as
    only its product with the distance shows; the distances are free, as stages are not exact and
    the sample's index stretches them.

    Parameters
    ----------
    focus : array_like, shape (Y, X)
        The plane in focus.
    planes : sequence of array_like, shape (Y, X)
    distances : sequence of float
        Of each plane from the focus, in micrometres, as the stage says.
    pixel_size : float
        In micrometres.
    microscope : Microscope, optional
        Where to start.
    smallest : float
        Finest period that counts, in pixels: below, there is noise.

    Returns
    -------
    BrightfieldFit

    Raises
    ------
    ValueError, TypeError
        Shapes differ, or a value is NaN or infinite; as many distances as planes are needed.
    """
    if len(planes) != len(distances) or not planes:
        raise ValueError(
            f"`distances` must be as many as `planes` ({len(planes)}), got {len(distances)}"
        )
    start = microscope or Microscope()
    rings = [rings_of(focus, plane, pixel_size) for plane in planes]
    finest = 1 / (smallest * pixel_size)

    def unpacked(x: Array) -> tuple[Microscope, Array]:
        na = float(np.clip(x[0], 0.1, 0.95 * start.index))
        condenser = float(np.clip(x[1], 0.0, na))
        phase = math.sinh(float(np.clip(x[2], -6, 6)))
        slope = float(np.clip(x[3], 0.0, 2.0))
        return replace(start, na=na, condenser_na=condenser, phase=phase, slope=slope), x[4:]

    def correlations(x: Array) -> list[float]:
        scope, places = unpacked(x)
        return [
            _correlation_of(ring, brightfield_defocus(ring.frequency, z, scope), finest)
            for ring, z in zip(rings, places, strict=True)
        ]

    def loss(x: Array) -> float:
        return -float(np.mean(correlations(x)))

    stage = np.asarray(distances, dtype=np.float64)
    grid = itertools.product(
        (0.5, 0.8), (0.05, 0.15, 0.3), _PHASES, (0.0, 1.0), (0.7, 1.0, 2.0, 4.0)
    )
    starts = sorted((np.array([*point[:4], *point[4] * stage]) for point in grid), key=loss)
    tries = [
        minimize(
            loss,
            x,
            method="Nelder-Mead",
            options={
                "initial_simplex": x
                + np.vstack([0 * x, np.diag([0.1, 0.05, 0.7, 0.3, *(0.2 * x[4:])])]),
                "xatol": 1e-3,
                "fatol": 1e-4,
                "maxiter": 1500,
            },
        )
        for x in starts[:_STARTS]
    ]
    best = min(tries, key=lambda trial: float(trial.fun)).x
    scope, places = unpacked(best)
    return BrightfieldFit(scope, tuple(map(float, places)), tuple(correlations(best)))


@dataclass(frozen=True)
class RingSums:
    """Sums over rings of two images' spectra.

    Attributes
    ----------
    frequency : ndarray, shape (n,)
        Cycles per micrometre.
    cross, first, second : ndarray, shape (n,)
        Real part of the cross spectrum, and both powers.
    """

    frequency: Array
    cross: Array
    first: Array
    second: Array


def rings_of(first: npt.ArrayLike, second: npt.ArrayLike, pixel_size: float) -> RingSums:
    """Cross spectrum and powers of two images, in rings one coefficient wide; without the mean."""
    pair = as_pair(first, second)
    shape = pair[0].pixels.shape
    window = np.outer(*(scipy.signal.windows.tukey(n, 0.1) for n in shape))
    spectra = [scipy.fft.rfft2((p.pixels - p.mean) * window) for p in pair]
    fy, fx = scipy.fft.fftfreq(shape[0])[:, None], scipy.fft.rfftfreq(shape[1])[None, :]
    radius = np.hypot(fy, fx)
    number = np.rint(radius * max(shape)).astype(int).ravel()
    weight = np.full(radius.shape, 2.0)
    weight[:, 0] = 1

    def summed(values: Array) -> Array:
        return np.bincount(number, (weight * values).ravel())[1 : max(shape) // 2]

    a, b = spectra
    frequency = np.arange(1, max(shape) // 2) / max(shape) / pixel_size
    return RingSums(
        frequency, summed((a * b.conj()).real), summed(np.abs(a) ** 2), summed(np.abs(b) ** 2)
    )


def _correlation_of(ring: RingSums, transfer: Array, finest: float) -> float:
    """Pearson correlation of the filtered first image with the second."""
    h = np.where(ring.frequency <= finest, transfer, 0)
    power = float((h**2 * ring.first).sum() * ring.second.sum())
    return float((h * ring.cross).sum()) / math.sqrt(power) if power > 0 else 0.0


def _low_first() -> Array:
    """Shares of the cut-off: far from focus, all happens at the lowest frequencies."""
    return np.linspace(0, 1, _POINTS) ** 2


@lru_cache(maxsize=4096)
def _fluorescence(na: float, light: float, index: float, distance: float) -> Array:
    axis = np.linspace(-1, 1, _GRID) * na / light
    y, x = np.meshgrid(axis, axis, indexing="ij")
    transfer = np.empty(_POINTS)
    for k, q in enumerate(2 * na / light * _low_first()):
        left, right = np.hypot(x - q / 2, y), np.hypot(x + q / 2, y)
        both = (left < na / light) & (right < na / light)
        phase = _axial(right[both], light, index) - _axial(left[both], light, index)
        transfer[k] = np.cos(2 * np.pi * distance * phase).mean() if both.any() else 0.0
    return transfer


@lru_cache(maxsize=512)
def _correlation(na: float, light: float, index: float, condenser: float, distance: float) -> Array:
    """C_z(q) at `_BAND_POINTS` frequencies up to the end of the transmitted band."""
    axis = (np.arange(_SOURCES) + 0.5) / _SOURCES * 2 - 1
    y, x = (a[np.hypot(*np.meshgrid(axis, axis)) < 1] for a in np.meshgrid(axis, axis))
    y, x = (a * max(min(condenser, na), 1e-4) / light for a in (y, x))
    q = np.linspace(0, (na + condenser) / light, _BAND_POINTS)[:, None]
    shifted = np.hypot(x + q, y)
    passed = shifted < na / light
    here = _axial(np.hypot(x, y), light, index)
    there = _axial(np.minimum(shifted, na / light), light, index)
    return np.asarray((passed * np.exp(2j * np.pi * distance * (there - here))).mean(axis=1))


def _axial(radius: Array, light: float, index: float) -> Array:
    return np.asarray(np.sqrt(np.maximum((index / light) ** 2 - radius**2, 0)))
