"""Structural similarity: SSIM (Wang 2004) and its multi-scale form (Wang 2003)."""

from __future__ import annotations

import math
from collections.abc import Set

import cv2
import numpy as np
import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.metrics._affine import Affine, affine_of
from cellqa.metrics._kernels import halve, similarities, similarity
from cellqa.metrics.case import Case
from cellqa.planes import Array
from cellqa.planes.labels import Labels
from cellqa.planes.plane import Plane, as_pair, check_data_range

WINDOW = 11
SIGMA = 1.5
K1, K2 = 0.01, 0.03
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang 2003, Section 3.2
SMALLEST_MULTISCALE = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)  # 176: the window fits every scale
_UNIFORM_WINDOW = 7  # of scikit-image's default, which the CIEGAN authors use


def _half_gaussian() -> Array:
    """The window's first half and its middle; the rest mirrors it."""
    x = np.arange(WINDOW) - WINDOW // 2
    window = np.exp(-(x**2) / (2 * SIGMA**2))
    return np.asarray(window / window.sum())[: WINDOW // 2 + 1]


_GAUSSIAN = _half_gaussian()


def ssim(
    reference: npt.ArrayLike, image: npt.ArrayLike, *, data_range: float, compat: bool = False
) -> float:
    """Structural similarity, averaged over the image. Higher is better.

    (2 mx my + C1)(2 sxy + C2) / ((mx^2 + my^2 + C1)(sx^2 + sy^2 + C2)) with local means,
    variances and covariance under a Gaussian window of 11 x 11 pixels and sigma 1.5, population
    covariance, C1 = (0.01 L)^2, C2 = (0.03 L)^2, where the window fits into the image.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)
    data_range : float
        L, the range that the values can span.
    compat : bool
        As the CIEGAN authors: uniform 7 x 7 window, sample covariance (scikit-image's default).

    Returns
    -------
    float
        -1 to 1; 1 for identical images. Undefined (nan that carries its reason) where a side is
        shorter than the window.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, a value is NaN or infinite, or `data_range` is not above 0.

    References
    ----------
    Wang Z, Bovik AC, Sheikh HR, Simoncelli EP. Image quality assessment: from error visibility
    to structural similarity. IEEE Trans Image Process 13, 600-612 (2004).
    doi 10.1109/TIP.2003.819861

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import ssim
    >>> dark, bright = np.zeros((2, 16, 16), np.uint8)
    >>> bright += 255
    >>> round(ssim(dark, bright, data_range=255), 6)  # C1 / (L^2 + C1)
    0.0001
    """
    return structural_score("ssim", reference, image, data_range, compat=compat)


def ms_ssim(reference: npt.ArrayLike, image: npt.ArrayLike, *, data_range: float) -> float:
    """Multi-scale structural similarity. Higher is better.

    The contrast-structure terms of four scales and the full SSIM of the fifth, each averaged
    over its scale and raised to its published weight, multiplied. Scales are 2 x 2 means; an odd
    side repeats its last row or column first, as Wang's program does. A negative mean
    contrast-structure term counts as 0.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)
    data_range : float
        L, the range that the values can span.

    Returns
    -------
    float
        0 to 1; 1 for identical images. Undefined (nan that carries its reason) below 176 pixels
        a side, where the window does not fit the fifth scale.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, a value is NaN or infinite, or `data_range` is not above 0.

    References
    ----------
    Wang Z, Simoncelli EP, Bovik AC. Multiscale structural similarity for image quality
    assessment. Asilomar Conf Signals Syst Comput 2, 1398-1402 (2003).
    doi 10.1109/ACSSC.2003.1292216

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import ms_ssim
    >>> image = np.random.default_rng(1).integers(0, 256, (176, 176), np.uint8)
    >>> ms_ssim(image, image, data_range=255)
    1.0
    """
    return structural_score("ms_ssim", reference, image, data_range)


def ssim_map(reference: npt.ArrayLike, image: npt.ArrayLike, *, data_range: float) -> Array:
    """SSIM of each pixel's neighbourhood, whose mean is `ssim`.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)
    data_range : float

    Returns
    -------
    ndarray of float32, shape (Y, X)
        -1 to 1; nan within 5 pixels of the border, where the window does not fit.

    Raises
    ------
    ValueError, TypeError
        As `ssim`.

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import ssim, ssim_map
    >>> a, b = np.random.default_rng(1).integers(0, 256, (2, 64, 64))
    >>> round(float(np.nanmean(ssim_map(a, b, data_range=255)) - ssim(a, b, data_range=255)), 6)
    0.0
    """
    first, second = as_pair(reference, image)
    half = WINDOW // 2
    similarity = np.full(first.shape, np.nan, np.float32)
    if min(similarity.shape) >= WINDOW:
        inside = _inside(first, second, check_data_range(data_range))
        similarity[half:-half, half:-half] = inside
    return similarity


def _inside(reference: Plane, image: Plane, data_range: float) -> Array:
    """SSIM of each pixel around which the window fits, in float64."""
    base = _base(reference, image)
    x, y = (p.pixels.astype(np.float64) - base for p in (reference, image))
    window = np.concatenate([_GAUSSIAN, _GAUSSIAN[-2::-1]])
    half = WINDOW // 2

    def local(plane: Array) -> Array:
        mean = cv2.sepFilter2D(plane, cv2.CV_64F, window, window)
        return np.asarray(mean[half:-half, half:-half])

    mean_x, mean_y = local(x), local(y)
    of_means, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    c1, c2 = ((k * data_range) ** 2 for k in (K1, K2))
    c1 = _NO_LUMINANCE if base else c1
    structure = (2 * (local(x * y) - of_means) + c2) / (local(x * x + y * y) - squares + c2)
    return np.asarray(structure * (2 * of_means + c1) / (squares + c1))


def _scales(plane: Plane) -> list[Array]:
    """The image at each scale of MS-SSIM, for `Plane.once`."""
    scales = [plane.real]
    while len(scales) < len(SCALE_WEIGHTS):
        scales.append(_halve(scales[-1], plane))
    return scales


def _halve(plane: Array, source: Plane) -> Array:
    # Of 16-bit integers, four halvings need 24 bits: float32 has them.
    exact = source.pixels.dtype.kind == "u"
    out = np.empty([(n + 1) // 2 for n in plane.shape], np.float32 if exact else np.float64)
    return np.asarray(halve(plane, out))


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: `ssim` and `ms_ssim`, those of the fitted image, and `ssim_fg`."""
    if isinstance(case.data_range, Undefined):
        return dict.fromkeys(names, case.data_range)
    reference, image = case.pair
    fit = _AS_IT_IS
    values: dict[str, float] = {}
    if any(name.endswith("_fit") for name in names):
        fit = case.once(affine_of)
        if isinstance(fit.gain, Undefined):
            values = {name: fit.gain for name in names if name.endswith("_fit")}
            fit = _AS_IT_IS
    mask = case.mask if "ssim_fg" in names else None
    scales = [(reference.real, image.real)] if min(image.shape) >= WINDOW else []
    multiscale = {"ms_ssim", "ms_ssim_fit"} & names
    if multiscale and min(image.shape) >= SMALLEST_MULTISCALE:
        scales = list(zip(reference.once(_scales), image.once(_scales), strict=True))
    terms, sums = _terms(scales, case.data_range, fit, mask, _base(reference, image))
    for k, suffix in ((0, ""), (2, "_fit"))[: 1 + (fit is not _AS_IT_IS)]:
        values |= {f"{n}{suffix}": v for n, v in _of_scales(terms[:, k : k + 2], suffix).items()}
    if case.compat and names & {"ssim", "ssim_fit"}:
        values["ssim"] = _uniform_ssim(reference.pixels, image.pixels, case.data_range)
        if fit is not _AS_IT_IS:
            fitted = fit.gain * image.pixels + fit.offset
            values["ssim_fit"] = _uniform_ssim(reference.pixels, fitted, case.data_range)
    if mask is not None:
        whole, number = sums.sum(axis=0)
        outside = Undefined("ssim_fg: the window fits around no pixel of the mask")
        values["ssim_fg"] = min(float(whole / number), 1.0) if number else outside
    return values


def _terms(
    scales: list[tuple[Array, Array]],
    data_range: float,
    fit: Affine,
    mask: Labels | None,
    base: float,
) -> tuple[Array, Array]:
    """SSIM and contrast-structure term of each scale, of the image and of the fitted image."""
    # constants beyond floating point give nan, which `_finite` reports
    c1, c2 = (min(k * data_range, 1e154) ** 2 for k in (K1, K2))
    if base:
        c1 = _NO_LUMINANCE
        scales = [(ours - base, theirs - base) for ours, theirs in scales]
        if fit is not _AS_IT_IS:
            fit = Affine(fit.gain, fit.offset + fit.gain * base - base)
    terms = np.full((len(scales), 4), math.nan)
    sums = np.zeros((1, 2))
    for k, (ours, theirs) in enumerate(scales):
        labelled = mask if k == 0 else None
        if fit is _AS_IT_IS and labelled is None:
            terms[k, :2] = similarity(ours, theirs, _GAUSSIAN, c1, c2)
            continue
        labels, n = (labelled.labels, labelled.names.size + 1) if labelled else (_NO_LABELS, 0)
        terms[k], of_scale = similarities(ours, theirs, _GAUSSIAN, c1, c2, *fit, labels, n)
        sums = of_scale if labelled else sums
    return terms, sums


def _base(reference: Plane, image: Plane) -> float:
    """What both images have in common, where their squares hold little else; 0 of others.

    Without it, structure and contrast are as they were, and luminance differs from 1 by less than
    1e-8.
    """
    lows, highs = zip(reference.extremes, image.extremes, strict=True)
    low, high = min(lows), max(highs)
    return low if min(abs(low), abs(high)) > _FAR * (high - low) else 0.0


_FAR = 1e4  # times the images' range
_NO_LUMINANCE = 1e200  # in place of C1: beside it, means do not count
_AS_IT_IS = Affine(1.0, 0.0)
_NO_LABELS = np.zeros((0, 0), np.int32)


def _of_scales(terms: Array, suffix: str) -> dict[str, float]:
    """`ssim` and `ms_ssim` of the SSIM and contrast-structure terms of one or all scales."""
    small = Undefined(f"ssim{suffix}: a side below {WINDOW} pixels")
    values: dict[str, float] = {"ssim": small}
    values["ms_ssim"] = Undefined(f"ms_ssim{suffix}: a side below {SMALLEST_MULTISCALE} pixels")
    if len(terms):
        values["ssim"] = _finite(f"ssim{suffix}", float(terms[0, 0]))
    if len(terms) == len(SCALE_WEIGHTS):
        factors = [*terms[:-1, 1].tolist(), float(terms[-1, 0])]
        powers = zip(factors, SCALE_WEIGHTS, strict=True)
        product = math.prod(max(f, 0.0) ** w if f == f else f for f, w in powers)
        values["ms_ssim"] = _finite(f"ms_ssim{suffix}", product)
    return values


def structural_score(
    name: str,
    reference: npt.ArrayLike,
    image: npt.ArrayLike,
    data_range: float,
    compat: bool = False,
) -> float:
    """One metric of this family, of arrays."""
    check_data_range(data_range)
    case = Case.of(image, reference=reference, data_range=data_range, compat=compat)
    return measure(case, {name})[name]


def ssim_of_labels(case: Case, mask: Labels) -> Array:
    """Sum of SSIM, and number of pixels around which the window fits, of each object."""
    if min(case.image.shape) < WINDOW or math.isnan(case.data_range):
        return np.zeros((mask.names.size, 2))
    reference, image = case.pair
    scales = [(reference.real, image.real)]
    return _terms(scales, case.data_range, _AS_IT_IS, mask, _base(reference, image))[1][1:]


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        return Undefined(f"{name}: the squared values exceed floating point")
    return min(value, 1.0)  # rounding may leave 1e-15 above


def _uniform_ssim(reference: Array, image: Array, data_range: float) -> float:
    from skimage.metrics import structural_similarity  # slow to import, rarely needed

    if min(image.shape) < _UNIFORM_WINDOW:
        return Undefined(f"ssim: a side below {_UNIFORM_WINDOW} pixels")
    if reference.dtype != image.dtype:
        reference, image = reference.astype(np.float64), image.astype(np.float64)
    return float(structural_similarity(reference, image, data_range=data_range))
