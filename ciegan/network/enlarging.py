"""Images on a finer grid: what a network of super-resolution sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cellqa.enhance.filters import as_type
from cellqa.planes import Array
from cellqa.planes.finer import finer

LARGEST = 4  # times that inputs may be enlarged
_MARGIN = 3  # rows that a cubic reaches, and one more


def check_scale(scale: int) -> None:
    """Raise ValueError where images cannot be enlarged so many times."""
    if not isinstance(scale, int) or isinstance(scale, bool) or not 1 <= scale <= LARGEST:
        raise ValueError(f"`scale` must be 1 to {LARGEST}, a whole number, got {scale!r}")


def enlarge(pixels: Array, scale: int) -> Array:
    """An image of `scale` times the pixels along each side, by cubic interpolation.

    A network that was trained on inputs of fewer pixels than their targets (`Checkpoint.scale`) is
    given images like this; `ciegan enhance` does so by itself.

    Parameters
    ----------
    pixels : ndarray, shape (Y, X) or (Y, X, C)
        Grey levels.
    scale : int
        1 to 4.

    Returns
    -------
    ndarray, shape (scale * Y, scale * X) or (scale * Y, scale * X, C)
        Of the same type, in grey levels, integers rounded and clipped to it. The means of `scale`
        x `scale` pixels are near the original's pixels, which lie in their middle.

    Raises
    ------
    ValueError
        `scale` is out of range, or the pixels are no image.

    Notes
    -----
    Keys 1981, doi 10.1109/TASSP.1981.1163711, with a = -0.75.

    Examples
    --------
    >>> import numpy as np
    >>> enlarge(np.array([[0, 100], [0, 100]], np.uint8), 2)[0]
    array([  0,  23,  77, 111], dtype=uint8)
    """
    check_scale(scale)
    pixels = np.asarray(pixels)
    if pixels.ndim not in (2, 3) or not pixels.size or pixels.dtype.kind not in "uif":
        raise ValueError(
            f"`pixels` must be numbers of shape (Y, X) or (Y, X, C), got {pixels.dtype} of shape "
            f"{pixels.shape}"
        )
    if scale == 1:
        return pixels
    rows, columns = pixels.shape[:2]
    return as_type(finer(pixels, (scale * rows, scale * columns)), pixels.dtype)


def enlarged_rows(
    read: Callable[[int, int], Array], rows: int, scale: int, start: int, stop: int
) -> Array:
    """Rows from `start` to below `stop` of what `enlarge` makes of an image of so many rows.

    Parameters
    ----------
    read : callable
        Returns the image's rows from the first to below the second number.
    rows, scale, start, stop : int
    """
    first = max(0, start // scale - _MARGIN)
    last = min(rows, -(-stop // scale) + _MARGIN)
    return enlarge(read(first, last), scale)[start - first * scale : stop - first * scale]
