"""Whether a method's images can be measured on, and explain the raw ones, in a line each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from cellqa.pairs.roles import Role
from cellqa.tables.summary import Summary

_CLOSE = 0.03  # off 1, up to which nothing is said
_CLEAR = 0.1  # and where there is no interval
_UNEXPLAINED = 5.0  # times the raw images' noise; honest ones of the docs leave 1.3
_TRUTH = 3.0  # times what the ground truth leaves, which is another exposure, or has moved
_DIFFERS = 25.0  # which excuses no more than this
_ALIKE = 0.99  # rsp; above, what is unexplained is little beside what is seen, in bright light
# rsp of images that have nothing to do with each other is anything around 0, by chance; that of
# honest ones in very little light is as low as 0.06, and surely so
_UNRELATED, _NONE = 0.2, 0.02
_ROLES = (Role.RAW, Role.REFERENCE, Role.EGT)


def doubts(summaries: Sequence[Summary], unsteady: Mapping[str, str]) -> Iterator[str]:
    """What speaks against quantifying the images of a method, or against believing them.

    Parameters
    ----------
    summaries : sequence of Summary
    unsteady : mapping of str to str
        Methods whose brightness changes over time, and the line that says so.
    """
    of = {(s.method, s.metric): s for s in summaries}
    for method in dict.fromkeys(s.method for s in summaries if s.method not in _ROLES):
        slope = of.get((method, "photometry_slope"))
        power = of.get((method, "photometry_exponent"))
        if slope is not None and slope.n and power is not None:
            kept = not (_off(slope) or _off(power) or _varies(slope))
            straight = abs(power.mean - 1) <= _CLOSE
            if slope.mean < 0:
                yield (
                    f"{method}: contrast is inverted against the raw image ({_value(slope)} grey "
                    "levels for one): do not quantify intensities in it"
                )
            elif not kept and straight and method in unsteady:
                pass  # the line below says what differs between the frames
            elif not kept and straight and not _varies(slope):
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
    yield from _contradictions(of)


def _contradictions(of: Mapping[tuple[str, str], Summary]) -> Iterator[str]:
    """Methods, and ground truth, that do not show what the raw images show."""
    truth = _mean(of, Role.REFERENCE, "unexplained")
    usual = min(_TRUTH * truth, _DIFFERS) if truth is not None else 0.0
    for method in dict.fromkeys(method for method, _ in of if method != Role.RAW):
        left, alike = _mean(of, method, "unexplained"), _mean(of, method, "rsp")
        known = of.get((method, "rsp"))
        if method == Role.REFERENCE:
            if known is not None and _by_chance(known):
                yield (
                    f"gt shows nothing of what the raw images show (rsp {known.mean:.2g}): is it "
                    "of the same fields?"
                )
        elif known is not None and not known.n and known.undefined:
            yield (
                f"{method} cannot be compared with the raw images: its images are constant, too "
                "small, or of another size (--scale); see `reason` in scores.csv"
            )
        elif known is not None and _by_chance(known):
            yield f"{method} shows nothing of what the raw images show (rsp {known.mean:.2g})"
        elif (
            left is not None
            and left > max(_UNEXPLAINED, usual)
            and (alike is None or alike < _ALIKE)
        ):
            yield (
                f"{method} leaves {left:.3g} times the noise of the raw images unexplained: "
                "structures were removed, moved or added, or their contrast was changed"
            )


def _by_chance(rsp: Summary) -> bool:
    """Whether images agree with their raw images no more than any others would."""
    low = rsp.mean if math.isnan(rsp.ci_low) else rsp.ci_low
    return bool(rsp.n) and abs(rsp.mean) < _UNRELATED and low < _NONE


def _mean(of: Mapping[tuple[str, str], Summary], method: str, metric: str) -> float | None:
    """None where there is none."""
    summary = of.get((method, metric))
    return summary.mean if summary is not None and summary.n else None


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
