"""Structural similarity: SSIM (Wang 2004) and its multi-scale form (Wang 2003)."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cellqa.checks import Plane, as_pair, check_data_range
from cellqa.errors import Undefined
from cellqa.metrics._family import Family, Settings
from cellqa.metrics._kernels import halve, similarity

Array = npt.NDArray[Any]

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
    first, second = as_pair(reference, image)
    settings = Settings(check_data_range(data_range), compat=compat)
    return _measure(_prepare(first, settings, {"ssim"}), second, settings, {"ssim"})["ssim"]


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
    first, second = as_pair(reference, image)
    settings = Settings(check_data_range(data_range))
    return _measure(_prepare(first, settings, {"ms_ssim"}), second, settings, {"ms_ssim"})[
        "ms_ssim"
    ]


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
    found = np.full(first.raw.shape, np.nan, np.float32)
    if min(found.shape) >= WINDOW:
        inside = similarity_map(first, second, check_data_range(data_range))
        found[half:-half, half:-half] = inside
    return found


def similarity_map(reference: Plane, image: Plane, data_range: float) -> Array:
    """SSIM of each pixel around which the window fits, in float64."""
    x, y = (p.raw.astype(np.float64) for p in (reference, image))
    window = np.concatenate([_GAUSSIAN, _GAUSSIAN[-2::-1]])
    half = WINDOW // 2

    def local(plane: Array) -> Array:
        found = cv2.sepFilter2D(plane, cv2.CV_64F, window, window)
        return np.asarray(found[half:-half, half:-half])

    mean_x, mean_y = local(x), local(y)
    of_means, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    c1, c2 = ((k * data_range) ** 2 for k in (K1, K2))
    structure = (2 * (local(x * y) - of_means) + c2) / (local(x * x + y * y) - squares + c2)
    return np.asarray(structure * (2 * of_means + c1) / (squares + c1))


@dataclass(frozen=True)
class _Prepared:
    plane: Plane
    scales: list[Array]  # as many as the metrics called for need


def _prepare(reference: Plane | None, settings: Settings, names: Set[str]) -> _Prepared:
    assert reference is not None  # both metrics are full-reference
    scales = [reference.real]
    if "ms_ssim" in names and min(reference.raw.shape) >= SMALLEST_MULTISCALE:
        while len(scales) < len(SCALE_WEIGHTS):
            scales.append(_halve(scales[-1], reference))
    return _Prepared(reference, scales)


def _halve(plane: Array, source: Plane) -> Array:
    # Of 16-bit integers, four halvings need 24 bits: float32 has them.
    exact = source.raw.dtype.kind == "u"
    out = np.empty([(n + 1) // 2 for n in plane.shape], np.float32 if exact else np.float64)
    return np.asarray(halve(plane, out))


def _measure(
    prepared: _Prepared, image: Plane, settings: Settings, names: Set[str]
) -> dict[str, float]:
    if isinstance(settings.data_range, Undefined):
        return dict.fromkeys(("ssim", "ms_ssim"), settings.data_range)
    values: dict[str, float] = {}
    whole, contrast = math.nan, math.nan
    if min(image.raw.shape) < WINDOW:
        values["ssim"] = Undefined(f"ssim: a side below {WINDOW} pixels")
    else:
        whole, contrast = _similarity(prepared.scales[0], image.real, settings)
        values["ssim"] = _finite("ssim", whole)
    if len(prepared.scales) == 1:
        values["ms_ssim"] = Undefined(f"ms_ssim: a side below {SMALLEST_MULTISCALE} pixels")
    else:
        terms = [contrast]
        scale = image.real
        for reference in prepared.scales[1:]:
            scale = _halve(scale, image)
            whole, contrast = _similarity(reference, scale, settings)
            terms.append(contrast)
        terms[-1] = whole
        powers = zip(terms, SCALE_WEIGHTS, strict=True)
        product = math.prod(max(term, 0.0) ** w if term == term else term for term, w in powers)
        values["ms_ssim"] = _finite("ms_ssim", product)
    if settings.compat and "ssim" in names:
        values["ssim"] = _uniform_ssim(prepared.plane.raw, image.raw, settings.data_range)
    return values


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        return Undefined(f"{name}: the squared values exceed floating point")
    return min(value, 1.0)  # rounding may leave 1e-15 above


def _similarity(reference: Array, image: Array, settings: Settings) -> tuple[float, float]:
    # constants beyond floating point give nan, which `_finite` reports
    c1, c2 = (min(k * settings.data_range, 1e154) ** 2 for k in (K1, K2))
    whole, contrast = similarity(reference, image, _GAUSSIAN, c1, c2)
    return float(whole), float(contrast)


def _uniform_ssim(reference: Array, image: Array, data_range: float) -> float:
    from skimage.metrics import structural_similarity  # slow to import, rarely needed

    if min(image.shape) < _UNIFORM_WINDOW:
        return Undefined(f"ssim: a side below {_UNIFORM_WINDOW} pixels")
    if reference.dtype != image.dtype:
        reference, image = reference.astype(np.float64), image.astype(np.float64)
    return float(structural_similarity(reference, image, data_range=data_range))


STRUCTURAL = Family(_prepare, _measure)
