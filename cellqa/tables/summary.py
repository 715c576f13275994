"""From rows to numbers a reader can hold: one line for each method and metric."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.metrics.metric import Metric
from cellqa.metrics.shared_noise import FEW
from cellqa.pairs.pairing import AXES
from cellqa.shown import one_line
from cellqa.statistics import mean_interval
from cellqa.tables.tally import Tally

MOST_UNDEFINED = 0.02  # share of the images, of which nothing is said
_MOST_PLACES = 200  # along an axis, beyond which there is no line for each


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
        95 % interval of the mean (`cellqa.statistics.mean_interval`); nan where there is none.
    infinite, undefined, failed : int
        Images left out: identical ones in PSNR; undefined values; files not scored.
    variant : str
        The metric's name with its variant and data range.
    groups : int
        Groups that the images belong to; 0 where images count as independent.
    widened : float
        Width of the interval over that of independent images; nan where there are no groups.
    ci_reason : str
        Why there is no interval.
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
    ci_reason: str = ""

    __repr__ = one_line


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


def summarise_places(tally: Tally) -> list[tuple[str, str, Summary]]:
    """Summaries of each scene, time, channel, focus plane and colour, where there are several.

    Returns
    -------
    list of (axis, place, Summary)
        Axes of 2 to 200 places.
    """
    found = []
    for k, axis in enumerate(AXES):
        along = tally.along(k)
        places = sorted(set(along.tolist()) - {""}, key=lambda p: (len(p), p))
        if not 2 <= len(places) <= _MOST_PLACES:
            continue
        for place in places:
            found += [
                (axis, place, _summary(tally, method, each, along == place))
                for method in tally.methods
                for each in tally.metrics
                if each.applies(method, tally.given)
            ]
    return found


def below(
    tally: Tally,
    summaries: Sequence[Summary],
    limits: Mapping[str, float],
    methods: Collection[str],
) -> list[str]:
    """A line for each limit that the mean of a method misses, or that it has no mean for.

    Infinity counts as what it means: on the worse side (agreement with the ground truth at no
    frequency) it misses every limit, on the better side (PSNR of identical images) none. What
    compares images, and is undefined on more than 2 % of them, misses its limit too: a mean of the
    rest leaves out what may be the worst, as images without any contrast. So does an FRC resolution
    of shared noise (`cellqa.metrics.shared_noise`), on more than 2 %.

    Examples
    --------
    >>> from cellqa.metrics.registry import select
    >>> from cellqa.tables.rows import Row
    >>> tally = Tally(["net", "gt"], select(["psnr"]))
    >>> tally.add(Row("a.png", "net", values={"psnr": 30.0}))
    >>> below(tally, summarise(tally), {"psnr": 31}, ["net"])
    ['psnr of net is 30, limit 31']
    """
    lines = []
    higher = {m.name: m.higher_is_better for m in tally.metrics}
    compares = {m.name for m in tally.metrics if m.needs}
    for summary in summaries:
        if summary.metric not in limits or summary.method not in methods:
            continue
        sign = 1 if higher[summary.metric] else -1
        values = sign * np.array(tally.values[summary.method, summary.metric], dtype=float)
        worst = int((values == -math.inf).sum())
        limit, mean = limits[summary.metric], summary.mean
        most = MOST_UNDEFINED * values.size if summary.metric in compares else values.size
        noisy = tally.noisy[summary.method] if summary.metric == "frc_resolution" else 0
        if noisy > FEW * values.size:
            value = f"of shared noise on {noisy} of {values.size} images"
        elif worst:
            value = f"{-sign * math.inf:g} on {worst} of {values.size} images"
        elif summary.n and summary.undefined > most:
            value = f"undefined on {summary.undefined} of {values.size} images"
        elif (not summary.n and summary.infinite) or sign * mean >= sign * limit:
            continue
        else:
            value = f"{mean:g}" if summary.n else "undefined"
        lines.append(f"{summary.metric} of {summary.method} is {value}, limit {limit:g}")
    return lines


def _summary(
    tally: Tally, method: str, of: Metric, where: npt.NDArray[Any] | None = None
) -> Summary:
    """Of all planes, or those that are true in `where`."""
    values = np.array(tally.values[method, of.name], dtype=float)
    chosen = np.ones(values.size, bool)
    if where is not None:
        chosen = where[np.array(tally.planes[method], dtype=int)]
    values = values[chosen]
    unusable = tally.mixed_units and of.length
    infinite = 0 if unusable else int(np.isinf(values).sum())
    finite = values[:0] if unusable else values[np.isfinite(values)]
    n = finite.size
    groups = tally.groups_of(method)
    kept = groups[chosen][np.isfinite(values)] if groups is not None and not unusable else None
    low, high = mean_interval(finite, kept)
    reason = low.reason if isinstance(low, Undefined) and n else ""
    widened = math.nan
    if kept is not None:
        alone = mean_interval(finite)
        widened = (high - low) / (alone[1] - alone[0]) if alone[1] > alone[0] else math.nan
    least, most = of.bounds  # beyond, there is no mean
    low, high = max(low, least), min(high, most)
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
        tally.failed[method] if where is None else 0,
        tally.variant(of),
        0 if kept is None else np.unique(kept).size,
        widened,
        reason,
    )
