"""Whether a method's images can still be measured on, in a line each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from cellqa.pairs.roles import Role
from cellqa.tables.summary import Summary

_CLOSE = 0.03  # off 1, up to which nothing is said
_CLEAR = 0.1  # and where there is no interval
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
