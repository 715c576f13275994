"""Signs that a part of a file was lost: zeros that no camera and no program leaves."""

from __future__ import annotations

import numpy as np

from cellqa.io.base import absent
from cellqa.planes import Array

_LEAST = 512  # bytes of a run: a block of a disk
_FAR = 4  # times the next longest run
_CLEAR = 8  # pixels between an end of the run and the side of the image
_EMPTY = 0.8  # of the pixels beside it that may be zero, too


def check_whole(name: str, pixels: Array) -> None:
    """Refuse a plane of which a part seems lost, unless missing planes are filled.

    Raises
    ------
    ImageError
        It does; the line begins with the name.
    """
    if lost := zeroed(pixels):
        absent(f"{name}: damaged, {lost} values in a row are 0 as where a part of a file was lost")


def zeroed(pixels: Array) -> int:
    """Length of a run of zeros, along the rows, that looks like a lost part of the file; else 0.

    Such a run is far longer than any other; it begins or ends within a row; and the row beside
    that end has values where this one has none. Black bands and borders, as registration leaves
    them, do not look so, nor do dark images with many zeros.

    Parameters
    ----------
    pixels : ndarray, shape (Y, X) or (Y, X, S)

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(1, 10001, dtype=np.uint16).reshape(100, 100)
    >>> lost = image.copy()
    >>> lost.reshape(-1)[3333:5000] = 0
    >>> zeroed(image), zeroed(lost)
    (0, 1667)
    """
    if pixels.size == 0 or pixels.min() != 0:
        return 0
    flat = np.ascontiguousarray(pixels).reshape(-1)
    zero = flat == 0
    if zero.sum() * pixels.itemsize < _LEAST:
        return 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], zero.view(np.int8), [0]])))
    begins, ends = edges[::2], edges[1::2]
    lengths = ends - begins
    longest = int(lengths.argmax())
    length = int(lengths[longest])
    others = np.delete(lengths, longest)
    if length * pixels.itemsize < _LEAST or (len(others) and length < _FAR * others.max()):
        return 0
    row = int(np.prod(pixels.shape[1:]))
    begin, end = int(begins[longest]), int(ends[longest])
    return length if _is_abrupt(zero, begin, -row, row) or _is_abrupt(zero, end, row, row) else 0


def _is_abrupt(zero: Array, place: int, beside: int, row: int) -> bool:
    """Whether a run begins (or ends) within a row, beside values of the row before (or after)."""
    column = place % row
    first, last = (place, place - column + row) if beside < 0 else (place - column, place)
    if min(column, row - column) < _CLEAR or first + beside < 0 or last + beside > len(zero):
        return False
    return bool(zero[first + beside : last + beside].mean() < _EMPTY)
