"""Trends of time series, and what stands out of them, robustly."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cellqa.planes import Array

_MOST = 300  # points that slopes between all pairs are taken of
_NEAR = 3  # frames on each side that a frame is compared with
_DEVIATIONS = 6.0  # from which a frame stands out
_TREND, _SURE = 0.1, 5.0  # of a decay: its least change over the series, in standard errors


def trend(at: Array, values: Array) -> tuple[float, float]:
    """Slope and intercept of a line, by the medians of Theil and Sen; of many points, of blocks.

    Parameters
    ----------
    at, values : ndarray, shape (n,)
        Those that are nan are left out. Below two points, the slope is 0.
    """
    there = np.isfinite(values)
    x, y = at[there], values[there]
    if x.size < 2:
        return 0.0, float(y[0]) if y.size else math.nan
    if x.size > _MOST:
        blocks = np.array_split(np.arange(x.size), _MOST)
        x, y = (np.array([np.median(v[b]) for b in blocks]) for v in (x, y))
    i, j = np.triu_indices(x.size, 1)
    slope = float(np.median((y[j] - y[i]) / (x[j] - x[i])))
    return slope, float(np.median(y - slope * x))


def steps_of(at: Array, values: Array) -> float:
    """Mean change from one value to the next, beside a line: 1.1 times independent values' spread.

    Changes beyond three times their median, as of one frame that stands out, count as that.
    """
    slope, level = trend(at, values)
    steps = np.abs(np.diff(values - level - slope * at))
    return float(np.minimum(steps, 3 * np.median(steps)).mean())


def decay_of(at: Array, light: Array) -> float:
    """Rate k of exp(-k t), below 0 where light rises; nan where there is no clear trend.

    Parameters
    ----------
    at, light : ndarray, shape (n,)
    """
    if not (light > 0).all() or light.size < 3:
        return math.nan
    logs = np.log(light)
    slope, level = trend(at, logs)
    left = logs - level - slope * at
    spread = 1.4826 * float(np.median(np.abs(left)))
    error = spread / (math.sqrt(light.size) * float(at.std()))
    clear = abs(slope) * float(np.ptp(at)) > _TREND and abs(slope) > _SURE * error
    return -slope if clear else math.nan


def stand_out(at: Array, values: Array, least: float) -> Iterator[tuple[int, float]]:
    """Places of values that differ from those around them, and by how much.

    By more than `least`, and by more than six standard deviations as the median of all such
    differences tells it.
    """
    slope, level = trend(at, values)
    flat = values - level - slope * at
    differences = np.full(flat.size, np.nan)
    for k in range(flat.size):
        near = np.r_[flat[max(0, k - _NEAR) : k], flat[k + 1 : k + 1 + _NEAR]]
        near = near[np.isfinite(near)]
        if near.size >= 3 and math.isfinite(flat[k]):
            differences[k] = flat[k] - np.median(near)
    sizes = np.abs(differences[np.isfinite(differences)])
    if not sizes.size:
        return
    limit = max(least, _DEVIATIONS * 1.4826 * float(np.median(sizes)))
    for place in np.flatnonzero(np.abs(differences) > limit):
        yield int(place), float(differences[place])
