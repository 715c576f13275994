"""Grey levels of pairs whose types differ, as raw images of 16 bits and targets of floats."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cellqa.errors import ImageError
from cellqa.io import luminance
from cellqa.planes import Array
from cellqa.planes.blocks import block_means
from ciegan.data.tiles import Pair

_BLOCKS = 8  # along the shorter side, whose means neither noise nor blur changes much
_GAIN = (0.5, 2.0)  # within which levels of target and input are taken for the same


def fitted_levels(source: Array, target: Array) -> tuple[float, float]:
    """Gain and offset that bring the levels of a target to those of its input.

    Least squares over means of blocks, an eighth of the shorter side each, which blur and noise
    hardly change: errors of the input alone count, so that its noise makes the gain no smaller.

    Parameters
    ----------
    source, target : ndarray, shape (Y, X) or (Y, X, 3)
        At least 8 pixels a side.

    Raises
    ------
    ImageError
        The target is flat, so that it has no levels to fit.

    Examples
    --------
    >>> import numpy as np
    >>> target = np.random.default_rng(0).random((64, 64))
    >>> gain, offset = fitted_levels(400 * target + 100, target)
    >>> round(gain), round(offset)
    (400, 100)
    """
    y, x = _means(source, target)
    x_mean, y_mean = x.mean(), y.mean()
    spread = float(((x - x_mean) ** 2).sum())
    if not spread > 0:
        raise ImageError("the target is flat: its grey levels cannot be compared with the input's")
    gain = float(((x - x_mean) * (y - y_mean)).sum()) / spread
    return gain, float(y_mean - gain * x_mean)


def relative_gain(source: Array, target: Array) -> float:
    """How many times the contrast of the first image the second has, whatever noise both hold.

    The ratio of the deviations of means of blocks, an eighth of the shorter side each; 1 where one
    is flat.
    """
    first, second = (float(means.std()) for means in _means(source, target))
    return second / first if first > 0 and second > 0 else 1.0


def _means(source: Array, target: Array) -> tuple[Array, Array]:
    """Means of the blocks of both."""
    side = max(1, min(source.shape[:2]) // _BLOCKS)
    first, second = (
        block_means(np.asarray(luminance(p), np.float64), side).ravel() for p in (source, target)
    )
    return first, second


Types = tuple[np.dtype[Any], np.dtype[Any]]  # of input and target


def in_floats(pair: Pair) -> Pair:
    """A pair of which both images are float32; float64 where that does not hold their levels."""
    images = pair.input, pair.target
    single = all(map(_is_held, images))
    source, target = (p.astype(np.float32 if single else np.float64) for p in images)
    return replace(pair, input=source, target=target)


def _is_held(pixels: Array) -> bool:
    """Whether float32 tells a thousandth of an image's range."""
    low, high = float(pixels.min()), float(pixels.max())
    step = np.finfo(np.float32).eps * max(abs(low), abs(high))
    return low == high or not step > 1e-3 * (high - low)


def levelled(pair: Pair, *, match: bool = False, types: Types | None = None) -> Pair:
    """A pair of one type, on one scale of grey levels.

    Where types differ, both become floats; what differs by more than a factor of two, or in sign,
    is not on one scale.

    Parameters
    ----------
    pair : Pair
        Its images on each other.
    match : bool
        Bring the target's levels to the input's, by a gain and an offset.
    types : (numpy.dtype, numpy.dtype), optional
        Of input and target as they were taken, where they are floats by now.

    Raises
    ------
    ImageError
        Types differ, and so do levels, without `match`; or the fit makes no sense.
    """
    first, second = types or (pair.input.dtype, pair.target.dtype)
    same = first == second
    if pair.input.shape != pair.target.shape or (same and not match):
        return pair
    pair = in_floats(pair)
    target = pair.target
    gain, offset = fitted_levels(pair.input, target)
    if match:
        if not gain > 0:
            raise ImageError("the target gets darker where the input gets brighter: not matched")
        target = (gain * target.astype(np.float64) + offset).astype(target.dtype)
    elif not _GAIN[0] <= gain <= _GAIN[1]:
        raise ImageError(
            f"input {first} and target {second} are on other scales (the "
            f"input is {gain:.3g} x target {offset:+.3g}): --match-levels brings the target to it"
        )
    return replace(pair, target=target)
