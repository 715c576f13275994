"""Means of blocks of pixels."""

from __future__ import annotations

import cv2
import numpy as np

from cellqa.planes import Array


def block_means(pixels: Array, side: int) -> Array:
    """Means of blocks of side x side pixels, less what is left over at the end; type kept.

    Parameters
    ----------
    pixels : ndarray of float32 or float64, shape (Y, X)
        At least one block.
    side : int

    Examples
    --------
    >>> import numpy as np
    >>> block_means(np.arange(15.0).reshape(3, 5), 2)
    array([[3., 5.]])
    """
    if side == 1:
        return pixels
    rows, columns = (n // side for n in pixels.shape)
    whole = np.ascontiguousarray(pixels[: rows * side, : columns * side])
    return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA))
