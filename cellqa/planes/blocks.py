"""Means of blocks of pixels."""

from __future__ import annotations

import cv2
import numpy as np

from cellqa.planes import Array


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
