"""From rows to numbers a reader can hold: one line for each method and metric."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cellqa.registry import Metric
from cellqa.rows import Tally

SEED = 20220713  # of the bootstrap, so that a run repeated gives the same intervals
RESAMPLES = 2000
_BATCH = 300_000  # values in memory at once
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


def summarise(tally: Tally) -> list[Summary]:
    """Summarise each method and metric, in the order of the run.

    Resolutions whose unit differs between images have no summary: n is 0.

    Examples
    --------
    >>> from cellqa.registry import METRICS
    >>> from cellqa.rows import Row, Tally
    >>> tally = Tally(["net", "gt"], METRICS)
    >>> tally.add(Row("a.png", "net", values={"psnr": 30.0}))
    >>> summarise(tally)[0].mean
    30.0
    """
    return [
        _summary(tally, method, metric)
        for method in tally.methods
        for metric in tally.metrics
        if metric.applies(method, tally.given)
    ]


def _summary(tally: Tally, method: str, metric: Metric) -> Summary:
    values = np.array(tally.values[method, metric.name], dtype=float)
    unusable = tally.mixed_units and metric.unit == "µm"
    infinite = 0 if unusable else int(np.isinf(values).sum())
    finite = values[:0] if unusable else values[np.isfinite(values)]
    n = finite.size
    low, high = mean_interval(finite)
    q25, median, q75 = np.quantile(finite, [0.25, 0.5, 0.75]) if n else [math.nan] * 3
    return Summary(
        method,
        metric.name,
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
    )


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval of the mean: bias-corrected and accelerated, percentile above 5000.

    Returns nan below 3 values, and the value itself where all are equal.

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
    from scipy.stats import bootstrap  # slow to import

    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH // values.size),
        method="BCa" if values.size <= _LARGEST_BCA else "percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)
