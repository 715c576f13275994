"""Means of blocks of pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from cellqa.planes import Array


def times(small: Sequence[int], large: Sequence[int]) -> int:
    """By which whole number the sides of `large` are those of `small`; 0 where by none.

    Examples
    --------
    >>> times((20, 30), (40, 60)), times((20, 30), (40, 61)), times((20, 30), (10, 15))
    (2, 0, 0)
    """
    (ratio, *others) = {n / m for m, n in zip(small[:2], large[:2], strict=True)}
    return int(ratio) if not others and ratio == int(ratio) else 0


def block_means(pixels: Array, side: int, across: int | None = None) -> Array:
    """Means of blocks of pixels, less what is left over at the end; type kept.

    Parameters
    ----------
    pixels : ndarray of float32 or float64, shape (Y, X)
        At least one block.
    side : int
        Rows of a block.
    across : int, optional
        Its columns; by default as many.

    Examples
    --------
    >>> import numpy as np
    >>> block_means(np.arange(15.0).reshape(3, 5), 2)
    array([[3., 5.]])
    """
    across = across or side
    if side == across == 1:
        return pixels
    rows, columns = pixels.shape[0] // side, pixels.shape[1] // across
    whole = np.ascontiguousarray(pixels[: rows * side, : columns * across])
    return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA))
