"""How sure a mean is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cellqa.errors import Undefined

_FEWEST = 3  # values, or groups, below which nothing is known of the spread
_FEW = 10  # below, the sample says little of its own skewness
_SKEWEST = 3.0  # of a sample: beyond, the correction is no longer one


def mean_interval(
    values: npt.NDArray[Any], groups: npt.NDArray[Any] | None = None
) -> tuple[float, float]:
    """95 % interval of the mean.

    Hall's interval: Student's t of the mean, transformed so that the skewness of the values is
    taken out of it. Below 10 values, where a sample does not tell its skewness well, its union
    with Student's interval.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Finite.
    groups : ndarray of int, shape (n,), optional
        Values of a group are not independent: the groups are the sample.

    Returns
    -------
    low, high : float
        Undefined (nan that carries its reason) below 3 values or groups, and where all values, or
        all but one, are equal: three zeros do not say that the mean is 0.

    Notes
    -----
    Of samples of 3, 5, 10 and 20, the intervals hold the true mean in 97, 97, 95 and 95 % (normal),
    92, 94, 94 and 94 % (exponential), 96, 94, 94 and 95 % (log-normal, sigma 0.5) and, where one
    is given, 96, 96, 96 and 96 % (half zeros, half exponential). Very skewed values (log-normal,
    sigma 1) need 20: 90, 89, 91 and 93 %. benchmarks/bench_coverage.py makes the table.

    References
    ----------
    Hall P. On the removal of skewness by transformation. J R Stat Soc B 54, 221-228 (1992).
    doi 10.1111/j.2517-6161.1992.tb01876.x

    Examples
    --------
    >>> low, high = mean_interval(np.array([29.0, 30.0, 31.0, 30.5]))
    >>> round(low, 1), round(high, 1)
    (24.7, 31.5)
    >>> mean_interval(np.zeros(5))[0].reason
    'all 5 values are equal'
    """
    if values.size < _FEWEST:
        return _none(f"{values.size} value{'s' * (values.size != 1)}: {_FEWEST} are needed")
    largest = float(np.abs(values).max())
    if np.ptp(values) <= 1e-12 * largest:  # equal but for rounding
        return _none(f"all {values.size} values are equal")
    if _often(values) >= values.size - 1:
        return _none(f"all but one of {values.size} values are equal")
    values = values / largest  # squares and cubes stay within floating point
    sums: npt.NDArray[Any] = values
    counts: npt.NDArray[Any] = np.ones(values.size)
    if groups is not None:
        _, place = np.unique(groups, return_inverse=True)
        sums, counts = np.bincount(place, values), np.bincount(place).astype(float)
    n = sums.size
    if n < _FEWEST:
        return _none(f"{n} group{'s' * (n > 1)}: {_FEWEST} are needed")
    mean = sums.sum() / counts.sum()
    deviations = (sums - mean * counts) * (n / counts.sum())  # of a ratio of sums, to first order
    variance = float((deviations**2).mean())
    if variance <= 1e-24:
        return _none(f"all {n} groups have one mean")
    from scipy.special import stdtrit  # slow to import

    quantile = float(stdtrit(n - 1, 0.975))
    skewness = float((deviations**3).mean()) / variance**1.5 * math.sqrt(n * (n - 1)) / (n - 2)
    above, below = (_transformed(q, skewness, n) for q in (quantile, -quantile))
    if n < _FEW:
        above, below = max(above, quantile), min(below, -quantile)
    error = math.sqrt(variance / (n - 1))
    return float((mean - above * error) * largest), float((mean - below * error) * largest)


def _often(values: npt.NDArray[Any]) -> int:
    """How often the most frequent value is there."""
    return int(np.unique(values, return_counts=True)[1].max())


def _transformed(quantile: float, skewness: float, n: int) -> float:
    """The quantile of t whose transform, free of skewness, is this one (Hall's third)."""
    root = max(-_SKEWEST, min(skewness, _SKEWEST)) / math.sqrt(n)
    if abs(root) < 1e-6:
        return quantile
    return 3 / root * (float(np.cbrt(1 + root * (quantile - root / 6))) - 1)


def _none(reason: str) -> tuple[float, float]:
    missing = Undefined(reason)
    return missing, missing


def jackknife_interval(
    statistic: Callable[[npt.NDArray[Any]], npt.NDArray[Any]], sums: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """95 % intervals of statistics of sums over groups that are independent of each other.

    Each statistic is computed without each group in turn; Student's t of the groups, with the
    spread of these.

    Parameters
    ----------
    statistic : callable
        Of sums, shape (..., k): its values, shape (..., m).
    sums : ndarray, shape (groups, k)
        Of each group.

    Returns
    -------
    low, high : ndarray, shape (m,)
        nan below 3 groups, where a statistic is undefined without some group, and where no group
        makes a difference.

    Notes
    -----
    Of objects of 3, 5, 8, 15 and 30 fields, 15 each, brighter in some fields than in others, the
    intervals hold a ratio of means in 90 to 97 %, the slope of a line in 92 to 95 %, limits of
    agreement in 88 to 92 %. Bootstraps of fields, percentiles with Hesterberg's correction for few,
    are as good from 5 fields on, and hold the ratio in 76 % with 3, the limits in 65 %.
    benchmarks/bench_agreement.py makes the table.

    References
    ----------
    Miller RG. The jackknife: a review. Biometrika 61, 1-15 (1974). doi 10.1093/biomet/61.1.1

    Examples
    --------
    >>> sums = np.array([[2, 10.0], [3, 18.0], [1, 6.0], [2, 13.0]])  # count, sum
    >>> low, high = jackknife_interval(lambda s: s[..., 1:] / s[..., :1], sums)
    >>> [round(float(x[0]), 1) for x in (low, high)]
    [4.9, 6.9]
    """
    n = len(sums)
    value = statistic(sums.sum(axis=0))
    nothing = np.full(value.shape, math.nan)
    if n < _FEWEST:
        return nothing, nothing
    without = statistic(sums.sum(axis=0) - sums)
    variance = (n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    from scipy.special import stdtrit  # slow to import

    reach = float(stdtrit(n - 1, 0.975)) * np.sqrt(variance)
    reach[~(reach > 1e-12 * np.abs(value))] = math.nan
    return value - reach, value + reach
