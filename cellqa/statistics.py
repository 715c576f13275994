"""From rows to numbers a reader can hold: one line for each method and metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cellqa.registry import Metric
from cellqa.score import Row, Scores, mixed_units

SEED = 20220713  # of the bootstrap, so that a run repeated gives the same intervals
RESAMPLES = 2000
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


def summarise(scores: Scores) -> list[Summary]:
    """Summarise each method and metric, in the order of the run.

    A resolution whose unit differs between images (see `mixed_units`) has no summary: n is 0.
    """
    mixed = mixed_units(scores.rows)
    summaries = []
    for method in scores.methods:
        rows = [row for row in scores.rows if row.method == method]
        for metric in scores.metrics:
            if metric.reference and (method == "gt" or "gt" not in scores.methods):
                continue
            unusable = mixed and metric.name == "resolution"
            summaries.append(_summary(method, metric, rows, unusable))
    return summaries


def _summary(method: str, metric: Metric, rows: Sequence[Row], unusable: bool) -> Summary:
    scored = [row for row in rows if row.status == "ok"]
    values = np.array([row.values.get(metric.name, math.nan) for row in scored], dtype=float)
    infinite = int(np.isinf(values).sum())
    undefined = int(np.isnan(values).sum()) if not unusable else values.size - infinite
    finite = values[np.isfinite(values)] if not unusable else values[:0]
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
        undefined,
        len(rows) - len(scored),
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
        batch=max(1, 2_000_000 // values.size),
        method="BCa" if values.size <= _LARGEST_BCA else "percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)
