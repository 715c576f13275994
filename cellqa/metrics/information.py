"""Information theory: mutual information, its normalised form, entropy; over 256 grey levels."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.metrics._kernels import (
    histogram,
    joint_histogram,
    sum_n_log_n,
    to_levels,
)
from cellqa.metrics.case import Case
from cellqa.planes import Array
from cellqa.planes.plane import Plane
from cellqa.planes.region import span

LEVELS = 256


def mi(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """Mutual information of the grey levels, in nats. Higher is better.

    sum p(a, b) ln(p(a, b) / (p(a) p(b))) over the joint histogram of 256 equal bins: the levels
    themselves for a uint8 reference, otherwise from the reference's minimum to its maximum, but
    for outliers (hot pixels, see `cellqa.planes.region`); values outside fall into the end bins.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)

    Returns
    -------
    float
        0 to the smaller entropy (at most ln 256 = 5.545); 0 where one image is constant.
        Estimated from few pixels it is biased upwards, see docs/reference/metrics.md.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, or a value is NaN or infinite.

    References
    ----------
    Shannon CE. A mathematical theory of communication. Bell Syst Tech J 27, 379-423 (1948).
    doi 10.1002/j.1538-7305.1948.tb01338.x

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import mi
    >>> halves = np.repeat([[0, 255]], 8, axis=0).astype(np.uint8)
    >>> round(mi(halves, 255 - halves), 6)  # ln 2: each level of one names that of the other
    0.693147
    """
    return measure(Case.of(image, reference=reference), {"mi"})["mi"]


def nmi(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """Mutual information over the mean of both entropies. Higher is better.

    2 I(A; B) / (H(A) + H(B)) over the histogram of `mi` (arithmetic normalisation).

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)

    Returns
    -------
    float
        0 to 1; 1 for identical images. Undefined (nan that carries its reason) where both
        images are constant.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, or a value is NaN or infinite.

    References
    ----------
    Strehl A, Ghosh J. Cluster ensembles. J Mach Learn Res 3, 583-617 (2002).
    doi 10.1162/153244303321897735 (there with the geometric mean)

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import nmi
    >>> halves = np.repeat([[0, 255]], 8, axis=0).astype(np.uint8)
    >>> nmi(halves, 255 - halves)
    1.0
    """
    return measure(Case.of(image, reference=reference), {"nmi"})["nmi"]


def entropy(
    image: npt.ArrayLike,
    *,
    value_range: tuple[float, float] | None = None,
    compat: bool = False,
) -> float:
    """Shannon entropy of the grey levels, in bits. More levels in use give a higher value.

    -sum p log2 p over 256 equal bins. Noise raises it as much as detail does.

    Parameters
    ----------
    image : array_like, shape (Y, X)
    value_range : (float, float), optional
        The bins' range; default the levels themselves for uint8, otherwise the image's minimum
        to maximum. A scoring run passes the ground truth's. Values outside fall into the end
        bins.
    compat : bool
        As the CIEGAN authors' program: the last level does not count, though its pixels do.

    Returns
    -------
    float
        0 to 8; 0 for a constant image.

    Raises
    ------
    ValueError, TypeError
        A value is NaN or infinite, or `value_range` does not ascend.

    References
    ----------
    Shannon 1948, doi 10.1002/j.1538-7305.1948.tb01338.x

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import entropy
    >>> entropy(np.arange(256, dtype=np.uint8).reshape(16, 16))
    8.0
    """
    plane = Plane.of(image, "image")
    bins = _bins(plane)
    if value_range is not None:
        low, high = value_range
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(
                f"`value_range` must be (low, high) with low < high, got {value_range}"
            )
        bins = _Bins(float(low), LEVELS / (float(high) - float(low)))
    return _entropy_bits(_histogram(_levels(plane, bins)), compat)


@dataclass(frozen=True)
class _Bins:
    low: float
    scale: float  # bins per grey value; 0 puts everything into one bin


_GREY_LEVELS = _Bins(0.0, 1.0)  # of uint8


@dataclass(frozen=True)
class _Levels:
    """An image over its own bins."""

    bins: _Bins
    levels: Array
    entropy: float  # in nats


def _bins(plane: Plane) -> _Bins:
    if plane.dtype == np.uint8:
        return _GREY_LEVELS
    low, high = span(plane)
    return _Bins(low, LEVELS / (high - low) if high > low else 0.0)


def _levels(plane: Plane, bins: _Bins) -> Array:
    if bins is _GREY_LEVELS and plane.pixels.dtype == np.uint8:
        return plane.pixels
    out = np.empty(plane.pixels.shape, np.uint8)
    # levels are the integers: half a level lower, so that values in between are rounded
    low = -0.5 if bins is _GREY_LEVELS else bins.low
    return np.asarray(to_levels(plane.real, low, bins.scale, out))


def _histogram(levels: Array) -> Array:
    return np.asarray(histogram(levels, LEVELS))


def _entropy_nats(counts: Array) -> float:
    n = int(counts.sum())
    return max(math.log(n) - float(sum_n_log_n(counts)) / n, 0.0)


def _entropy_bits(counts: Array, compat: bool) -> float:
    if not compat:
        return _entropy_nats(counts) / math.log(2)
    p = counts[: LEVELS - 1] / counts.sum()
    p = p[p > 0]
    return float(-(p @ np.log2(p))) + 0.0


def _own_levels(plane: Plane) -> _Levels:
    """The image over its own bins, for `Plane.once`."""
    bins = _bins(plane)
    levels = _levels(plane, bins)
    return _Levels(bins, levels, _entropy_nats(_histogram(levels)))


def levels_of_case(case: Case) -> tuple[Array, Array]:
    """Grey levels of reference and image, over the reference's bins."""
    reference, image = case.pair
    own = reference.once(_own_levels)
    return own.levels, _levels(image, _bins_of(own, image))


def _bins_of(own: _Levels | None, image: Plane) -> _Bins:
    """The reference's; a constant one has no range: the image's own serve."""
    return own.bins if own and own.bins.scale else _bins(image)


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: one joint histogram gives `mi`, `nmi` and `entropy`."""
    own = case.reference.once(_own_levels) if case.reference else None
    levels = _levels(case.image, _bins_of(own, case.image))
    values: dict[str, float] = {}
    if own is None or not names & {"mi", "nmi"}:
        counts = _histogram(levels)
    else:
        joint = joint_histogram(own.levels, levels, LEVELS)
        counts = joint.sum(axis=0)
        each = own.entropy + _entropy_nats(counts)
        both = math.log(levels.size) - float(sum_n_log_n(joint)) / levels.size
        values["mi"] = max(each - both, 0.0)
        values["nmi"] = (
            min(2 * values["mi"] / each, 1.0)
            if each > 0
            else Undefined("nmi: both images are constant")
        )
    values["entropy"] = _entropy_bits(counts, case.compat)
    return values
