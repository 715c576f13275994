"""Whether a method's images can still be measured on, in a line each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from cellqa.pairs.pairing import AXES
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.tables.summary import Summary
from cellqa.tables.tally import Tally

_CLOSE = 0.03  # off 1, up to which nothing is said
_CLEAR = 0.1  # and where there is no interval
_FRAMES = 4  # of a series that is looked at
_FLICKER = 0.03  # of the brightness, from which it is told
_ROLES = (Role.RAW, Role.REFERENCE, Role.EGT)


def doubts(summaries: Sequence[Summary]) -> Iterator[str]:
    """What photometry says against quantifying the images of a method.

    Parameters
    ----------
    summaries : sequence of Summary
    """
    of = {(s.method, s.metric): s for s in summaries}
    for method in dict.fromkeys(s.method for s in summaries if s.method not in _ROLES):
        slope = of.get((method, "photometry_slope"))
        power = of.get((method, "photometry_exponent"))
        if slope is None or power is None or not (_off(slope) or _off(power)):
            continue
        if abs(power.mean - 1) <= _CLOSE and not _varies(slope):
            yield (
                f"{method}: brightness is {_value(slope)} times that of the raw image, in "
                "proportion: divide by it before intensities are compared"
            )
        else:
            yield (
                f"{method}: brightness is not kept in proportion: {_value(slope)} grey levels for "
                f"one of the raw image, exponent {_value(power)}: do not quantify intensities in it"
            )


def flicker(tally: Tally) -> Iterator[str]:
    """What changes from frame to frame of time series, beyond what the raw images do.

    By `photometry_slope` of each frame: grey levels for one of the raw image at the same time, so
    that what fades or flashes in the specimen is no flicker.

    Parameters
    ----------
    tally : Tally
    """
    if all(m.name != "photometry_slope" for m in tally.metrics):
        return
    time = AXES.index("time")
    frames = np.array([int(text or 0) for text in tally.along(time)])
    others = (tally.along(k) for k in range(len(AXES)) if k != time)
    codes = [np.unique(each, return_inverse=True)[1] for each in others]
    series = np.unique(np.stack([tally.files, *codes]), axis=1, return_inverse=True)[1].ravel()
    for method, slopes in tally.aligned("photometry_slope").items():
        if method in _ROLES:
            continue
        found = []
        for place in np.unique(series):
            of = np.flatnonzero((series == place) & np.isfinite(slopes))
            if of.size >= _FRAMES:
                found.append(_change(slopes[of[np.argsort(frames[of])]]))
        if not found:
            continue
        steps, trend = np.median(np.array(found), axis=0)
        if steps > _FLICKER:
            yield (
                f"{method}: brightness flickers, by {steps:.0%} from frame to frame against the "
                f"raw images (median of {len(found)} series): do not follow intensities in it"
            )
        if abs(trend) > _FLICKER + steps:
            yield (
                f"{method}: brightness drifts by {trend:+.0%} against the raw images from the "
                f"first to the last third of the frames (median of {len(found)} series)"
            )


def _change(values: Array) -> tuple[float, float]:
    """Frame-to-frame change, and last third over first less 1, both relative."""
    mean = abs(float(values.mean()))
    third = max(1, len(values) // 3)
    first, last = float(values[:third].mean()), float(values[-third:].mean())
    steps = float(np.std(np.diff(values))) / math.sqrt(2)
    return steps / max(mean, 1e-12), last / first - 1 if first else math.nan


def _varies(slope: Summary) -> bool:
    """Whether a factor differs between images by more than a tenth."""
    return slope.std > _CLEAR * abs(slope.mean)


def _off(summary: Summary) -> bool:
    """Whether a mean is other than 1 by more than its interval, and by more than matters."""
    if not summary.n or not abs(summary.mean - 1) > _CLOSE:
        return False
    if math.isnan(summary.ci_low):
        return abs(summary.mean - 1) > _CLEAR
    return not summary.ci_low <= 1 <= summary.ci_high


def _value(summary: Summary) -> str:
    if math.isnan(summary.ci_low):
        return f"{summary.mean:.3g}"
    return f"{summary.mean:.3g} ({summary.ci_low:.3g} to {summary.ci_high:.3g})"
