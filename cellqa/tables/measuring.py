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
_LEAST = 0.05  # of the raw brightness, below which there is nothing to follow
_ROLES = (Role.RAW, Role.REFERENCE, Role.EGT)


def doubts(tally: Tally, summaries: Sequence[Summary]) -> Iterator[str]:
    """What speaks against quantifying the images of a method.

    Parameters
    ----------
    tally : Tally
    summaries : sequence of Summary
        Of the same run.
    """
    unsteady = dict(flicker(tally))
    of = {(s.method, s.metric): s for s in summaries}
    for method in dict.fromkeys(s.method for s in summaries if s.method not in _ROLES):
        slope = of.get((method, "photometry_slope"))
        power = of.get((method, "photometry_exponent"))
        if slope is not None and slope.n and power is not None:
            kept = not (_off(slope) or _off(power) or _varies(slope))
            if slope.mean < 0:
                yield (
                    f"{method}: contrast is inverted against the raw image ({_value(slope)} grey "
                    "levels for one): do not quantify intensities in it"
                )
            elif not kept and abs(power.mean - 1) <= _CLOSE and not _varies(slope):
                if method not in unsteady:
                    yield (
                        f"{method}: brightness is {_value(slope)} times that of the raw image, in "
                        "proportion: divide by it before intensities are compared"
                    )
            elif not kept:
                spread = f", differing by {slope.std:.2g} between images" * _varies(slope)
                yield (
                    f"{method}: brightness is not kept in proportion: {_value(slope)} grey levels "
                    f"for one of the raw image{spread}, exponent {_value(power)}: do not quantify "
                    "intensities in it"
                )
        if method in unsteady:
            yield unsteady[method]


def flicker(tally: Tally) -> Iterator[tuple[str, str]]:
    """Methods of which brightness changes from frame to frame, beyond what the raw images do.

    By `photometry_slope` of each frame: grey levels for one of the raw image at the same time, so
    that what fades or flashes in the specimen is no flicker.

    Parameters
    ----------
    tally : Tally

    Yields
    ------
    (str, str)
        Method, and a line.
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
            if of.size >= _FRAMES and slopes[of].mean() > _LEAST:
                found.append(_change(slopes[of[np.argsort(frames[of])]]))
        if not found:
            continue
        steps, trend = np.median(np.array(found), axis=0)
        told = []
        if steps > _FLICKER:
            told.append(f"flickers by {steps:.0%} from frame to frame")
        if abs(trend) > _FLICKER + steps:
            told.append(f"drifts by {trend:+.0%} from the first to the last third of the frames")
        if told:
            yield (
                method,
                f"{method}: brightness {' and '.join(told)}, against the raw images (median of "
                f"{len(found)} series): do not follow intensities in it",
            )


def _change(values: Array) -> tuple[float, float]:
    """Median change from frame to frame beside a line; last third over first, less 1."""
    mean = float(values.mean())
    third = max(1, len(values) // 3)
    first, last = float(values[:third].mean()), float(values[-third:].mean())
    line = np.polynomial.Polynomial.fit(np.arange(len(values)), values, 1)
    steps = float(np.median(np.abs(np.diff(values - line(np.arange(len(values)))))))
    return steps / mean, last / first - 1 if first > 0 else math.nan


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
