"""Measures that papers of image fusion and enhancement report, beside those that judge."""

from __future__ import annotations

import math
from collections.abc import Set

import numpy as np
import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.metrics._kernels import joint_histogram
from cellqa.metrics.case import Case
from cellqa.metrics.information import levels_of_case
from cellqa.planes import Array
from cellqa.planes.compiled import kernel
from cellqa.planes.plane import Plane

_UQI_SIDE = 8  # of the windows


def std(image: npt.ArrayLike) -> float:
    """Standard deviation of the grey values: contrast, noise included.

    Parameters
    ----------
    image : array_like, shape (Y, X)

    Returns
    -------
    float
        0 to inf, in grey levels; of the pixels as a population.

    Raises
    ------
    ValueError, TypeError
        A value is NaN or infinite.

    Examples
    --------
    >>> std([[0, 2], [0, 2]])
    1.0
    """
    return _std(Plane.of(image, "image"))


def average_gradient(image: npt.ArrayLike) -> float:
    """Mean of √((Δx² + Δy²) / 2): sharpness and noise alike. More is no proof of detail.

    Differences of neighbours to the right and below (Cui et al. 2015,
    doi 10.1016/j.optcom.2014.12.032).

    Parameters
    ----------
    image : array_like, shape (Y, X)
        2 x 2 pixels at least.

    Returns
    -------
    float
        0 to inf, in grey levels a pixel. Undefined (nan that carries its reason) for fewer pixels.

    Raises
    ------
    ValueError, TypeError
        A value is NaN or infinite.

    Examples
    --------
    >>> average_gradient([[0, 1, 2], [1, 2, 3], [2, 3, 4]])
    1.0
    """
    return _gradient(Plane.of(image, "image"))


def spatial_frequency(image: npt.ArrayLike) -> float:
    """Root of the mean squared differences of neighbours, along rows and along columns, added.

    √(RF² + CF²) (Eskicioglu and Fisher 1995, doi 10.1109/26.477498). Noise raises it too.

    Parameters
    ----------
    image : array_like, shape (Y, X)
        2 x 2 pixels at least.

    Returns
    -------
    float
        0 to inf, in grey levels a pixel. Undefined (nan that carries its reason) for fewer pixels.

    Raises
    ------
    ValueError, TypeError
        A value is NaN or infinite.

    Examples
    --------
    >>> round(spatial_frequency([[0, 1], [1, 2]]), 4)
    1.4142
    """
    return _frequency(Plane.of(image, "image"))


def uqi(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """Universal quality index: SSIM's forerunner, without its constants. Higher is better.

    Mean over sliding windows of 8 x 8 pixels of 4 cov mean mean' / ((var + var') (mean² + mean'²));
    where both images are constant, as luminance alone, 2 mean mean' / (mean² + mean'²). Unstable
    where variance is low.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)
        8 pixels a side at least.

    Returns
    -------
    float
        -1 to 1. Undefined (nan that carries its reason) for fewer pixels.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, or a value is NaN or infinite.

    References
    ----------
    Wang Z, Bovik AC. A universal image quality index. IEEE Signal Process Lett 9, 81-84 (2002).
    doi 10.1109/97.995823

    Examples
    --------
    >>> import numpy as np
    >>> ramp = np.add.outer(np.arange(16.0), np.arange(16.0)) + 1
    >>> uqi(ramp, ramp), round(uqi(ramp, 2 * ramp), 3)
    (1.0, 0.64)
    """
    return _uqi(Case.of(image, reference=reference))


def ami(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """Mutual information adjusted for chance: what `mi` has beyond unrelated images.

    (I - E[I]) / ((H + H') / 2 - E[I]) over the histogram of `mi`, E[I] exactly of the
    hypergeometric model. Higher is better.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)

    Returns
    -------
    float
        At most 1; 0 on average for unrelated images. Undefined (nan that carries its reason) where
        an image is constant.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, or a value is NaN or infinite.

    References
    ----------
    Vinh NX, Epps J, Bailey J. J Mach Learn Res 11, 2837-2854 (2010). doi 10.5555/1756006.1953024

    Examples
    --------
    >>> import numpy as np
    >>> halves = np.repeat([[0, 255]], 8, axis=0).astype(np.uint8)
    >>> ami(halves, 255 - halves)
    1.0
    """
    return _ami(Case.of(image, reference=reference))


def _std(plane: Plane) -> float:
    return float(plane.real.std(dtype=np.float64))


def _differences(plane: Plane) -> tuple[Array, Array]:
    pixels = plane.real.astype(np.float64)
    return np.diff(pixels, axis=1), np.diff(pixels, axis=0)


def _gradient(plane: Plane) -> float:
    if min(plane.shape) < 2:
        return Undefined("average_gradient: a side of one pixel has no difference")
    right, down = _differences(plane)
    return float(np.sqrt((right[:-1] ** 2 + down[:, :-1] ** 2) / 2).mean())


def _frequency(plane: Plane) -> float:
    if min(plane.shape) < 2:
        return Undefined("spatial_frequency: a side of one pixel has no difference")
    right, down = _differences(plane)
    return math.sqrt(float((right**2).mean() + (down**2).mean()))


def _uqi(case: Case) -> float:
    planes = case.pair
    if min(planes[0].shape) < _UQI_SIDE:
        return Undefined(f"uqi: a side below {_UQI_SIDE} pixels")
    x, y = (plane.real.astype(np.float64) for plane in planes)
    mean_x, mean_y, xx, yy, xy = (_windows(part) for part in (x, y, x * x, y * y, x * y))
    both = mean_x * mean_y
    squares = mean_x**2 + mean_y**2
    variances = np.maximum(xx + yy - squares, 0)
    flat = variances <= 1e-12 * np.maximum(xx + yy, 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        full = 4 * (xy - both) * both / (variances * squares)
        light = np.where(squares > 0, 2 * both / squares, 1.0)
    return float(np.where(flat | (squares == 0), light, full).mean())


def _windows(values: Array) -> Array:
    """Mean over each window of 8 x 8 pixels."""
    sums = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    n = _UQI_SIDE
    inside = sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]
    return np.asarray(inside / n**2)


def _ami(case: Case) -> float:
    own, levels = levels_of_case(case)
    joint = joint_histogram(own, levels, 256)
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    rows, columns = rows[rows > 0], columns[columns > 0]
    if rows.size < 2 or columns.size < 2:
        return Undefined("ami: an image is constant")
    n = int(joint.sum())
    filled = joint[joint > 0]
    entropies = [-float((c / n * np.log(c / n)).sum()) for c in (rows, columns)]
    shared = sum(entropies) + float((filled / n * np.log(filled / n)).sum())
    expected = expected_information(rows.astype(np.int64), columns.astype(np.int64), n)
    most = sum(entropies) / 2
    if not most > expected:
        return Undefined("ami: chance alone would agree as well")
    return float((shared - expected) / (most - expected))


@kernel(error_model="numpy")
def expected_information(rows: Array, columns: Array, n: int) -> float:
    """Mean mutual information, in nats, of tables with these margins.

    Each cell's hypergeometric probabilities run from its mode outwards, until they are 1e-17 of it.
    """
    total = 0.0
    for a in rows:
        for b in columns:
            lowest = max(1, a + b - n)
            highest = min(a, b)
            if highest < lowest:
                continue
            mode = (a + 1) * (b + 1) // (n + 2)
            mode = min(max(mode, lowest), highest)
            log = (
                math.lgamma(a + 1.0)
                + math.lgamma(b + 1.0)
                + math.lgamma(n - a + 1.0)
                + math.lgamma(n - b + 1.0)
                - math.lgamma(n + 1.0)
                - math.lgamma(mode + 1.0)
                - math.lgamma(a - mode + 1.0)
                - math.lgamma(b - mode + 1.0)
                - math.lgamma(n - a - b + mode + 1.0)
            )
            top = math.exp(log)
            share = math.log(n / (float(a) * b))
            p = top
            k = mode
            while k <= highest and p > 1e-17 * top:
                total += p * k / n * (math.log(float(k)) + share)
                p *= (float(a) - k) * (b - k) / ((k + 1.0) * (n - a - b + k + 1.0))
                k += 1
            p = top
            k = mode
            while k > lowest and p > 1e-17 * top:
                p *= float(k) * (n - a - b + k) / ((a - k + 1.0) * (b - k + 1.0))
                k -= 1
                total += p * k / n * (math.log(float(k)) + share)
    return total


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: each of the wanted, on its own."""
    alone = {"std": _std, "average_gradient": _gradient, "spatial_frequency": _frequency}
    values = {name: compute(case.image) for name, compute in alone.items() if name in names}
    if "uqi" in names:
        values["uqi"] = _uqi(case)
    if "ami" in names:
        values["ami"] = _ami(case)
    return values
