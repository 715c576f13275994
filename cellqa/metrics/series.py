"""Time series beside their raw images: whether brightness is steady and what moves still moves."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cellqa.metrics._following import SCALES, Following, FrameFacts
from cellqa.metrics._trend import decay_of, stand_out, steps_of, trend
from cellqa.metrics.stsnr import temporal
from cellqa.planes import Array
from cellqa.planes.plane import Plane
from cellqa.shown import one_line

FEWEST = 4  # frames of a series
_CLEAR, _LEAST = 0.5, 0.3  # share of the changes that is no noise, and of one change
_SEEN = 20.0  # standard deviations of its noise that light must be, to be followed
_OTHER = 0.5  # of the squares left over, below which a frame shows another time
# what stands out among frames: log of gain, level and misfit in shares, SNR in dB
_GAIN, _LEVEL, _MISFIT, _SNR = 0.1, 0.05, 0.15, 6.0
_FLASH, _JUMP = 0.2, 0.15  # of the raw images: log of brightness, background in shares of it


@dataclass(frozen=True)
class Outlier:
    """A frame that stands out: its place in the series from 0, and what is odd, in words."""

    frame: int
    what: str

    __repr__ = one_line


@dataclass(frozen=True)
class SeriesMeasures:
    """One method's time series beside the raw images. Undefined values are nan.

    Attributes
    ----------
    method : str
    frames : int
        That both have.
    flicker : float
        The larger of the two that follow: what a frame's brightness differs by from those before
        and after, beyond the raw image's own. 0 is best.
    flicker_contrast : float
        Of the grey levels for one of the raw image, in shares of their mean: the median change from
        frame to frame beside a straight trend, which is about their standard deviation.
    flicker_level : float
        The same of what is added to all pixels, in shares of the brightness of bright places.
    flicker_noise : float
        What the raw images' noise can make of `flicker_contrast`.
    own_flicker : float
        Of the light above background, of this series alone.
    drift : float
        Change of the grey levels for one of the raw image over the whole series, as a share; 0 is
        best.
    decay_raw, decay : float
        Rate at which light above background falls, per unit of time, in the raw images and here;
        below 0 it rises. nan where the raw images have no clear trend.
    decay_error : float
        (decay - decay_raw) / |decay_raw|; 0 is best, -1 where bleaching is undone.
    motion : float
        Agreement of what changes from frame to frame with the raw images' changes: median
        correlation, freed from the raw images' noise, -1 to 1; 1 is best.
    motion_scale : float
        Sigma in pixels of the raw image that changes were smoothed by.
    ssnr, tsnr, stsnr : float
        Against ground truth, in dB; see `stsnr`.
    outliers : tuple of Outlier
    reason : str
        Why values are undefined.
    """

    method: str
    frames: int = 0
    flicker: float = math.nan
    flicker_contrast: float = math.nan
    flicker_level: float = math.nan
    flicker_noise: float = math.nan
    own_flicker: float = math.nan
    drift: float = math.nan
    decay_raw: float = math.nan
    decay: float = math.nan
    decay_error: float = math.nan
    motion: float = math.nan
    motion_scale: float = math.nan
    ssnr: float = math.nan
    tsnr: float = math.nan
    stsnr: float = math.nan
    outliers: tuple[Outlier, ...] = ()
    reason: str = ""

    __repr__ = one_line


def judged(series: Following) -> list[SeriesMeasures]:
    """What is to be said of a series that was followed: of its raw images, and of each method."""
    raw = series.facts[series.raw]
    problem = series.problem.get(series.raw, "")
    if len(raw) < FEWEST and not problem:
        problem = f"fewer than {FEWEST} frames"
    rate = math.nan if problem else _decay(raw)
    found = [_of_raw(series.raw, raw, rate, problem)]
    apart = {raw[outlier.frame].at for outlier in found[0].outliers}
    for method, facts in series.facts.items():
        if method != series.raw:
            why = problem or series.problem.get(method, "")
            squares = series.squares.get(method)
            found.append(_of_method(method, facts, rate, why, squares, apart))
    return found


def _decay(raw: list[FrameFacts]) -> float:
    """Rate at which the raw images fade; nan where their light is little more than noise."""
    light = _column(raw, "light")
    if not np.median(light) > _SEEN * np.median(_column(raw, "unsure")):
        return math.nan
    return decay_of(_column(raw, "at"), light)


def _column(facts: list[FrameFacts], name: str) -> Array:
    return np.array([getattr(each, name) for each in facts], dtype=np.float64)


def _of_raw(name: str, facts: list[FrameFacts], rate: float, problem: str) -> SeriesMeasures:
    """The raw images' own: how steady they are, and which frames stand out."""
    if problem:
        return SeriesMeasures(name, len(facts), reason=problem)
    at, light, dark = (_column(facts, n) for n in ("at", "light", "background"))
    span = float(np.median(_column(facts, "span")))
    logs = np.log(np.where(light > 0, light, np.nan))
    outliers = [
        Outlier(k, f"brightness {math.expm1(by):+.0%}") for k, by in stand_out(at, logs, _FLASH)
    ]
    if span > 0:
        outliers += [
            Outlier(k, f"background {by:+.0%} of the brightness")
            for k, by in stand_out(at, dark / span, _JUMP)
        ]
    return SeriesMeasures(
        name,
        len(facts),
        own_flicker=steps_of(at, light / np.median(light)) if (light > 0).all() else math.nan,
        decay_raw=rate,
        decay=rate,
        outliers=_sorted(outliers),
    )


def _of_method(
    method: str,
    facts: list[FrameFacts],
    rate: float,
    problem: str,
    squares: tuple[Array, Array] | None,
    apart: set[float],
) -> SeriesMeasures:
    snr = _column(facts, "snr")
    ssnr = float(np.mean(snr[~np.isnan(snr)])) if (~np.isnan(snr)).any() else math.nan
    tsnr = temporal(*squares) if squares is not None else math.nan
    known = SeriesMeasures(
        method, len(facts), ssnr=ssnr, tsnr=tsnr, stsnr=(ssnr + tsnr) / 2, decay_raw=rate
    )
    at, gain = _column(facts, "at"), _column(facts, "gain")
    there = np.isfinite(gain)
    if not problem and there.sum() < FEWEST:
        problem = (
            f"fewer than {FEWEST} frames"
            if len(facts) < FEWEST
            else "the brightness of the raw images does not vary beyond their noise"
        )
    middle = float(np.median(gain[there])) if there.any() else math.nan
    if not problem and not middle > 0:
        problem = "brightness does not follow the raw images'"
    if problem:
        return replace(known, reason=problem)
    span = float(np.median(_column(facts, "span")[there]))
    relative, added = gain[there] / middle, _added(facts, middle, span)[there]
    contrast = steps_of(at[there], relative)
    # what the raw images' background does, and what a method puts right of it, is no fault
    own = _column(facts, "background")[there] / span
    unsteady = min(steps_of(at[there], added), steps_of(at[there], own))
    light = _column(facts, "light")[there]
    positive = relative > 0
    slope = trend(at[there][positive], np.log(relative[positive]))[0]
    scale, motion = _motion(facts)
    outliers = _odd_frames(facts, middle, span, scale, apart)
    return replace(
        known,
        flicker=max(contrast, unsteady),
        flicker_contrast=contrast,
        flicker_level=unsteady,
        flicker_noise=float(np.median(_column(facts, "unsure")[there])),
        own_flicker=steps_of(at[there], light / np.median(light))
        if (light > 0).all()
        else math.nan,
        drift=math.expm1(slope * float(np.ptp(at[there]))),
        decay=rate - slope,
        decay_error=-slope / abs(rate) if rate else math.nan,
        motion=motion,
        motion_scale=SCALES[scale] if scale is not None else math.nan,
        outliers=outliers,
        reason="" if scale is not None else "motion: the raw images change by no more than noise",
    )


def _added(facts: list[FrameFacts], gain: float, span: float) -> Array:
    """What the background has beyond the raw image's, in shares of the brightness.

    What the raw image's background does comes through with the gain, or, where a filter takes some
    of the contrast and none of the mean, with one near it that explains more.
    """
    at, own, raw = (_column(facts, n) for n in ("at", "background", "raw_background"))
    steps = np.diff(raw)
    among = float((np.diff(own) * steps).sum() / max(float((steps**2).sum()), 1e-30))
    passed = (gain, float(np.clip(among, 0.5 * gain, 1.5 * gain)))
    return min(((own - g * raw) / span for g in passed), key=lambda left: steps_of(at, left))


def _motion(facts: list[FrameFacts]) -> tuple[int | None, float]:
    """The finest scale at which changes stand out of the noise, and the agreement there."""
    change, raw, noise, both = (
        np.array([getattr(each, name) for each in facts])
        for name in ("change", "raw_change", "noise", "both")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        clear = np.where(raw > 0, 1 - noise / raw, np.nan)
        agree = np.where(change > 0, both / np.sqrt(change * raw), 0.0) / np.sqrt(clear)
    agree[~(clear >= _LEAST)] = np.nan
    there = [k for k in range(len(SCALES)) if (~np.isnan(clear[:, k])).any()]
    share = {k: float(np.nanmedian(clear[:, k])) for k in there}
    best = next((k for k in there if share[k] >= _CLEAR), None)
    if best is None:
        return None, math.nan
    return best, float(np.clip(np.nanmedian(agree[:, best]), -1, 1))


def _odd_frames(
    facts: list[FrameFacts], gain: float, span: float, scale: int | None, apart: set[float]
) -> tuple[Outlier, ...]:
    """Frames of a method that stand out among the others, or show another time.

    At times at which the raw image itself stands out (`apart`), errors are of another size.
    """
    at, snr = _column(facts, "at"), _column(facts, "snr")
    alike = np.array([each.at not in apart for each in facts])
    logs = np.log(np.maximum(_column(facts, "gain") / gain, 1e-3))
    odd = [
        Outlier(k, f"brightness {math.expm1(by):+.0%} against the raw image")
        for k, by in stand_out(at, logs, _GAIN)
    ]
    unsteady = dict(stand_out(at, _column(facts, "background") / span, _LEVEL))
    odd += [
        Outlier(k, f"background {by:+.0%} of the brightness against the raw image")
        for k, by in stand_out(at, _added(facts, gain, span), _LEVEL)
        if k in unsteady
    ]
    odd += [
        Outlier(k, f"SNR {by:+.1f} dB") for k, by in stand_out(at, snr, _SNR) if by < 0 and alike[k]
    ]
    if scale is not None:
        left, before, after, power, change, noise = (
            np.array([getattr(each, name)[scale] for each in facts])
            for name in ("left", "before", "after", "power", "raw_change", "noise")
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            clear = 1 - noise / change >= _LEAST
            later = np.append(clear[1:], False)
            odd += [
                Outlier(k, f"differs from the raw image by {by:.0%} of its variance more")
                for k, by in stand_out(at, left / power, _MISFIT)
                if by > 0 and alike[k]
            ]
        odd += [
            Outlier(int(k), "shows the frame before")
            for k in np.flatnonzero(clear & (before < _OTHER * left))
        ]
        odd += [
            Outlier(int(k), "shows the frame after")
            for k in np.flatnonzero(later & (after < _OTHER * left))
        ]
    return _sorted(odd)


def _sorted(outliers: list[Outlier]) -> tuple[Outlier, ...]:
    return tuple(sorted(outliers, key=lambda each: each.frame))


def series_measures(
    raw: npt.ArrayLike,
    images: npt.ArrayLike,
    *,
    reference: npt.ArrayLike | None = None,
    scale: int = 1,
) -> SeriesMeasures:
    """Judge one enhanced time series beside its raw images.

    Parameters
    ----------
    raw : array_like, shape (T, Y, X)
        The unenhanced images, at least 64 pixels a side and 4 frames.
    images : array_like, shape (T, scale x Y, scale x X)
    reference : array_like, optional, shape of `images`
        Ground truth.
    scale : int
        How many times as many pixels the enhanced images have along each side.

    Returns
    -------
    SeriesMeasures
        What cannot be known is nan; `reason` says why.

    Raises
    ------
    ValueError, TypeError
        Numbers of frames differ; a value is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa.simulate import timelapse
    >>> raw = timelapse((8, 96, 96), seed=1).image.astype(float)
    >>> unsteady = raw * np.array([1, 1.2] * 4)[:, None, None]
    >>> round(series_measures(raw, raw).flicker, 2)
    0.0
    >>> round(series_measures(raw, unsteady).flicker_contrast, 2)
    0.18
    """
    stacks = [np.asarray(raw), np.asarray(images)]
    stacks += [] if reference is None else [np.asarray(reference)]
    if len({len(stack) for stack in stacks}) != 1:
        raise ValueError(f"numbers of frames differ: {[len(stack) for stack in stacks]}")
    series = Following("raw", scale=scale)
    for t, planes in enumerate(zip(*stacks, strict=True)):
        first, second, *third = (
            Plane.of(p, n) for p, n in zip(planes, ("raw", "image", "reference"), strict=False)
        )
        series.add(t, first, {"images": second}, third[0] if third else None)
    return judged(series)[1]
