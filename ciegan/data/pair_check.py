"""What is wrong with a pair: the same image twice, another field, moved, turned, exchanged."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from cellqa.enhance.filters import as_type
from cellqa.errors import ImageError
from cellqa.io import luminance
from cellqa.planes import Array
from ciegan.data.placement import Placed, laid, lowered, placement, refined
from ciegan.data.tiles import Pair

EXCHANGED = "the input holds more fine detail than the target"
SMALL = "it is smaller than 64 pixels a side, too small to see how input and target lie"
_LEAST = 64  # pixels of a side that can be registered
_MOST = 32766  # that OpenCV moves
_COHERENT = 0.5  # of a ring of frequencies, from which it counts
_FINER = math.log(1.1)
_FAR = 0.25  # of the shorter side
_NOTHING = "(--no-check takes the pair as it is)"


def check_pair(pair: Pair, *, register: bool = False) -> tuple[Pair, str]:
    """Look at a pair, and bring its input onto its target where that was asked for.

    Parameters
    ----------
    pair : Pair
    register : bool
        Undo displacement, turn and magnification of the input; what is then unknown at the sides
        is cut off from both.

    Returns
    -------
    Pair, str
        The pair to train on, and what to doubt of it: `EXCHANGED`, `SMALL`, or nothing.

    Raises
    ------
    ImageError
        Both are the same image; they have no structure in common; they do not lie on each other,
        and `register` is false.
    """
    if pair.input.shape != pair.target.shape or pair.input.dtype != pair.target.dtype:
        return pair, ""  # cutting it says so
    if np.array_equal(pair.input, pair.target):
        raise ImageError(f"input and target are the same image {_NOTHING}")
    target, source = (lowered(np.asarray(luminance(p)))[0] for p in (pair.target, pair.input))
    if not (np.ptp(target) and np.ptp(source)):
        return pair, ""  # cutting it says so
    if max(target.shape) > _MOST:
        raise ImageError(f"more than {_MOST} pixels a side cannot be looked at {_NOTHING}")
    if min(target.shape) < _LEAST:
        if register:
            raise ImageError(f"{SMALL}: leave --register out")
        return pair, SMALL
    placed = placement(target, source)
    if placed is None:
        raise ImageError(
            "input and target have no structure in common: another field, or far too blurred "
            f"{_NOTHING}"
        )
    if max(map(abs, placed.by)) > _FAR * min(target.shape):
        raise ImageError(
            f"the input is {placed.describe()}, more than a quarter of its side: another field? "
            f"{_NOTHING}"
        )
    if not register and (off := placed.describe()):
        undo = "--register undoes that" if pair.scale == 1 else "in pixels of the target"
        raise ImageError(f"the input is {off}: {undo} {_NOTHING}")
    placed = refined(target, source, placed) if register else placed
    brought, inside = laid(source, placed)
    if register:
        left = placement(target[inside], brought[inside])
        if left is None or left.describe():
            off = left.describe() if left else "without structure in common"
            raise ImageError(f"the input cannot be registered: it is still {off} {_NOTHING}")
    doubt = EXCHANGED if has_more_detail(target, brought) else ""
    return (_registered(pair, placed) if register else pair), doubt


def _registered(pair: Pair, placed: Placed) -> Pair:
    brought, inside = laid(pair.input, placed)
    y, x = (round(b, 4) for b in placed.by)
    moved = as_type(brought, pair.input.dtype)
    return replace(pair, input=moved, shift_y=y, shift_x=x).within(inside)


def has_more_detail(target: Array, source: Array) -> bool:
    """Whether frequencies that both share fall off in the target against the input.

    Where the input is the blurred one, the transfer from target to input falls with frequency.
    Noise of the target lowers it more, noise of the input does not change it.

    Parameters
    ----------
    target, source : ndarray of float32, shape (Y, X)
        On each other.
    """
    window = np.outer(*(np.hanning(n).astype(np.float32) for n in target.shape))
    first, second = (np.fft.rfft2((p - p.mean()) * window) for p in (target, source))
    frequency = np.hypot(
        np.fft.fftfreq(target.shape[0])[:, None], np.fft.rfftfreq(target.shape[1])[None]
    )
    number = max(8, min(target.shape) // 8)
    ring = np.minimum((frequency * 2 * number).astype(int), number)

    def mean(values: Array) -> Array:
        return np.bincount(ring.ravel(), values.ravel(), number + 1)[:number]

    cross = mean((first * second.conj()).real)
    own, other = mean(np.abs(first) ** 2), mean(np.abs(second) ** 2)
    coherent = cross**2 > _COHERENT * own * other
    coherent[0] = False
    rings = np.flatnonzero(coherent)
    if len(rings) < 4:
        return False
    gain = np.log(np.abs(cross[rings]) / own[rings])
    low = max(1, len(rings) // 4)
    return bool(gain[-2 * low :].mean() - gain[:low].mean() > _FINER)
