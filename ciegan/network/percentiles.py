"""Percentiles of images that are read a band of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from cellqa.errors import ImageError
from cellqa.planes import Array
from cellqa.planes.compiled import kernel

_BINS = 2**16
_SORTED = 2**20  # values of a bin that are sorted, and not divided again
_ROWS = 1024
_LEAST, _LEVELS = -(2**15), 2**16 + 2**15  # of all integers of 8 and 16 bits
_AT_ONCE = 2**24  # values that are sorted in memory


def percentiles_of_rows(
    read: Callable[[int, int], Array], height: int, wanted: Sequence[float]
) -> list[float]:
    """Percentiles of an image, as `numpy.percentile`; of a large one with memory for some rows.

    Integers of 8 and 16 bits are counted once. Of large images of other types, the bins that hold
    the wanted values are divided again, in a pass through the image each time.

    Parameters
    ----------
    read : callable
        Returns the rows from the first to below the second number.
    height : int
        Rows of the image.
    wanted : sequence of float
        0 to 100.

    Raises
    ------
    ImageError
        A value is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(101.0).reshape(-1, 1)
    >>> percentiles_of_rows(lambda a, b: image[a:b], 101, [5, 50.5])
    [5.0, 50.5]
    """

    def bands() -> Iterator[Array]:
        for start in range(0, height, _ROWS):
            yield read(start, min(start + _ROWS, height))

    first = read(0, 1)
    if _countable(first.dtype):
        return _counted(bands(), first.dtype, wanted)
    if first.size * height <= _AT_ONCE:
        return [float(value) for value in np.percentile(read(0, height), wanted)]
    return percentiles_of_bands(bands, wanted)


def percentiles_of_bands(
    bands: Callable[[], Iterator[Array]], wanted: Sequence[float]
) -> list[float]:
    """Percentiles of all values of arrays that are given one after the other, of any shapes.

    As `numpy.percentile` of all of them together. Integers of 8 and 16 bits are counted in one
    pass; of other types, the bins that hold the wanted values are divided, in some passes.

    Parameters
    ----------
    bands : callable
        Returns the arrays from the first on, each time that it is called.
    wanted : sequence of float
        0 to 100.

    Raises
    ------
    ImageError
        A value is NaN or infinite.

    Examples
    --------
    >>> percentiles_of_bands(lambda: iter([np.arange(51.0), np.arange(51.0, 101)]), [5, 50.5])
    [5.0, 50.5]
    """
    low, high, size = np.inf, -np.inf, 0
    counts, counted = np.zeros(_LEVELS, np.int64), True
    for band in bands():
        if band.dtype.kind == "f" and not np.isfinite(band).all():
            raise ImageError("NaN or infinity in the image")
        if counted and _countable(band.dtype):
            _count(np.ascontiguousarray(band).reshape(-1), _LEAST, counts)
        else:
            counted = False
        low, high = min(low, float(band.min())), max(high, float(band.max()))
        size += band.size
    if counted:
        return _of_counts(counts, _LEAST, wanted)
    return [
        _between(lambda rank: _ranked(bands, low, high, rank), q / 100 * (size - 1)) for q in wanted
    ]


def _countable(kind: np.dtype[Any]) -> bool:
    return kind.kind in "ui" and kind.itemsize <= 2


def percentiles(pixels: Array, wanted: Sequence[float]) -> list[float]:
    """Percentiles of an image in memory, as `numpy.percentile`; 8 and 16 bits are counted.

    Examples
    --------
    >>> percentiles(np.arange(101, dtype=np.uint8), [5, 50.5])
    [5.0, 50.5]
    """
    if _countable(pixels.dtype):
        return _counted([pixels], pixels.dtype, wanted)
    return [float(value) for value in np.percentile(pixels, wanted)]


def _counted(bands: Iterable[Array], kind: np.dtype[Any], wanted: Sequence[float]) -> list[float]:
    """Of integers of 8 or 16 bits: how often each occurs is counted once."""
    least = int(np.iinfo(kind).min)
    counts = np.zeros(2 ** (8 * kind.itemsize), np.int64)
    for band in bands:
        _count(np.ascontiguousarray(band).reshape(-1), least, counts)
    return _of_counts(counts, least, wanted)


def _of_counts(counts: Array, least: int, wanted: Sequence[float]) -> list[float]:
    below = np.cumsum(counts)

    def ranked(rank: int) -> float:
        return float(np.searchsorted(below, rank, side="right") + least)

    return [_between(ranked, q / 100 * (int(below[-1]) - 1)) for q in wanted]


@kernel()
def _count(values: Array, least: int, counts: Array) -> None:
    for k in range(len(values)):
        counts[np.uintp(values[k] - least)] += 1  # unsigned: no look at whether it is below 0


def _between(ranked: Callable[[int], float], rank: float) -> float:
    """The value at a rank between two values, by linear interpolation, to the bit as NumPy's."""
    whole = int(rank)
    first, share = ranked(whole), rank - whole
    if not share:
        return first
    step = ranked(whole + 1) - first
    return first + step * share if share < 0.5 else first + step - step * (1 - share)


def _ranked(bands: Callable[[], Iterator[Array]], low: float, high: float, rank: int) -> float:
    """The value of a rank, from 0: the bin that holds it is divided until few enough are in it.

    Each time the range is that of the values that are there: a single one far out costs one pass.
    """
    before = 0
    while low < high:
        edges = np.linspace(low, high, _BINS + 1)
        counts = np.zeros(_BINS, np.int64)
        for band in bands():
            counts += np.histogram(_within(band, low, high), edges)[0]
        below = before + np.cumsum(counts)
        place = int(np.searchsorted(below, rank, side="right"))
        before = int(below[place - 1]) if place else before
        # a bin ends below the next, but for the last
        end = edges[place + 1] if place == _BINS - 1 else np.nextafter(edges[place + 1], -np.inf)
        if counts[place] <= _SORTED:
            parts = [_within(band, edges[place], end) for band in bands()]
            return float(np.sort(np.concatenate(parts))[rank - before])
        low, high = _extremes(bands, float(edges[place]), float(end))
    return low


def _extremes(bands: Callable[[], Iterator[Array]], low: float, high: float) -> tuple[float, float]:
    """The smallest and the largest value from one to another."""
    ends = [(p.min(), p.max()) for band in bands() if (p := _within(band, low, high)).size]
    return float(min(first for first, _ in ends)), float(max(last for _, last in ends))


def _within(band: Array, low: float, high: float) -> Array:
    """Values from one to another, as float64."""
    values = band.astype(np.float64, copy=False).reshape(-1)
    return np.asarray(values[(values >= low) & (values <= high)])
