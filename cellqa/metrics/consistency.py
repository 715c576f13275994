"""Does the enhanced image explain the raw one? Resolution-scaled comparison (SQUIRREL)."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from cellqa.errors import Undefined
from cellqa.metrics._blur_kernels import best_sigma, blurred_products, radial_products
from cellqa.metrics._radial_kernels import taper
from cellqa.metrics._scale import misfit, reduced
from cellqa.metrics.case import Case
from cellqa.planes import Array
from cellqa.planes.plane import Plane
from cellqa.shown import one_line

_FINEST = 0.25  # first sigma above 0 of the search, pixels
_RATIO = 1.3  # between sigmas of the search
_WIDEST = 1 / 8  # largest sigma, as a share of the shorter side


@dataclass(frozen=True)
class Consistency:
    """How well an enhanced image, blurred and scaled, explains the raw one.

    Attributes
    ----------
    rsp : float
        Resolution-scaled Pearson correlation, -1 to 1.
    rse : float
        Resolution-scaled error: root mean square of what is not explained, in grey levels of the
        raw image.
    sigma : float
        Of the Gaussian that takes the enhanced image to the raw one, in pixels of the enhanced
        image's grid after `scale`.
    gain, offset : float
        raw = gain x blurred + offset.
    """

    rsp: float
    rse: float
    sigma: float
    gain: float
    offset: float

    __repr__ = one_line


def consistency(raw: npt.ArrayLike, image: npt.ArrayLike, *, scale: int = 1) -> Consistency:
    """Fit blur, gain and offset that take the enhanced image to the raw one, and compare.

    The enhanced image is blurred by a Gaussian, multiplied and offset so that the squared
    difference from the raw image is smallest. What the raw image shows and the fitted one does
    not, or the other way round, the enhancement changed. Detail finer than the raw image's
    resolution is not judged: the blur removes it.

    Parameters
    ----------
    raw : array_like, shape (Y, X)
        The unenhanced image.
    image : array_like, shape (Y, X) or (scale x Y, scale x X)
        The enhanced image.
    scale : int
        How many times the pixels of the raw image the enhanced one has along each side; its
        pixels are averaged scale x scale first.

    Returns
    -------
    Consistency

    Raises
    ------
    ValueError, TypeError
        A value is NaN or infinite, an image is constant, or shapes do not fit.

    Notes
    -----
    Borders are mirrored, so that the blur is a product in the space of cosine transforms (DCT-II)
    and the sums of squares are exact there. The sigma is searched from 0 to an eighth of the
    shorter side: first on a grid (0, 0.25, and up by 30 %), then by golden section to 1e-3 pixels.
    The gain may be negative (inverted contrast), and `rsp` then is.

    References
    ----------
    Culley S et al. Quantitative mapping and minimization of super-resolution optical imaging
    artifacts. Nat Methods 15, 263-266 (2018). doi 10.1038/nmeth.4605

    Examples
    --------
    >>> import scipy.ndimage
    >>> from cellqa import consistency
    >>> from cellqa.simulate import filaments
    >>> sharp = filaments((128, 128), seed=1).ideal
    >>> raw = 3 * scipy.ndimage.gaussian_filter(sharp, 2, truncate=8) + 10
    >>> fit = consistency(raw, sharp)
    >>> round(fit.sigma, 2), round(fit.gain, 2), round(fit.rsp, 4)
    (2.0, 3.0, 1.0)
    """
    return _checked(raw, image, scale)[0]


def rsp(raw: npt.ArrayLike, image: npt.ArrayLike, *, scale: int = 1) -> float:
    """Resolution-scaled Pearson correlation with the raw image. Higher is better.

    See `consistency` for parameters, errors and source (doi 10.1038/nmeth.4605).

    Returns
    -------
    float
        -1 to 1; 1 where the blurred and scaled image is the raw one.

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import rsp
    >>> raw = np.random.default_rng(1).normal(size=(64, 64))
    >>> round(rsp(raw, 2 * raw + 5), 6)
    1.0
    """
    return consistency(raw, image, scale=scale).rsp


def rse(raw: npt.ArrayLike, image: npt.ArrayLike, *, scale: int = 1) -> float:
    """Resolution-scaled error against the raw image, in its grey levels. Lower is better.

    See `consistency` for parameters, errors and source (doi 10.1038/nmeth.4605).

    Returns
    -------
    float
        0 to the standard deviation of the raw image.
    """
    return consistency(raw, image, scale=scale).rse


def rsf_sigma(raw: npt.ArrayLike, image: npt.ArrayLike, *, scale: int = 1) -> float:
    """Sigma of the resolution scaling function, in pixels of the raw image.

    How much sharper than the raw image the enhanced one claims to be; 0 where it is no sharper.
    See `consistency` for parameters, errors and source (doi 10.1038/nmeth.4605).
    """
    return consistency(raw, image, scale=scale).sigma


def consistency_map(raw: npt.ArrayLike, image: npt.ArrayLike, *, scale: int = 1) -> Array:
    """Where the raw image is not explained: raw - (gain x blurred image + offset).

    Parameters
    ----------
    raw, image, scale
        As `consistency`, which also says what raises.

    Returns
    -------
    ndarray of float32, shape of `raw`
        In grey levels of the raw image: positive where the enhanced image lacks light, negative
        where it has too much. Its root mean square is `rse`.

    References
    ----------
    Culley et al. 2018, doi 10.1038/nmeth.4605
    """
    fit, first, second = _checked(raw, image, scale)
    cosines, mean, gain = second.once(_cosines)
    gy, gx = (_gaussian(k, fit.sigma) for k in cosines.shape)
    blurred = scipy.fft.idctn(cosines * gy[:, None] * gx, norm="ortho") / gain + mean
    return np.asarray(first.real - (fit.gain * blurred + fit.offset), dtype=np.float32)


def _checked(
    raw: npt.ArrayLike, image: npt.ArrayLike, scale: int
) -> tuple[Consistency, Plane, Plane]:
    """The fit, and both planes as they were compared."""
    first, second = Plane.of(raw, "raw"), Plane.of(image, "image")
    problem = misfit(first, second, scale)
    if problem:
        raise ValueError(f"`image` must fit `raw`: {problem}")
    smaller = reduced(second, scale)
    fit = _fit(first, smaller)
    if isinstance(fit, str):
        raise ValueError(f"`raw` and `image` must not be constant: {fit}")
    return fit, first, smaller


def _cosines(plane: Plane) -> tuple[Array, float, float]:
    """Cosine transform of (plane - mean) x gain, the mean, the gain that makes the range 1."""
    low, high = plane.extremes
    gain = 1 / (high - low)
    centred = np.empty(plane.real.shape, np.float32)
    taper(plane.real, plane.mean, gain, *map(_ones, centred.shape), centred)
    cosines = scipy.fft.dctn(centred, norm="ortho", overwrite_x=True)
    cosines[0, 0] = 0  # rounding: the mean is gone
    return cosines, plane.mean, gain


def _fit(raw: Plane, image: Plane) -> Consistency | str:
    """The fit, or which image is constant."""
    for plane, name in ((raw, "raw image"), (image, "image")):
        if plane.flat:
            return f"the {name} is constant"
    (ours, mean_r, gain_r), (theirs, mean_e, gain_e) = (p.once(_cosines) for p in (raw, image))
    y2, x2 = map(_squares, ours.shape)
    scale = float(max(ours.shape))
    n = math.ceil(scale * math.sqrt(2))
    sums = radial_products(ours, theirs, y2, x2, scale, n)
    middle = ((np.arange(n) + 0.5) / scale) ** 2
    square = np.divide(sums[:, 2], sums[:, 1], out=middle, where=sums[:, 1] > 0)
    sigma = float(best_sigma(sums, square, _grid(min(ours.shape) * _WIDEST)))
    gy, gx = (_gaussian(k, sigma) for k in ours.shape)
    cross, energy = blurred_products(ours, theirs, gy, gx)
    total = _energy(ours)
    gain = cross / energy if energy > 0 else 0.0
    correlation = cross / math.sqrt(energy * total) if energy > 0 else 0.0
    unexplained = max(total - gain * cross, 0.0) / ours.size
    factor = gain * gain_e / gain_r
    return Consistency(
        rsp=min(max(correlation, -1.0), 1.0),
        rse=math.sqrt(unexplained) / gain_r,
        sigma=sigma,
        gain=factor,
        offset=mean_r - factor * mean_e,
    )


def _energy(cosines: Array) -> float:
    return float(blurred_products(cosines, cosines, *map(_ones, cosines.shape))[1])


@lru_cache(maxsize=16)
def _ones(n: int) -> Array:
    return np.ones(n)


@lru_cache(maxsize=16)
def _squares(n: int) -> Array:
    """Squared frequency of each cosine, 1 at the Nyquist frequency."""
    return (np.arange(n) / n) ** 2


def _gaussian(n: int, sigma: float) -> Array:
    """Transfer function of a Gaussian along one axis: exp(-2 pi^2 sigma^2 f^2), f = k / 2n."""
    return np.asarray(np.exp(-0.5 * np.pi**2 * sigma**2 * _squares(n)))


@lru_cache(maxsize=16)
def _grid(largest: float) -> Array:
    steps = math.floor(math.log(max(largest, _FINEST) / _FINEST) / math.log(_RATIO))
    sigmas = _FINEST * _RATIO ** np.arange(steps + 1)
    return np.concatenate([[0.0], sigmas[sigmas < largest], [max(largest, _FINEST)]])


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: `rsp`, `rse` and `rsf_sigma`, of one fit."""
    assert case.raw is not None  # the metrics are called for only where there is one
    problem = misfit(case.raw, case.image, case.scale)
    fit = problem or _fit(case.raw, reduced(case.image, case.scale))
    if isinstance(fit, str):
        return dict.fromkeys(("rsp", "rse", "rsf_sigma"), Undefined(f"rsp, rse: {fit}"))
    return {"rsp": fit.rsp, "rse": fit.rse, "rsf_sigma": fit.sigma}
