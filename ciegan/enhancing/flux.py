"""Local brightness of the raw image, kept in what a network makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from cellqa.planes import Array
from ciegan.network.normalisation import as_pixels
from ciegan.network.windows import Band

SIGMA = 16.0  # pixels of the surroundings whose mean is kept: far beyond what a network deblurs
_REACH = int(4 * SIGMA)  # rows that a smoothed one depends on, on each side
_HALO = 2 * _REACH  # twice, for two rounds


def with_flux_kept(bands: Iterable[Band]) -> Iterator[Band]:
    """Bands of one plane whose local means are the raw image's.

    enhanced + c, with c = L d + L (d - L d) of the difference d = raw - enhanced and the mean L of
    Gaussian surroundings of 16 pixels, mirrored at the border: what differs over larger distances
    is replaced, and finer detail stays. Rounded and clipped to the type of the bands. Two rounds,
    since one leaves a part of what is near the scale of L.

    Parameters
    ----------
    bands : iterable of Band
        From the first row to the last. Those that come out have the same rows.
    """
    waiting: list[Band] = []
    before: Array | None = None  # differences of the rows above those that wait, as far as needed
    rows = 0  # of the bands that wait
    for band in bands:
        waiting.append(band)
        rows += len(band.raw)
        while waiting and rows - len(waiting[0].raw) >= _HALO:
            first = waiting[0]
            yield _corrected(first, before, waiting[1:])
            before = _last(before, first)
            rows -= len(first.raw)
            del waiting[0]
    for k, first in enumerate(waiting):
        yield _corrected(first, before, waiting[k + 1 :])
        before = _last(before, first)


def _difference(band: Band) -> Array:
    # levels of 32 bits and more are rounded once they are subtracted, not before
    return np.subtract(band.raw, band.enhanced, dtype=np.float64).astype(np.float32)


def _last(before: Array | None, band: Band) -> Array:
    """The last rows of the differences, with a band's."""
    own = _difference(band)
    return (own if before is None else np.concatenate([before, own]))[-_HALO:]


def _corrected(band: Band, before: Array | None, after: list[Band]) -> Band:
    """A band with its local means put right, from the rows around it."""
    parts = [] if before is None else [before]
    parts.append(_difference(band))
    below = 0
    for each in after:
        if below >= _HALO:
            break
        parts.append(_difference(each)[: _HALO - below])
        below += len(parts[-1])
    difference = np.concatenate(parts)
    start = 0 if before is None else len(before)
    once = _surroundings(difference)
    change = (once + _surroundings(difference - once))[start : start + len(band.raw)]
    values = band.enhanced.astype(np.float64) + change
    pixels, beyond = as_pixels(values, band.enhanced.dtype)
    return band._replace(enhanced=pixels, clipped=max(band.clipped, beyond))


def _surroundings(rows: Array) -> Array:
    size = 2 * _REACH + 1
    made = cv2.GaussianBlur(rows, (size, size), SIGMA, borderType=cv2.BORDER_REFLECT)
    return np.asarray(made)
