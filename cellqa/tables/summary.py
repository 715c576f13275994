"""From rows to numbers a reader can hold: one line for each method and metric."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cellqa.metrics.metric import Metric
from cellqa.tables.tally import Tally

SEED = 20220713  # of the bootstrap, so that a run repeated gives the same intervals
RESAMPLES = 2000
_BATCH = 300_000  # values in memory at once
_LARGEST_BOOTSTRAP = 50_000  # beyond, the mean is normal
_LARGEST_BCA = 5000  # beyond, the jackknife's cost grows while its correction vanishes


@dataclass(frozen=True)
class Summary:
    """Statistics of one metric of one method, over the images that have a finite value.

    Attributes
    ----------
    method, metric : str
    n : int
        Images with a finite value.
    mean, median, std, q25, q75 : float
        `std` is the sample's (n - 1); nan where n is too small.
    ci_low, ci_high : float
        95 % bootstrap interval of the mean (BCa), seeded; nan below 3 images.
    infinite, undefined, failed : int
        Images left out: identical ones in PSNR; undefined values; files not scored.
    variant : str
        The metric's name with its variant and data range.
    groups : int
        Groups that were resampled for the interval; 0 where images count as independent.
    widened : float
        Width of the interval over that of independent images; nan where there are no groups.
    """

    method: str
    metric: str
    n: int
    mean: float
    median: float
    std: float
    q25: float
    q75: float
    ci_low: float
    ci_high: float
    infinite: int
    undefined: int
    failed: int
    variant: str = ""
    groups: int = 0
    widened: float = math.nan


def summarise(tally: Tally) -> list[Summary]:
    """Summarise each method and metric, in the order of the run.

    Resolutions whose unit differs between images have no summary: n is 0.

    Examples
    --------
    >>> from cellqa.metrics.registry import select
    >>> from cellqa.tables.rows import Row
    >>> tally = Tally(["net", "gt"], select(["psnr"]))
    >>> tally.add(Row("a.png", "net", values={"psnr": 30.0}))
    >>> summarise(tally)[0].mean
    30.0
    """
    return [
        _summary(tally, method, each)
        for method in tally.methods
        for each in tally.metrics
        if each.applies(method, tally.given)
    ]


def below(
    summaries: Sequence[Summary],
    metrics: Sequence[Metric],
    limits: Mapping[str, float],
    methods: Collection[str],
) -> list[str]:
    """A line for each limit that the mean of a method misses, or that it has no mean for.

    Infinite values (PSNR of identical images) are on the good side and do not count.

    Examples
    --------
    >>> from cellqa.metrics.registry import select
    >>> from cellqa.tables.rows import Row
    >>> metrics = select(["psnr"])
    >>> tally = Tally(["net", "gt"], metrics)
    >>> tally.add(Row("a.png", "net", values={"psnr": 30.0}))
    >>> below(summarise(tally), metrics, {"psnr": 31}, ["net"])
    ['psnr of net is 30, limit 31']
    """
    lines = []
    higher = {m.name: m.higher_is_better for m in metrics}
    for summary in summaries:
        if summary.metric not in limits or summary.method not in methods:
            continue
        limit, mean = limits[summary.metric], summary.mean
        sign = 1 if higher[summary.metric] else -1
        only_infinite = not summary.n and summary.infinite
        if not only_infinite and not sign * mean >= sign * limit:
            value = f"{mean:g}" if summary.n else "undefined"
            lines.append(f"{summary.metric} of {summary.method} is {value}, limit {limit:g}")
    return lines


def _summary(tally: Tally, method: str, of: Metric) -> Summary:
    values = np.array(tally.values[method, of.name], dtype=float)
    unusable = tally.mixed_units and of.length
    infinite = 0 if unusable else int(np.isinf(values).sum())
    finite = values[:0] if unusable else values[np.isfinite(values)]
    n = finite.size
    groups = tally.groups_of(method)
    kept = groups[np.isfinite(values)] if groups is not None and not unusable else None
    low, high = mean_interval(finite, kept)
    widened = math.nan
    if kept is not None:
        alone = mean_interval(finite)
        widened = (high - low) / (alone[1] - alone[0]) if alone[1] > alone[0] else math.nan
    q25, median, q75 = np.quantile(finite, [0.25, 0.5, 0.75]) if n else [math.nan] * 3
    return Summary(
        method,
        of.name,
        n,
        float(finite.mean()) if n else math.nan,
        float(median),
        float(finite.std(ddof=1)) if n > 1 else math.nan,
        float(q25),
        float(q75),
        low,
        high,
        infinite,
        values.size - n - infinite,
        tally.failed[method],
        tally.variant(of),
        0 if kept is None else np.unique(kept).size,
        widened,
    )


def mean_interval(
    values: npt.NDArray[Any], groups: npt.NDArray[Any] | None = None
) -> tuple[float, float]:
    """95 % bootstrap interval of the mean, seeded.

    Bias-corrected and accelerated (BCa); the percentile method above 5,000 values (or groups), the
    normal approximation above 50,000, where all three agree.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Finite.
    groups : ndarray of int, shape (n,), optional
        Whole groups are resampled (cluster bootstrap): values of a group are not independent. Then
        the bounds are nan below 3 groups.

    Returns
    -------
    low, high : float
        nan below 3 values; the value itself where all are equal.

    References
    ----------
    Efron B. J Am Stat Assoc 82, 171-185 (1987). doi 10.1080/01621459.1987.10478410
    Field CA, Welsh AH. J R Stat Soc B 69, 369-390 (2007). doi 10.1111/j.1467-9868.2007.00593.x

    Examples
    --------
    >>> mean_interval(np.array([1.0, 1.0, 1.0]))
    (1.0, 1.0)
    """
    if values.size < 3:
        return math.nan, math.nan
    # equal but for rounding: no resample can differ
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        return float(values.min()), float(values.max())
    sums, counts = values, np.ones(values.size)
    if groups is not None:
        _, place = np.unique(groups, return_inverse=True)
        sums, counts = np.bincount(place, values), np.bincount(place).astype(float)
    n = sums.size
    if n < 3:
        return math.nan, math.nan
    mean = sums.sum() / counts.sum()
    if n > _LARGEST_BOOTSTRAP:
        deviation = sums - mean * counts  # of a ratio of sums, to first order
        reach = 1.959964 * math.sqrt(n * deviation.var(ddof=1)) / counts.sum()
        return float(mean - reach), float(mean + reach)
    from scipy.stats import bootstrap  # slow to import

    interval = bootstrap(
        (sums, counts),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH // n),
        method="BCa" if n <= _LARGEST_BCA else "percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(interval.low), float(interval.high)
